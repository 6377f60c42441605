"""What there is to know of a dataset before its scores are believed.

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

from envs.dataset import Dataset, rows_that_differ
from envs.environment import Environment, World
from envs.scores import normalized_score
from envs.spaces import Array
from envs.tasks import Task

States = Callable[[Array], Array | None]

NUM_REPLAYED = 1000
_LANES = 50
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_SATURATED = 0.999


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
        ``rows``, ``episodes``, ``terminations``, ``truncations``; ``episode_lengths``, ``returns``
        and ``scores`` (normalized) as quantiles; ``rewards`` as a histogram; ``actions``: range and
        share of entries at a limit; ``not_finite`` and ``duplicates``: rows; ``continuity``: rows
        that do not lead to the next one of their episode, and the longest way an observation goes
        in one step; ``replay``; ``provenance``.
    """
    returns = dataset.episode_returns
    scores = normalized_score(task.kind.worth(returns), task.reference_returns)
    return {
        "task": task.name,
        "environment": world.gymnasium_id,
        "rows": dataset.num_rows,
        "episodes": len(returns),
        "terminations": int(dataset.terminations.sum()),
        "truncations": int(dataset.truncations.sum()),
        "episode_lengths": _quantiles(dataset.episode_lengths),
        "returns": _quantiles(returns),
        "scores": _quantiles(scores),
        "rewards": _histogram(dataset.rewards),
        "actions": {
            "min": float(dataset.actions.min()),
            "max": float(dataset.actions.max()),
            "saturated": float(np.mean(np.abs(dataset.actions) >= _SATURATED)),
        },
        "not_finite": _num_not_finite(dataset),
        "duplicates": num_duplicates(dataset),
        "continuity": _continuity(dataset),
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
    if shown is None:
        with contextlib.closing(world.make(1, 1)) as one:
            rows = rows[one.restorable(dataset.observations[rows])]
        shown = dataset.observations[rows]
    with contextlib.closing(world.make(_LANES if len(rows) else 1, None)) as lanes:
        found = _replay(dataset, rows, shown, lanes)
        paid = lanes.spec.goal_dim == 0
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
    dataset: Dataset, rows: Array, shown: Array, lanes: Environment
) -> dict[str, list[Array]]:
    """Differences of state, observation, reward and end, in blocks of a lane each."""
    found: dict[str, list[Array]] = {"state": [], "observation": [], "reward": [], "end": []}
    for start in range(0, len(rows), _LANES):
        part = rows[start : start + _LANES]
        own = slice(len(part))
        restored = lanes.restore(np.resize(shown[start : start + _LANES], (_LANES, shown.shape[1])))
        actions = np.resize(dataset.actions[part], (_LANES, lanes.spec.action_dim))
        after, rewards, ends = lanes.step(actions, np.ones(_LANES, bool))
        found["state"].append(_farthest(restored[own], dataset.observations[part]))
        found["observation"].append(_farthest(after[own], dataset.next_observations[part]))
        found["reward"].append(np.abs(rewards[own] - dataset.rewards[part]))
        found["end"].append(ends[own] != dataset.terminations[part])
    return found


def num_duplicates(dataset: Dataset) -> int:
    """Rows whose observation and action, bit for bit, an earlier row has as well."""
    rows = np.concatenate([dataset.observations, dataset.actions], axis=1, dtype=np.float32)
    bits = rows.view(np.uint32)
    # 64-bit fingerprints: two different ones of two million rows meet once in ten million datasets.
    weights = np.random.default_rng(0).integers(2**63, size=(bits.shape[1], 1), dtype=np.uint64)
    fingerprints = np.zeros(len(bits), np.uint64)
    for column in range(bits.shape[1]):
        mixed = (bits[:, column] + weights[column]) * np.uint64(0xBF58476D1CE4E5B9)
        fingerprints ^= mixed ^ (mixed >> np.uint64(29))
        fingerprints *= np.uint64(0x94D049BB133111EB)
        fingerprints ^= fingerprints >> np.uint64(32)
    return int(len(bits) - len(np.unique(fingerprints)))


def _quantiles(values: Array) -> dict[str, float]:
    found = np.quantile(values, _QUANTILES)
    named = {f"{q:.0%}": float(value) for q, value in zip(_QUANTILES, found, strict=True)}
    return named | {"mean": float(np.mean(values))}


def _histogram(values: Array) -> dict[str, list[float]]:
    counts, edges = np.histogram(values.astype(np.float64), bins=10)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _farthest(one: Array, other: Array) -> Array:
    distances: Array = np.abs(one - other).max(axis=1)
    return distances


def _spread(errors: Array | None) -> dict[str, float] | None:
    if errors is None:
        return None
    median, high, top = np.quantile(errors, [0.5, 0.99, 1.0])
    return {"median": float(median), "99%": float(high), "max": float(top)}


def _num_not_finite(dataset: Dataset) -> int:
    arrays = (dataset.observations, dataset.next_observations, dataset.actions)
    finite = np.isfinite(dataset.rewards)
    for array in arrays:
        finite &= np.isfinite(array).all(axis=1)
    return int((~finite).sum())


def _continuity(dataset: Dataset) -> dict[str, float]:
    differ = rows_that_differ(dataset.next_observations, dataset.observations)
    broken = np.setdiff1d(differ, dataset.episode_ends)
    moves = dataset.next_observations - dataset.observations
    return {"broken": len(broken), "longest_step": float(np.abs(moves, out=moves).max())}
