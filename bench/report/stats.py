"""Statistics over ``scores[num_runs, num_tasks]``, each with its interval. Imports no JAX.

A run is a training seed; a score is normalized (0 random, 100 reference). Every resampling takes
its own generator, so that the same rows give the same intervals.

An interval is the estimate, plus and minus Student's quantile times its standard error. So it has
the estimate in its middle, whatever the statistic, and a single run has no interval: its ends are
infinite. The degrees of freedom are few, and they count: 3 seeds on 4 tasks that vary alike have 8,
and as many as 2 where one task alone varies (Welch 1947, Biometrika 34:28; Satterthwaite 1946,
Biometrics Bulletin 2:110). The standard error is

- of one cell's mean, the usual one;
- of a statistic of many tasks, the root mean square by which it differs in resamples, which draw
  seeds task by task, times sqrt(n / (n - 1)), without which a resample's mean varies too little
  (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 12; on the factors,
  Hesterberg 2015, The American Statistician 69:371);
- of a difference between methods, that of the differences *within* seeds. Both methods play the
  same episodes with the same seed (``bench.run.evaluate.episode_seeds``), so a seed with easy
  starts is easy for both. Their initial networks have nothing to do with each other; where the
  starts matter little the differences are as those of independent runs, and the interval still
  holds.
  Seeds that one method alone has count as independent.

Where the best of several methods is meant, it is chosen anew in each draw (``lead``). On normal
scores of 3 or 5 seeds, on 1 to 9 tasks, a difference of two methods is held in 94 to 97 of 100
cases, whether starts are shared or not, and one of the best of several in 95 to 99: too often where
many are equally good. The percentiles of such draws hold it in 78 to 97, as the best of a draw is
above the best mean, which is above the true one by as much again.

Departures from rliable, whose percentiles of resamples hold a mean too seldom with few seeds: of 3
seeds, in 3 of 4 cases on one task and in 85 of 100 on four; these intervals in 95. The former
intervals of this module, from resamples of one seed less (Rao and Wu 1988, JASA 83:231), held it
in 91 of 100 on four tasks, but left out an interquartile mean, whose trimming depends on the number
of seeds. ``tests/bench/test_stats.py`` measures all of this. Tasks are taken as independent: on
this project's own results the mean of a family varies 1.2 times as much from seed to seed as that
says.

Source: Agarwal et al. 2021 (arXiv:2108.13264); values checked against rliable 1.2 and scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import betaincinv, stdtrit

from envs.scores import normalized_score
from envs.spaces import Array

CONFIDENCE = 0.95
CONFIDENCE_TEXT = f"{100 * CONFIDENCE:.0f} %"
NUM_RESAMPLES = 2000
OPTIMAL = 100.0  # what the optimality gap is measured from: the reference policy's score

Statistic = Callable[[Array], Array]
Interval = tuple[float, float]
Runs = Sequence[pd.Series]  # of one method: on each task, the score of each seed


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
    """The mean gap of ``[..., runs, tasks]`` below ``OPTIMAL``; a score above it counts 0."""
    return OPTIMAL - np.minimum(scores, OPTIMAL).mean(axis=(-2, -1))


AGGREGATES: dict[str, Statistic] = {
    "mean": mean,
    "median": median,
    "IQM": interquartile_mean,
    "optimality gap": optimality_gap,
}


def probability_of_improvement(scores: Array, others: Array) -> Array:
    """The probability that a run of ``scores`` beats one of ``others``, averaged over tasks.

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
    """``[num, runs, tasks]`` of ``[runs, tasks]``: seeds with replacement, by task."""
    num_runs, num_tasks = scores.shape
    drawn = generator.integers(num_runs, size=(num, num_runs, num_tasks))
    return scores[drawn, np.arange(num_tasks)]


class Estimate(NamedTuple):
    """A figure with what its interval is made of.

    Attributes:
        value: the figure.
        error: its standard error.
        freedom: degrees of freedom of that.
        num_runs: seeds that it comes from, the fewest there are of any cell.
    """

    value: float
    error: float
    freedom: float
    num_runs: int

    def interval(self, more: int = 0, cells: int = 1) -> Interval:
        """Student's interval; infinite for a single seed.

        Args:
            more: as if there were so many more seeds, with the same value and spread.
            cells: how many intervals are to hold at once (Bonferroni).
        """
        if self.num_runs < 2:
            return -np.inf, np.inf
        num_runs = self.num_runs + more
        freedom = self.freedom * (num_runs - 1) / (self.num_runs - 1)
        half = _student(freedom, cells) * self.error * float(np.sqrt(self.num_runs / num_runs))
        return self.value - half, self.value + half


def cell_mean(scores: Array) -> Estimate:
    """The mean of one cell's ``[S]`` scores."""
    error = scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.inf
    return Estimate(float(scores.mean()), float(error), len(scores) - 1.0, len(scores))


def cell_interval(scores: Array) -> Interval:
    """Student's interval of the mean of one cell's ``[S]`` scores; infinite for a single seed."""
    return cell_mean(scores).interval()


