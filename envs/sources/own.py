"""Data that users bring: any Minari dataset with bounded actions or with choices.

Actions are scaled from the environment's range to [-1, 1], and choices counted from 0. The
environment of the task's row is the one that scores; a dataset that says it was collected in
another is doubted.
"""

from __future__ import annotations

import functools
from typing import Any

import gymnasium
import numpy as np

from envs.dataset import Dataset, check
from envs.environment import World
from envs.errors import EnvironmentFault, InputError
from envs.sources import stored
from envs.sources.collected_in import Scorer, describe, differences, what_counts
from envs.sources.download import Progress
from envs.sources.minari import data_hash, download, episodes, read_metadata
from envs.sources.reader import Reader
from envs.sources.reading import Unreadable, readable
from envs.sources.regenerated import dataset_folder
from envs.spaces import Array
from envs.tasks import Task
from envs.worlds.actions import ActionRange
from envs.worlds.gymnasium_lanes import GymnasiumLanes

_FIX = "write it again with Minari, from whole episodes"
# Actions that differ by less than this share of the range are nothing that a policy could hit: all
# columns together, and one column on its own, which may well be meant to rest.
_NARROW, _NARROW_COLUMN = 1e-4, 1e-9
_NOISE = 1e-6  # relative, of numbers that were float32


def scored_in(task: Task, version: str) -> World:
    """The environment of the task's row.

    Raises:
        InputError: a ``version`` is asked for.
    """
    if version:
        raise InputError(f"{task.name} is scored in {task.gymnasium_id}; leave --environment out")
    return World(task.gymnasium_id, task.make_environment)


def provenance(task: Task, scale: float) -> dict[str, Any]:
    """The provenance of the task's data, with ``doubts`` if they name another environment.

    ``scored_in`` has what an environment's id leaves open; see ``collected_in.what_counts``.

    Raises:
        InputError: the dataset is missing or half written.
    """
    del scale
    missing = f"write it with Minari, or run: rl-or-bc data fetch {task.data} --source own"
    metadata = read_metadata(task.data, missing, _FIX)
    expected = task.gymnasium_id.rpartition(":")[2]  # without the module that registers it
    registered = repr(gymnasium.envs.registration.registry.get(expected))
    try:
        scorer = _scorer(task.environment, registered)
    except EnvironmentFault:
        scorer = None  # which is said where it is to be scored in it
    return {
        "dataset_id": task.data,
        "source": "own",
        "hash": data_hash(task.data),
        "scored_in": {} if scorer is None else what_counts(scorer),
        "doubts": _doubts(task, metadata, expected, scorer),
    }


def _doubts(
    task: Task, metadata: dict[str, Any], expected: str, scorer: Scorer | None
) -> list[str]:
    with readable(f"dataset {task.data}", _FIX):
        theirs = stored.read_spec(metadata)
        found = theirs.get("id", expected)
        if found != expected:
            return [f"{task.data} was collected in {found}, and is scored in {expected}"]
        if scorer is None:
            return []
        spaces = stored.read_spaces(dataset_folder(task.data) / "data", metadata)
        lines = differences(theirs, spaces, scorer) or _too_long(metadata, scorer)
    how = f"was collected in another {expected} than it is scored in"
    if not theirs:
        how = f"does not fit {expected}, in which it is scored"
    return [f"{task.data} {how}: {line}" for line in lines]


def _too_long(metadata: dict[str, Any], scorer: Scorer) -> list[str]:
    """A line if episodes have more steps than the time limit lets them, on average."""
    steps, num_episodes = metadata.get("total_steps"), metadata.get("total_episodes")
    if not isinstance(steps, int) or not isinstance(num_episodes, int) or num_episodes < 1:
        return []  # which is said where they are read
    limit = what_counts(scorer)["time_limit"]
    if limit is None or steps <= limit * num_episodes:
        return []
    return [f"episodes of {steps / num_episodes:.4g} steps there, time limit {limit} here"]


@functools.lru_cache(maxsize=16)
def _scorer(gymnasium_id: str, registered: str) -> Scorer:
    """The environment that scores; ``registered`` is gymnasium's entry, which may change."""
    del registered
    lanes = GymnasiumLanes(gymnasium_id, 1, (0.0, 1.0))
    try:
        return describe(lanes.environment)
    finally:
        lanes.close()


