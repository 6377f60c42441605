"""What every dataset must satisfy before anything is learned from it, whatever its source."""

from __future__ import annotations

import hashlib

import numpy as np

from envs.types import Array, Dataset, EnvSpec, InputError


def check(dataset: Dataset, spec: EnvSpec, where: str) -> None:
    """Raise unless ``dataset`` is whole, finite and of the shapes that ``spec`` names.

    Args:
        dataset: what a reader made of a file.
        spec: the task's sizes.
        where: the file or dataset id, for the message.

    Raises:
        InputError: naming ``where``, the array, the first bad row and the fix.
    """
    rows = dataset.num_rows
    if rows == 0:
        raise InputError(f"{where}: no rows; make or download the dataset again")
    shapes = {
        "observations": (rows, spec.observation_dim),
        "next_observations": (rows, spec.observation_dim),
        "actions": (rows, spec.action_dim),
        "rewards": (rows,),
        "terminations": (rows,),
        "truncations": (rows,),
    }
    for name, shape in shapes.items():
        array: Array = getattr(dataset, name)
        if array.shape != shape:
            raise InputError(
                f"{where}: {name} has shape {array.shape}, expected {shape}; "
                "is this the dataset of another task?"
            )
        bad = np.flatnonzero(~np.isfinite(array.reshape(rows, -1)).all(axis=1))
        if len(bad):
            raise InputError(
                f"{where}: {name} row {bad[0]} is not finite ({len(bad)} such rows); "
                "make or download the dataset again"
            )
    bad = np.flatnonzero(np.abs(dataset.actions).max(axis=1) > 1.0)
    if len(bad):
        raise InputError(
            f"{where}: actions row {bad[0]} leaves [-1, 1] ({len(bad)} such rows); "
            "rescale the actions to the environment's range"
        )
    ends = dataset.episode_ends
    if len(ends) == 0 or ends[-1] != rows - 1:
        raise InputError(
            f"{where}: the last row, {rows - 1}, does not end an episode; "
            "the file was cut: make or download the dataset again"
        )
    open_ends = ends[~(dataset.terminations[ends] | dataset.truncations[ends])]
    if len(open_ends):
        raise InputError(
            f"{where}: the episode that ends at row {open_ends[0]} is neither terminated nor "
            "truncated there; make or download the dataset again"
        )
    # By slices, not by rows picked: a copy of both arrays would double the memory in use.
    broken = np.any(dataset.next_observations[:-1] != dataset.observations[1:], axis=1)
    broken[ends[:-1]] = False
    if broken.any():
        raise InputError(
            f"{where}: row {np.argmax(broken)} leads elsewhere than to the next row of its "
            "episode; episode boundaries are wrong: make or download the dataset again"
        )


def content_hash(dataset: Dataset) -> str:
    """SHA-256 of all arrays in the order of their fields: equal data, equal hash."""
    digest = hashlib.sha256()
    for name in Dataset.__dataclass_fields__:
        digest.update(np.ascontiguousarray(getattr(dataset, name)).tobytes())
    return digest.hexdigest()