def bounds(value: Array, resampled: Array, *samples: Array) -> tuple[Array, Array]:
    """Lower and upper end, ``[...]`` each, of a statistic; infinite for a single run.

    The degrees of freedom are those of the mean, or of the difference of two means.

    Args:
        value: ``[...]`` the statistic of all runs.
        resampled: ``[num, ...]`` the statistic of each resample.
        samples: ``[runs, tasks]`` scores that it comes from, of one method or of two.
    """
    value = np.asarray(value, np.float64)
    num_runs = min(len(scores) for scores in samples)
    if num_runs < 2:
        return np.full_like(value, -np.inf), np.full_like(value, np.inf)
    squares = np.mean((resampled - value) ** 2, axis=0)
    variances = np.concatenate([scores.var(axis=0, ddof=1) / len(scores) for scores in samples])
    freedoms = np.repeat([len(scores) - 1.0 for scores in samples], samples[0].shape[1])
    half = _student(_satterthwaite(variances, freedoms))
    half = half * np.sqrt(num_runs / (num_runs - 1) * squares)
    return value - half, value + half


def improvement_bounds(value: float, resampled: Array, scores: Array, others: Array) -> Interval:
    """``bounds`` of a probability of improvement.

    The probability is that of two runs which have nothing in common, so the resamples of the two
    are drawn apart. Where on each task all runs win, or none, resamples do not vary, which says
    nothing of how sure that is; the interval is then Clopper and Pearson's (1934, Biometrika
    26:404) of that share of wins among as many trials as there are pairs of runs.

    Args:
        value: the probability.
        resampled: ``[num]`` it in each resample.
        scores: ``[runs, tasks]``.
        others: ``[other runs, tasks]``.
    """
    low, high = map(float, bounds(np.array(value), resampled, scores, others))
    if not np.isfinite(low):
        return low, high
    if high - low > 1e-9:  # more than rounding
        return max(low, 0.0), min(high, 1.0)
    num_pairs = min(len(scores), len(others)) * scores.shape[1]
    wins, tail = value * num_pairs, 0.5 * (1.0 - CONFIDENCE)
    low = float(betaincinv(wins, num_pairs - wins + 1.0, tail)) if wins > 0.0 else 0.0
    high = float(betaincinv(wins + 1.0, num_pairs - wins, 1.0 - tail)) if value < 1.0 else 1.0
    return low, high


def lead(ours: Sequence[Runs], theirs: Sequence[Runs], generator: np.random.Generator) -> Estimate:
    """The lead of the best mean over tasks of ``ours`` over that of ``theirs``, seed by seed.

    A draw adds to each method's mean the deviations of its seeds, each times a normal number that
    all methods share for that seed and task (a multiplier bootstrap: Wu 1986, Annals of Statistics
    14:1261). The difference of two methods so varies as the mean difference within seeds does, and
    the best method of a draw may be another. Of two methods alone the interval is Student's for
    pairs. If the same two are best in every draw it is as well: draws only say how much the choice
    adds.

    Args:
        ours: of each method, the scores on each task by seed.
        theirs: likewise, on the same tasks.
        generator: of the draws.
    """
    methods = [*ours, *theirs]
    means = np.array([np.mean([s.to_numpy().mean() for s in method]) for method in methods])
    best = int(means[: len(ours)].argmax())
    other = len(ours) + int(means[len(ours) :].argmax())
    value = float(means[best] - means[other])
    num_runs = min(len(scores) for method in methods for scores in method)
    if num_runs < 2:
        return Estimate(value, np.inf, 0.0, num_runs)
    variances, freedoms, draws = [], [], np.zeros((len(methods), NUM_RESAMPLES))
    for of_task in zip(*methods, strict=True):
        deviations = _deviations(of_task) / len(ours[0])
        draws += deviations @ generator.standard_normal((deviations.shape[1], NUM_RESAMPLES))
        variances.append(np.sum((deviations[best] - deviations[other]) ** 2))
        freedoms.append(min(len(of_task[best]), len(of_task[other])) - 1.0)
    same = draws[best] - draws[other]
    drawn = means[:, None] + draws
    anew = drawn[: len(ours)].max(axis=0) - drawn[len(ours) :].max(axis=0) - value
    square = max(0.0, float(np.sum(variances) + np.mean(anew**2 - same**2)))
    freedom = _satterthwaite(np.array(variances), np.array(freedoms))
    return Estimate(value, float(np.sqrt(square)), freedom, num_runs)


def _deviations(methods: Sequence[pd.Series]) -> Array:
    """``[methods, seeds]``: squared and added they are the variance of each mean on one task."""
    seeds = sorted({seed for scores in methods for seed in scores.index})
    rows = np.zeros((len(methods), len(seeds)))
    for row, scores in zip(rows, methods, strict=True):
        values, size = scores.to_numpy(), len(scores)
        scaled = (values - values.mean()) / np.sqrt(size * (size - 1))
        row[np.searchsorted(seeds, scores.index)] = scaled
    return rows


def _satterthwaite(variances: Array, freedoms: Array) -> float:
    """Degrees of freedom of a sum of independent ``variances``; the fewest if none varies."""
    total = variances.sum()
    if not total > 0.0:
        return float(freedoms.min())
    shares = variances / total
    return float(1.0 / np.sum(shares**2 / freedoms))


def _student(freedom: float, cells: int = 1) -> float:
    return float(stdtrit(freedom, 1.0 - 0.5 * (1.0 - CONFIDENCE) / cells))


def rounded(values: Array) -> Array:
    """Values to a thousandth, so that no machine's last digit moves a page or a picture."""
    return np.round(values, 3)
