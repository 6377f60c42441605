"""The resume point of an online training run: one ``.npz``, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from envs import files
from envs.spaces import Array

State = TypeVar("State")


def save_progress(
    folder: Path, state: Any, buffer: dict[str, Array], step: int, history: list[float]
) -> None:
    """Write ``folder/progress.npz``: the state's leaves, the first rows of the buffer, history."""
    arrays: dict[str, Any] = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(_leaves(state))}
    arrays |= {f"buffer_{key}": array[:step] for key, array in buffer.items()}
    arrays |= {"step": np.array(step), "history": np.array(history)}
    files.write_arrays(folder / "progress.npz", arrays)


def load_progress(
    folder: Path, state: State, buffer: dict[str, Array]
) -> tuple[State, int, list[float]] | None:
    """(state, step, history) as saved, filling ``buffer`` in place; None if nothing was saved."""
    path = folder / "progress.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        leaves = [file[f"leaf_{i}"] for i in range(len(_leaves(state)))]
        for key, array in buffer.items():
            saved = file[f"buffer_{key}"]
            array[: len(saved)] = saved
        step, history = int(file["step"]), file["history"].tolist()
    old, structure = jax.tree.flatten(state)
    new = [
        jax.random.wrap_key_data(leaf)
        if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key)
        else leaf
        for like, leaf in zip(old, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, new), step, history


def _leaves(state: Any) -> list[Any]:
    return [
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        for x in jax.tree.leaves(state)
    ]
