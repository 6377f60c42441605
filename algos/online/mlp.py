"""The plain multi-layer perceptron that both online trainers use, as pytrees of arrays."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from envs.collect.policy import Policy
from envs.spaces import Array

Layers = list[tuple[jax.Array, jax.Array]]


def init(key: jax.Array, sizes: tuple[int, ...], last_scale: float = 1.0) -> Layers:
    """Orthogonal kernels with gain sqrt(2), ``last_scale`` on the last layer, and zero biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    gains = [2.0**0.5] * (len(sizes) - 2) + [last_scale]
    return [
        (jax.nn.initializers.orthogonal(gain)(k, (fan_in, fan_out)), jnp.zeros(fan_out))
        for k, gain, fan_in, fan_out in zip(keys, gains, sizes[:-1], sizes[1:], strict=True)
    ]


def apply(
    layers: Layers,
    x: jax.Array,
    activation: Callable[[jax.Array], jax.Array],
    *,
    layer_norm: bool = False,
) -> jax.Array:
    """Forward pass ``[..., in]`` -> ``[..., out]``; layer norm, if any, before each activation."""
    for kernel, bias in layers[:-1]:
        x = x @ kernel + bias
        if layer_norm:
            x = jax.nn.standardize(x)
        x = activation(x)
    kernel, bias = layers[-1]
    return x @ kernel + bias


def to_policy(layers: Layers, mean: Array, std: Array) -> Policy:
    """The network as a ``Policy`` on the host, with its input normalisation."""
    return Policy(
        kernels=tuple(np.asarray(kernel) for kernel, _ in layers),
        biases=tuple(np.asarray(bias) for _, bias in layers),
        mean=mean,
        std=std,
    )
