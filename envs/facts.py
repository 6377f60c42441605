"""Facts that a dataset tells by itself, without its environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.dataset import Dataset
from envs.scores import normalized_score
from envs.spaces import Array
from envs.tasks import Task
from envs.worlds.maps import count_solutions

_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_SATURATED = 0.999


def summarize(dataset: Dataset, task: Task) -> dict[str, Any]:
    """Everything below as what JSON can hold.

    Args:
        dataset: as ``envs.sources.registry.load`` gives it.
        task: whose reference returns normalise scores.

    Returns:
        ``rows``, ``episodes``, ``terminations``, ``truncations``; ``episode_lengths``, ``returns``
        and ``scores`` (normalized) as quantiles; ``rewards`` as a histogram; ``actions``: range and
        share of entries at a limit, or the rows of each choice; ``not_finite`` and ``duplicates``:
        rows; ``longest_step``: the longest way an entry of an observation goes in one step.
    """
    returns = dataset.episode_returns
    following = dataset.next_observations
    return {
        "rows": dataset.num_rows,
        "episodes": len(returns),
        "terminations": int(dataset.terminations.sum()),
        "truncations": int(dataset.truncations.sum()),
        "episode_lengths": _quantiles(dataset.episode_lengths),
        "returns": _quantiles(returns),
        "scores": _quantiles(scores(dataset, task)),
        "rewards": _histogram(dataset.rewards),
        "actions": _actions(dataset.actions),
        "not_finite": _num_not_finite(dataset),
        "duplicates": num_duplicates(dataset),
        "longest_step": _longest_step(dataset.observations, following),
    }


def scores(dataset: Dataset, task: Task) -> Array:
    """``[K]`` normalized scores of whole episodes."""
    return normalized_score(task.kind.worth(dataset.episode_returns), task.reference_returns)


def describe(
    dataset: Dataset, task: Task, provenance: dict[str, Any], num_bytes: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The size and the quality of a dataset that was made here, for ``rl-or-bc data info``.

    In mazes with the number of episodes that lead from the evaluation start to its goal.
    Quality is in normalized scores of whole episodes (quantiles and mean) and in per cent of rows
    with a positive reward, of robots that reached their own goal, and of robots that flipped over.
    """
    of_episodes = scores(dataset, task)
    low, median, high = np.quantile(of_episodes, [0.1, 0.5, 0.9])
    size = {
        "task": task.name,
        "rows": dataset.num_rows,
        "episodes": len(of_episodes),
        "terminated": int(dataset.terminations.sum()),
        "truncated": int(dataset.truncations.sum()),
        "MB": num_bytes / 1e6,
        "hash": provenance["hash"][:8],
    }
    quality = {
        "task": task.name,
        "10 %": low,
        "median": median,
        "mean": float(of_episodes.mean()),
        "90 %": high,
        "rewarded": 100.0 * float((dataset.rewards > 0).mean()),
        "reached": 100.0 * provenance["goals_reached_fraction"],
        "flipped": 100.0 * provenance["flipped_fraction"],
    }
    if task.kind.has_goals:
        ways = zip(
            dataset.episode_starts, dataset.episode_ends, dataset.final_observations, strict=True
        )
        xy = [
            np.concatenate([dataset.observations[first : last + 1, :2], final[None, :2]])
            for first, last, final in ways
        ]
        quality["start to goal"] = count_solutions(xy, task.environment)
    return size, quality


def num_duplicates(dataset: Dataset) -> int:
    """Rows whose observation and action, bit for bit, an earlier row has as well."""
    arrays = [array.reshape(len(array), -1) for array in (dataset.observations, dataset.actions)]
    bits = np.concatenate(arrays, axis=1, dtype=np.float32).view(np.uint32)
    # 64-bit fingerprints: two different ones of two million rows meet once in ten million datasets.
    weights = np.random.default_rng(0).integers(2**63, size=(bits.shape[1], 1), dtype=np.uint64)
    fingerprints = np.zeros(len(bits), np.uint64)
    for column in range(bits.shape[1]):
        mixed = (bits[:, column] + weights[column]) * np.uint64(0xBF58476D1CE4E5B9)
        fingerprints ^= mixed ^ (mixed >> np.uint64(29))
        fingerprints *= np.uint64(0x94D049BB133111EB)
        fingerprints ^= fingerprints >> np.uint64(32)
    return int(len(bits) - len(np.unique(fingerprints)))


def _actions(actions: Array) -> dict[str, Any]:
    found: dict[str, Any] = {"min": float(actions.min()), "max": float(actions.max())}
    if actions.dtype.kind == "i":
        return found | {"choices": np.bincount(actions).tolist()}
    return found | {"saturated": float(np.mean(np.abs(actions) >= _SATURATED))}


def _quantiles(values: Array) -> dict[str, float]:
    found = np.quantile(values, _QUANTILES)
    named = {f"{q:.0%}": float(value) for q, value in zip(_QUANTILES, found, strict=True)}
    return named | {"mean": float(np.mean(values))}


def _histogram(values: Array) -> dict[str, list[float]]:
    counts, edges = np.histogram(values.astype(np.float64), bins=10)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _num_not_finite(dataset: Dataset) -> int:
    bad = ~np.isfinite(dataset.rewards)
    for array in (dataset.observations, dataset.actions):
        bad |= ~np.isfinite(array).reshape(len(bad), -1).all(axis=1)
    final = dataset.final_observations
    bad[dataset.episode_ends] |= ~np.isfinite(final).reshape(len(final), -1).all(axis=1)
    return int(bad.sum())


def _longest_step(observations: Array, following: Array) -> float:
    moves = np.subtract(following, observations, dtype=np.float32)
    return float(np.abs(moves, out=moves).max())