def read(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's data; see ``envs.sources.registry.load``."""
    facts = provenance(task, scale)
    lanes = GymnasiumLanes(task.environment, 1, task.reference_returns)
    try:
        played = _Played(task, lanes.actions) if isinstance(lanes.actions, ActionRange) else None

        def observed(observations: Any) -> Array:
            try:
                return lanes.flatten(observations)
            # gymnasium's spaces answer what is not theirs with errors of any type.
            except Exception as error:
                raise Unreadable(f"{error}; is it the data of {task.gymnasium_id}?") from None

        def acted(actions: Any) -> Array:
            if not isinstance(actions, np.ndarray):
                raise Unreadable("its actions are in parts, expected one array")
            if played is not None:
                return played.unscale(actions)
            if actions.dtype.kind not in "iu" or actions.size != len(actions):
                kind = f"shape {actions.shape[1:]} and type {actions.dtype}"
                raise Unreadable(f"it has actions of {kind}, expected whole numbers")
            return lanes.actions.unscale(actions)

        found = episodes(task.data, observed, acted, lanes.spec, _FIX)
        dataset = Dataset.from_episodes(found, lanes.spec)
        if played is not None:
            played.require_choice()
        _require_whole_episodes(task, dataset)
    finally:
        lanes.close()
    check(dataset, lanes.spec, task.data)
    return dataset, facts


def _require_whole_episodes(task: Task, dataset: Dataset) -> None:
    """Refuse several episodes written as one: a reset would pass for a step.

    Raises:
        InputError: naming the episode and the step.
    """
    ended = np.flatnonzero(dataset.terminations | dataset.truncations)
    early = np.setdiff1d(ended, dataset.episode_ends)
    if len(early):
        episode = int(np.searchsorted(dataset.episode_ends, early[0]))
        step = early[0] - dataset.episode_starts[episode]
        raise InputError(
            f"{task.data}: the episode of row {early[0]} goes on after it ended at step {step}; "
            "write what follows an end as an episode of its own"
        )


class _Played:
    """The actions of a dataset in the environment's range, and how much of it they use."""

    def __init__(self, task: Task, actions: ActionRange) -> None:
        self._task, self._actions = task, actions
        self._low, self._high = (np.full((2, actions.size), sign * np.inf) for sign in (1, -1))

    def unscale(self, actions: Array) -> Array:
        """``[T, ...]`` in the environment's range to ``[T, A]`` in [-1, 1]."""
        if len(actions) and actions[0].size != self._actions.size:
            shape, size = actions.shape[1:], self._actions.size
            raise Unreadable(f"it has actions of shape {shape}, expected {size} numbers")
        found = self._actions.unscale(actions)
        if len(found):
            both = np.stack([actions.reshape(len(actions), -1).astype(np.float64), found])
            self._low = np.minimum(self._low, both.min(axis=1))
            self._high = np.maximum(self._high, both.max(axis=1))
        return found

    def require_choice(self) -> None:
        """Refuse actions that the environment's range makes one.

        Raises:
            InputError: naming a column, what it holds and the range.
        """
        size = np.maximum(np.abs(self._low[0]), np.abs(self._high[0]))
        moved, used = self._high - self._low
        moves = moved > _NOISE * size
        all_narrow = moves.any() and np.all(used[moves] < _NARROW)
        narrow = np.flatnonzero(moves & (used < (_NARROW if all_narrow else _NARROW_COLUMN)))
        if len(narrow):
            column = narrow[0]
            raise InputError(
                f"{self._task.data}: actions column {column} lie between "
                f"{self._low[0, column]:g} and {self._high[0, column]:g}, which is next to nothing "
                f"of the range of {self._task.gymnasium_id}; give the environment bounds near to "
                "what is played"
            )


def fetch(task: Task, mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """Download the task's dataset from Minari's server; see ``envs.sources.registry.fetch``."""
    return download([task.data], mirror, overwrite, progress)


READER = Reader(provenance, read, fetch, scored_in)
