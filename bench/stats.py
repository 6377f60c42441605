"""Statistics over ``scores[num_runs, num_tasks]``, each with its interval. Imports no JAX.

A run is a training seed; a score is normalized (0 random, 100 reference). Every resampling takes
its own generator, so that the same rows give the same intervals.

Two intervals, for two uses. Over the tasks of a family: the stratified bootstrap, which resamples
seeds task by task. For one cell: Student's t, because a bootstrap of three seeds can draw nothing
but those three; on normal scores its 95 % interval then holds the mean in about 3 of 4 cases.

Departure from rliable: a resample has one seed less than there are, so that its mean varies as the
mean of all seeds does (Rao and Wu 1988, JASA 83:231). With all of three seeds it varies by a
factor 2 / 3 too little, and the 95 % interval of four tasks holds the mean in 85 of 100 cases; with
one less in 91 (``tests/test_stats.py`` measures both).

Source: Agarwal et al. 2021 (arXiv:2108.13264); values checked against rliable 1.2 and scipy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from envs.scores import normalized_score
from envs.types import Array

CONFIDENCE = 0.95
CONFIDENCE_TEXT = f"{100 * CONFIDENCE:.0f} %"
NUM_RESAMPLES = 2000
OPTIMAL = 100.0  # what the optimality gap is measured from: the reference policy's score

Statistic = Callable[[Array], Array]
Interval = tuple[float, float]


def evaluations(rows: pd.DataFrame, reference_returns: tuple[float, float]) -> pd.DataFrame:
    """One cell's scores: seeds down, steps of its evaluations across, both rising.

    Each return is normalized, then averaged over the seed's episodes.

    Args:
        rows: raw rows with ``seed``, ``step`` and ``return``, one per episode.
        reference_returns: the task's (random, reference) returns.
    """
    scores = normalized_score(rows["return"].to_numpy(), reference_returns)
    return rows.assign(score=scores).pivot_table("score", "seed", "step", aggfunc="mean")


def last(curve: pd.DataFrame) -> Array:
    """``[S]`` the last evaluation of each seed, which is what every table here shows."""
    return curve.to_numpy()[:, -1]


def best(curve: pd.DataFrame) -> Array:
    """``[S]`` the best evaluation of each seed.

    Picked by the score it reports, so it is biased upwards, more so with more evaluations.
    """
    return curve.to_numpy().max(axis=1)


def mean_of_last(curve: pd.DataFrame, num_evaluations: int) -> Array:
    """``[S]`` mean of each seed's last ``num_evaluations``, or of all there are if fewer."""
    return curve.to_numpy()[:, -num_evaluations:].mean(axis=1)


def mean(scores: Array) -> Array:
    """Mean of ``[..., runs, tasks]`` over runs and tasks."""
    return scores.mean(axis=(-2, -1))


def median(scores: Array) -> Array:
    """Median over tasks of the means over runs, of ``[..., runs, tasks]``."""
    return np.median(scores.mean(axis=-2), axis=-1)


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half of all scores of ``[..., runs, tasks]``.

    A quarter of the scores, rounded down, is left out at either end.
    """
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1))
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def optimality_gap(scores: Array) -> Array:
    """How far ``[..., runs, tasks]`` stays below ``OPTIMAL`` on average; what is above counts 0."""
    return OPTIMAL - np.minimum(scores, OPTIMAL).mean(axis=(-2, -1))


AGGREGATES: dict[str, Statistic] = {
    "mean": mean,
    "median": median,
    "IQM": interquartile_mean,
    "optimality gap": optimality_gap,
}


def probability_of_improvement(scores: Array, others: Array) -> Array:
    """How likely a run of ``scores`` beats one of ``others`` on a task, averaged over tasks.

    A tie counts half (the Mann-Whitney statistic).

    Args:
        scores: ``[..., runs, tasks]``.
        others: ``[..., other runs, tasks]``.
    """
    ours, theirs = scores[..., :, None, :], others[..., None, :, :]
    return ((ours > theirs) + 0.5 * (ours == theirs)).mean(axis=(-3, -2, -1))


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """``[..., T]`` share of the runs of ``[..., runs, tasks]`` that score above each threshold."""
    return (scores[..., None] > thresholds).mean(axis=(-3, -2))


def resample(scores: Array, generator: np.random.Generator, num: int = NUM_RESAMPLES) -> Array:
    """``[num, runs - 1, tasks]`` of ``[runs, tasks]``: seeds with replacement, by task.

    A single run is drawn as it is.
    """
    num_runs, num_tasks = scores.shape
    size = (num, max(1, num_runs - 1), num_tasks)
    return scores[generator.integers(num_runs, size=size), np.arange(num_tasks)]


def bounds(resampled: Array) -> tuple[Array, Array]:
    """Lower and upper end, ``[...]`` each, of the percentile interval of ``[num, ...]``.

    Args:
        resampled: a statistic of each resample.
    """
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=0)
    return low, high


def cell_interval(scores: Array, cells: int = 1) -> Interval:
    """Student's interval of the mean of one cell's ``[S]`` scores; infinite for a single seed.

    Args:
        scores: of each seed.
        cells: how many intervals are to hold at once (Bonferroni).
    """
    if len(scores) < 2:
        return -np.inf, np.inf
    error = scores.std(ddof=1) / np.sqrt(len(scores))
    half = float(stdtrit(len(scores) - 1, 1.0 - 0.5 * (1.0 - CONFIDENCE) / cells) * error)
    return float(scores.mean()) - half, float(scores.mean()) + half


def cell_draws(scores: Array, generator: np.random.Generator, num: int = NUM_RESAMPLES) -> Array:
    """``[num]`` means of one cell, spread about that of its ``[S]`` scores as Student's t is.

    Where a family has resamples: a difference of two such draws has the Behrens-Fisher interval.
    """
    if len(scores) < 2:
        return np.full(num, scores.mean())
    error = scores.std(ddof=1) / np.sqrt(len(scores))
    draws: Array = scores.mean() + error * generator.standard_t(len(scores) - 1, num)
    return draws
