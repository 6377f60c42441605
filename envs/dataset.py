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
_LARGEST = {"observations": 1e18, "next_observations": 1e18, "rewards": 1e12}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """Whole episodes, one after the other, as flat arrays under Minari's names.

    Attributes:
        observations: ``[N, O]`` float32.
        actions: ``[N, A]`` float32 in [-1, 1].
        rewards: ``[N]`` float32, raw as the environment gave them.
        terminations: ``[N]`` bool; true where the bootstrap must be masked. In mazes this is
            "at the goal", and the episode goes on, as in D4RL's files (source ``minari`` cuts it).
        truncations: ``[N]`` bool; true on the last row of an episode that time cut off.
        episode_ends: ``[K]`` int64, the last row of each of the K episodes, rising.
        next_observations: ``[N, O]`` float32, exact also on the last row of an episode.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminations: Array
    truncations: Array
    episode_ends: Array
    next_observations: Array

    @classmethod
    def from_episodes(cls, episodes: Iterable[tuple[Array, Array, Array, Array, Array]]) -> Dataset:
        """Episodes one after the other as one ``Dataset``; those of no step are left out.

        Args:
            episodes: (observations ``[T + 1, O]``, actions ``[T, A]``, rewards ``[T]``,
                terminations ``[T]``, truncations ``[T]``) of each; one at least has a step.
        """
        whole = (episode for episode in episodes if len(episode[2]))
        observations, actions, rewards, terminations, truncations = zip(*whole, strict=True)
        float32 = lambda arrays: np.concatenate(arrays).astype(np.float32)
        return cls(
            observations=float32([o[:-1] for o in observations]),
            actions=float32(actions),
            rewards=float32(rewards),
            terminations=np.concatenate(terminations).astype(bool),
            truncations=np.concatenate(truncations).astype(bool),
            episode_ends=np.cumsum([len(r) for r in rewards]) - 1,
            next_observations=float32([o[1:] for o in observations]),
        )

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
    shapes = {
        "observations": spec.observation.batch(rows),
        "next_observations": spec.observation.batch(rows),
        "actions": spec.action.batch(rows),
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
        finite = np.isfinite(array)
        if not finite.all():
            bad = np.flatnonzero(~finite.reshape(rows, -1).all(axis=1))
            raise InputError(
                f"{where}: {name} row {bad[0]} is not finite ({len(bad)} such rows); "
                "make or download the dataset again"
            )
        bound = _LARGEST.get(name)
        if bound and array.size and max(array.max(), -array.min()) > bound:
            bad = np.flatnonzero((np.abs(array) > bound).reshape(rows, -1).any(axis=1))
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
    broken = np.setdiff1d(rows_that_differ(dataset.next_observations, dataset.observations), ends)
    if len(broken):
        raise InputError(
            f"{where}: row {broken[0]} leads elsewhere than to the next row of its "
            "episode; episode boundaries are wrong: make or download the dataset again"
        )


def rows_that_differ(successors: Array, observations: Array) -> Array:
    """``[K]`` rows, rising, whose row of ``successors`` ``[N, O]`` is not the next observation.

    By slices and in one sweep over the entries: copies of the arrays would double the memory in
    use, and numpy is slow to reduce over rows this short.
    """
    differ = np.flatnonzero((successors[:-1] != observations[1:]).reshape(-1))
    return np.unique(differ // observations.shape[1])


def content_hash(dataset: Dataset) -> str:
    """SHA-256 of all arrays in the order of their fields: equal data, equal hash."""
    digest = hashlib.sha256()
    for name in Dataset.__dataclass_fields__:
        digest.update(np.ascontiguousarray(getattr(dataset, name)).tobytes())
    return digest.hexdigest()
