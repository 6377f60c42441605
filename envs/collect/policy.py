"""Behaviour policies as small float16 ``.npz`` files and their numpy forward pass.

numpy rather than JAX: at collection the batch is a few dozen rows, and the same file must give the
same actions whatever accelerator is present.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from envs import files
from envs.spaces import Array

POLICY_FOLDER = Path(__file__).parent / "policies"
LOG_STD_RANGE = (-5.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Policy:
    """A two-hidden-layer network from observation to action.

    Attributes:
        kernels: weight matrices ``[in, out]`` from first to last layer.
        biases: one ``[out]`` per layer.
        mean: ``[I]`` subtracted from the input.
        std: ``[I]`` the input is divided by.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    mean: Array
    std: Array

    def forward(self, inputs: Array, activation: Callable[[Array], Array]) -> Array:
        """The last layer's output ``[N, out]`` for ``inputs`` ``[N, I]``, in float32."""
        hidden = ((inputs - self.mean) / self.std).astype(np.float32)
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            hidden = activation(hidden @ kernel + bias)
        return hidden @ self.kernels[-1] + self.biases[-1]

    def squashed_gaussian(self, observations: Array, noise: Array) -> Array:
        """SAC's action: ``tanh(mean + std * noise)``, all ``[N, A]``; ReLU hidden layers."""
        mean, log_std = np.split(self.forward(observations, _relu), 2, axis=1)
        return np.tanh(mean + np.exp(np.clip(log_std, *LOG_STD_RANGE)) * noise)

    def noisy_mean(self, observations: Array, noise: Array) -> Array:
        """The mean action plus ``noise`` ``[N, A]``, clipped to [-1, 1]; tanh hidden layers."""
        return np.clip(self.forward(observations, np.tanh) + noise, -1.0, 1.0)

    def save(self, name: str, folder: Path | None = None) -> None:
        """Write ``folder/name.npz`` in half precision, whole or not at all.

        ``folder`` is ``POLICY_FOLDER`` by default.
        """
        folder = folder or POLICY_FOLDER
        arrays = {f"kernel_{i}": kernel for i, kernel in enumerate(self.kernels)}
        arrays |= {f"bias_{i}": bias for i, bias in enumerate(self.biases)}
        arrays |= {"mean": self.mean, "std": self.std}
        half = {key: value.astype(np.float16) for key, value in arrays.items()}
        files.write_arrays(folder / f"{name}.npz", half)


def load(name: str, folder: Path | None = None) -> Policy:
    """Read ``folder/name.npz``, by default from ``POLICY_FOLDER``."""
    folder = folder or POLICY_FOLDER
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key].astype(np.float32) for key in file.files}
    layers = range(sum(key.startswith("kernel_") for key in arrays))
    return Policy(
        kernels=tuple(arrays[f"kernel_{i}"] for i in layers),
        biases=tuple(arrays[f"bias_{i}"] for i in layers),
        mean=arrays["mean"],
        std=arrays["std"],
    )


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)
