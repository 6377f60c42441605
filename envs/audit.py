"""The audit of a dataset beside its environment, before its scores are believed.

The *physics replay check* puts the simulator into a row's state, takes the row's action, and
compares what comes out with the row: a drift between versions of MuJoCo, or data of another
environment, is then a figure and not a guess.

States are those that observations show, which every source has; x, the one coordinate that they
lack in locomotion, moves the robot no differently, while in a float32 of D4RL's ``infos/qpos`` its
rounding alone would be an error of 0.001 in the reward a hundred metres out. Where observations
clip velocities, those of ``infos/qvel`` are taken; rows without them are left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from envs import facts
from envs.dataset import Dataset
from envs.environment import Replayable, World
from envs.spaces import Array
from envs.tasks import Task

States = Callable[[Array], Array | None]

NUM_REPLAYED = 1000
_LANES = 50


def audit(
    dataset: Dataset,
    task: Task,
    world: World,
    provenance: dict[str, Any],
    states: States | None = None,
) -> dict[str, Any]:
    """Everything below as what JSON can hold.

    Args:
        dataset: as ``envs.sources.registry.load`` gives it.
        task: whose reference returns normalise scores.
        world: the environment that will score it.
        provenance: of the data.
        states: rows ``[K]`` -> their observations ``[K, O]`` with nothing clipped, or None where
            the files have none.

    Returns:
        ``task``, ``environment``, ``replay``, ``provenance`` and what ``envs.facts.summarize``
        gives.
    """
    return {
        "task": task.name,
        "environment": world.gymnasium_id,
        **facts.summarize(dataset, task),
        "replay": replay(dataset, world, states),
        "provenance": provenance,
    }


def replay(dataset: Dataset, world: World, states: States | None = None) -> dict[str, Any]:
    """The physics replay check on ``NUM_REPLAYED`` rows spread evenly over the dataset.

    Args:
        dataset: as ``envs.sources.registry.load`` gives it.
        world: the environment to replay in.
        states: see ``audit``.

    Returns:
        ``rows``: how many were replayed. Median, 99 % and maximum over rows of the largest
        difference within a row: of the ``state`` that was restored from the row's observation, of
        the next ``observation``, and of the ``reward``. ``terminations``: rows where environment
        and data disagree. The last two are None in mazes, whose data do not say which goal a
        row was paid for.
    """
    rows = np.unique(np.linspace(0, dataset.num_rows - 1, NUM_REPLAYED).astype(np.int64))
    shown = states(rows) if states else None
    with contextlib.closing(world.make(1, 1)) as one:
        paid = one.spec.goal is None
        if not isinstance(one, Replayable):
            rows = rows[:0]
        elif shown is None:
            rows = rows[one.restorable(dataset.observations[rows])]
    shown = dataset.observations[rows] if shown is None else shown
    found: dict[str, list[Array]] = {"state": [], "observation": [], "reward": [], "end": []}
    if len(rows):
        with contextlib.closing(world.make(_LANES, None)) as lanes:
            assert isinstance(lanes, Replayable)
            found = _replay(dataset, rows, shown, lanes)
    joined = {name: np.concatenate(parts) if parts else None for name, parts in found.items()}
    disagree = joined["end"]
    return {
        "rows": len(rows),
        "state": _spread(joined["state"]),
        "observation": _spread(joined["observation"]),
        "reward": _spread(joined["reward"]) if paid else None,
        "terminations": int(disagree.sum()) if paid and disagree is not None else None,
    }


def _replay(
    dataset: Dataset, rows: Array, shown: Array, lanes: Replayable
) -> dict[str, list[Array]]:
    """Differences of state, observation, reward and end, in blocks of a lane each."""
    found: dict[str, list[Array]] = {"state": [], "observation": [], "reward": [], "end": []}
    following = dataset.next_observations
    for start in range(0, len(rows), _LANES):
        part = rows[start : start + _LANES]
        own = slice(len(part))
        restored = lanes.restore(np.resize(shown[start : start + _LANES], (_LANES, shown.shape[1])))
        actions = np.resize(dataset.actions[part], (_LANES, lanes.spec.action_dim))
        after, rewards, ends = lanes.step(actions, np.ones(_LANES, bool))
        found["state"].append(_farthest(restored[own], dataset.observations[part]))
        found["observation"].append(_farthest(after[own], following[part]))
        found["reward"].append(np.abs(rewards[own] - dataset.rewards[part]))
        found["end"].append(ends[own] != dataset.terminations[part])
    return found


def _farthest(one: Array, other: Array) -> Array:
    distances: Array = np.abs(one - other).max(axis=1)
    return distances


def _spread(errors: Array | None) -> dict[str, float] | None:
    if errors is None:
        return None
    median, high, top = np.quantile(errors, [0.5, 0.99, 1.0])
    return {"median": float(median), "99%": float(high), "max": float(top)}
