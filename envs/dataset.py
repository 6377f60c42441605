"""Datasets: whole episodes as flat arrays, and what every one of them must satisfy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np

from envs.environment import EnvSpec
from envs.errors import InputError
from envs.spaces import Array, Discrete

# float32 ends at 3e38: squares of observations and of whole returns must be numbers there.
_LARGEST = {"observations": 1e18, "final_observations": 1e18, "rewards": 1e12}


# The order is part of every hash on record.
_HASHED = (
    *("observations", "actions", "rewards", "terminations", "truncations", "episode_ends"),
    "next_observations",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """Whole episodes, one after the other, as flat arrays under Minari's names.

    Attributes:
        observations: ``[N, O]`` in the type of their space, float32 as a rule.
        actions: ``[N, A]`` float32 in [-1, 1], or ``[N]`` int32 where they are choices.
        rewards: ``[N]`` float32, raw as the environment gave them.
        terminations: ``[N]`` bool; true where the bootstrap must be masked. In mazes this is
            "at the goal", and the episode goes on, as in D4RL's files (source ``minari`` cuts it).
        truncations: ``[N]`` bool; true on the last row of an episode that time cut off.
        episode_ends: ``[K]`` int64, the last row of each of the K episodes, rising.
        final_observations: ``[K, O]`` what followed the last row of each episode.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminations: Array
    truncations: Array
    episode_ends: Array
    final_observations: Array

    @classmethod
    def from_episodes(
        cls,
        episodes: Iterable[tuple[Array, Array, Array, Array, Array]],
        spec: EnvSpec | None = None,
    ) -> Dataset:
        """Episodes one after the other as one ``Dataset``; those of no step are left out.

        Args:
            episodes: (observations ``[T + 1, O]``, actions ``[T, A]``, rewards ``[T]``,
                terminations ``[T]``, truncations ``[T]``) of each; one at least has a step.
            spec: names the types of observations and actions; float32 by default.
        """
        whole = (episode for episode in episodes if len(episode[2]))
        observations, actions, rewards, terminations, truncations = zip(*whole, strict=True)
        seen, played = (spec.observation.dtype, spec.action.dtype) if spec else ("float32",) * 2
        return cls(
            observations=np.concatenate([o[:-1] for o in observations]).astype(seen),
            actions=np.concatenate(actions).astype(played),
            rewards=np.concatenate(rewards).astype(np.float32),
            terminations=np.concatenate(terminations).astype(bool),
            truncations=np.concatenate(truncations).astype(bool),
            episode_ends=np.cumsum([len(r) for r in rewards]) - 1,
            final_observations=np.stack([o[-1] for o in observations]).astype(seen),
        )

    @property
    def next_observations(self) -> Array:
        """``[N, O]`` what followed each row: a new array, made of the observations."""
        following = np.empty_like(self.observations)
        following[:-1] = self.observations[1:]
        following[self.episode_ends] = self.final_observations
        return following

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.rewards)

    @property
    def episode_starts(self) -> Array:
        """``[K]`` the first row of each episode."""
        return np.concatenate([[0], self.episode_ends[:-1] + 1])

    @property
    def episode_lengths(self) -> Array:
        """``[K]`` rows in each episode."""
        return np.diff(self.episode_ends, prepend=-1)

    @property
    def episode_returns(self) -> Array:
        """``[K]`` float64, undiscounted sum of raw rewards."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.episode_starts)


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
    ends = dataset.episode_ends
    if len(ends) == 0 or ends[-1] != rows - 1:
        raise InputError(
            f"{where}: the last row, {rows - 1}, does not end an episode; "
            "the file was cut: make or download the dataset again"
        )
    shapes = {
        "observations": spec.observation.batch(rows),
        "actions": spec.action.batch(rows),
        "rewards": (rows,),
        "terminations": (rows,),
        "truncations": (rows,),
        "final_observations": spec.observation.batch(len(ends)),
    }
    for name, shape in shapes.items():
        array: Array = getattr(dataset, name)
        if array.shape != shape:
            raise InputError(
                f"{where}: {name} has shape {array.shape}, expected {shape}; "
                "is this the dataset of another task?"
            )
        require_finite(name, array, where)
        bound = _LARGEST.get(name)
        if bound and array.dtype.kind == "f" and max(array.max(), -array.min()) > bound:
            bad = _rows_where(np.abs(array) > bound)
            raise InputError(
                f"{where}: {name} row {bad[0]} is beyond {bound:g} ({len(bad)} such rows), too "
                "large to be summed and squared in float32; give it another unit"
            )
    bad = np.flatnonzero(~spec.action.contains(dataset.actions))
    if len(bad):
        what, fix = "leaves [-1, 1]", "rescale the actions to the environment's range"
        if isinstance(spec.action, Discrete):
            what, fix = f"is none of {spec.action.n} choices", "count choices from 0"
        raise InputError(f"{where}: actions row {bad[0]} {what} ({len(bad)} such rows); {fix}")
    open_ends = ends[~(dataset.terminations[ends] | dataset.truncations[ends])]
    if len(open_ends):
        raise InputError(
            f"{where}: the episode that ends at row {open_ends[0]} is neither terminated nor "
            "truncated there; make or download the dataset again"
        )
    early = np.setdiff1d(np.flatnonzero(dataset.truncations), ends)
    if len(early):
        raise InputError(
            f"{where}: the episode of row {early[0]} goes on after it was truncated there; episode "
            "boundaries are wrong: make or download the dataset again"
        )


def require_finite(name: str, array: Array, where: str) -> None:
    """Refuse an array ``[N, ...]`` that holds what is no number.

    Raises:
        InputError: naming ``where``, the array and the first bad row.
    """
    finite = np.isfinite(array)
    if not finite.all():
        bad = _rows_where(~finite)
        raise InputError(
            f"{where}: {name} row {bad[0]} is not finite ({len(bad)} such rows); "
            "make or download the dataset again"
        )


def _rows_where(entries: Array) -> Array:
    """``[K]`` the rows of ``entries`` ``[N, ...]`` bool that have a true one."""
    return np.flatnonzero(entries.reshape(len(entries), -1).any(axis=1))


def content_hash(dataset: Dataset) -> str:
    """SHA-256 of all rows, array after array: equal data, equal hash."""
    digest = hashlib.sha256()
    for name in _HASHED:
        digest.update(np.ascontiguousarray(getattr(dataset, name)).tobytes())
    return digest.hexdigest()
