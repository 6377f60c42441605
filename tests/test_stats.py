"""Statistics beside rliable's and scipy's, and by their own laws."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench import stats

X = np.array(
    [
        [36.7, 52.8, 21.3],
        [79.6, 18.3, 19.7],
        [2.1, 10.4, 21.2],
        [45.1, 30.1, 18.9],
        [62.5, 17.6, 22.9],
    ]
)
Y = np.array([[36.7, 52.8, 21.3], [23.9, 72.4, 12.8], [101.9, 50.8, 108.7], [131.1, 54.3, 41.5]])

# Made once with rliable 1.2.0 from X and Y: metrics.aggregate_{mean,median,iqm},
# aggregate_optimality_gap(X, 100), probability_of_improvement(X, Y), and
# library.get_interval_estimates after np.random.seed(0), with 50,000 resamples (20,000 of pairs).
RLIABLE = {
    "mean": (30.61333333333333, 21.74, 39.13333333333333),
    "median": (25.839999999999996, 20.0, 38.86),
    "IQM": (26.022222222222226, 18.81111111111111, 35.611111111111114),
    "optimality gap": (69.38666666666667, 60.86666666666667, 78.25999999999999),
}
RLIABLE_IMPROVEMENT = (0.25833333333333336, 0.06666666666666667, 0.47500000000000003)
# library.create_performance_profile at these thresholds.
RLIABLE_PROFILE = {0: 1.0, 20: 0.6, 40: 0.26666666666666666, 60: 0.13333333333333333, 80: 0.0}

matrices = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-50, 150, width=16),
)


def generator(seed=0):
    return np.random.default_rng(seed)


# How much wider an interval is with one of five seeds less: of means exactly, of others about.
WIDER = np.sqrt(5 / 4)


@pytest.mark.parametrize("name", stats.AGGREGATES)
def test_aggregates_are_those_of_rliable_with_wider_intervals(name):
    value, low, high = RLIABLE[name]
    assert stats.AGGREGATES[name](X) == pytest.approx(value)
    found = np.array(stats.bounds(stats.AGGREGATES[name](stats.resample(X, generator(), 50_000))))
    if name in ("mean", "optimality gap"):
        expected = value + WIDER * (np.array([low, high]) - value)
        np.testing.assert_allclose(found, expected, atol=0.03 * (high - low))
    assert found[0] <= low < high <= found[1] + 0.1
    assert found[1] - found[0] < 1.15 * (high - low)


def test_the_probability_of_improvement_is_that_of_rliable():
    value, low, high = RLIABLE_IMPROVEMENT
    assert stats.probability_of_improvement(X, Y) == pytest.approx(value)
    ours, theirs = (stats.resample(scores, generator(i), 20_000) for i, scores in enumerate((X, Y)))
    found = stats.bounds(stats.probability_of_improvement(ours, theirs))
    np.testing.assert_allclose(found, (low, high), atol=0.05)
    assert found[0] < low < high < found[1]


def test_the_performance_profile_is_that_of_rliable():
    found = stats.performance_profile(X, np.array(list(RLIABLE_PROFILE)))
    np.testing.assert_allclose(found, list(RLIABLE_PROFILE.values()))


@given(matrices)
def test_the_interquartile_mean_is_scipys_trimmed_mean(scores):
    expected = scipy.stats.trim_mean(scores, 0.25, axis=None)
    assert stats.interquartile_mean(scores) == pytest.approx(expected, abs=1e-9)


@given(matrices, st.integers(1, 6), st.integers(0, 99))
def test_the_probability_of_improvement_is_scipys_mann_whitney_statistic(scores, num_others, seed):
    others = generator(seed).permuted(np.resize(scores, (num_others, scores.shape[1])), axis=0)
    pairs = len(scores) * num_others
    expected = np.mean(
        [
            scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic / pairs
            if np.ptp(np.concatenate([x, y])) > 0
            else 0.5
            for x, y in zip(scores.T, others.T, strict=True)
        ]
    )
    found = stats.probability_of_improvement(scores, others)
    assert found == pytest.approx(expected)
    assert found + stats.probability_of_improvement(others, scores) == pytest.approx(1.0)


def test_the_stratified_bootstrap_is_scipys_with_a_sample_for_each_task():
    def statistic(*samples, axis):
        return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)

    expected = scipy.stats.bootstrap(
        tuple(X.T), statistic, n_resamples=20_000, method="percentile", rng=generator()
    ).confidence_interval
    found = stats.bounds(stats.mean(stats.resample(X, generator(1), 20_000)))
    middle = X.mean()
    np.testing.assert_allclose(found, middle + WIDER * (np.array(expected) - middle), atol=0.4)


def test_a_resamples_mean_varies_as_that_of_all_seeds():
    draws = stats.mean(stats.resample(X, generator(2), 50_000))
    expected = (X.var(axis=0, ddof=1) / len(X)).sum() / X.shape[1] ** 2
    assert draws.var() == pytest.approx(expected, rel=0.02)


def test_with_three_seeds_and_four_tasks_one_less_holds_the_mean_more_often():
    draw, held = generator(7), []
    for _ in range(1500):
        scores = draw.normal(size=(3, 4))
        ends = stats.bounds(stats.mean(stats.resample(scores, draw, 400)))
        all_seeds = scores[draw.integers(3, size=(400, 3, 4)), np.arange(4)]
        theirs = stats.bounds(stats.mean(all_seeds))
        held.append([low < 0 < high for low, high in (ends, theirs)])
    ours, theirs = np.mean(held, axis=0)
    assert 0.88 < ours < 0.94
    assert 0.81 < theirs < 0.88


@given(matrices)
def test_a_resample_keeps_to_its_task_and_the_same_generator_gives_it_again(scores):
    first, again = (stats.resample(scores, generator(3), 20) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for task in range(scores.shape[1]):
        assert np.isin(first[..., task], scores[:, task]).all()


@given(matrices)
def test_aggregates_lie_among_the_scores_and_the_order_of_seeds_does_not_matter(scores):
    for name, statistic in stats.AGGREGATES.items():
        value = statistic(scores)
        assert value == pytest.approx(statistic(scores[::-1]), abs=1e-9)
        if name != "optimality gap":
            assert scores.min() - 1e-9 <= value <= scores.max() + 1e-9
    gap = stats.optimality_gap(scores)
    assert gap >= 0
    assert gap >= stats.OPTIMAL - stats.mean(scores) - 1e-9


@given(matrices)
def test_a_profile_falls_from_one_to_nothing(scores):
    profile = stats.performance_profile(scores, np.linspace(-51, 151, 30))
    assert profile[0] == 1.0
    assert profile[-1] == 0.0
    assert (np.diff(profile) <= 0).all()


def test_a_cells_interval_is_scipys_students_t():
    scores = X[:, 0]
    expected = scipy.stats.t.interval(0.95, 4, scores.mean(), scipy.stats.sem(scores))
    np.testing.assert_allclose(stats.cell_interval(scores), expected)
    assert stats.cell_interval(scores[:1]) == (-np.inf, np.inf)
    both = scipy.stats.t.interval(0.975, 4, scores.mean(), scipy.stats.sem(scores))
    np.testing.assert_allclose(stats.cell_interval(scores, 2), both)


def test_a_cells_draws_have_students_interval():
    scores = X[:, 0]
    found = stats.bounds(stats.cell_draws(scores, generator(), 200_000))
    np.testing.assert_allclose(found, stats.cell_interval(scores), atol=1.0)
    assert set(stats.cell_draws(scores[:1], generator())) == {scores[0]}


def test_with_three_seeds_students_interval_holds_the_mean_and_a_bootstraps_often_does_not():
    draws = generator(5).normal(size=(2000, 3))
    ends = np.array([stats.cell_interval(scores) for scores in draws])
    assert 0.94 < ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() < 0.96
    resampled = draws[:, generator(6).integers(3, size=(2000, 3))].mean(-1)
    low, high = stats.bounds(resampled.T)
    assert 0.70 < ((low < 0) & (high > 0)).mean() < 0.80


def test_last_best_and_mean_of_last_are_of_each_seed_after_normalizing():
    rows = pd.DataFrame(
        [
            (seed, step, episode, 2.0 * score, 5)
            for seed, scores in ((1, (0.1, 0.9, 0.4)), (0, (0.2, 0.3, 0.6)))
            for step, score in zip((300, 100, 200), scores, strict=True)
            for episode in (0, 1)
        ],
        columns=["seed", "step", "episode", "return", "length"],
    )
    rows.loc[rows["episode"] == 1, "return"] += 0.2
    curve = stats.evaluations(rows, (0.0, 2.0))
    assert curve.index.tolist() == [0, 1]
    assert curve.columns.tolist() == [100, 200, 300]
    np.testing.assert_allclose(curve, [[35.0, 65.0, 25.0], [95.0, 45.0, 15.0]])
    np.testing.assert_allclose(stats.last(curve), [25.0, 15.0])
    np.testing.assert_allclose(stats.best(curve), [65.0, 95.0])
    np.testing.assert_allclose(stats.mean_of_last(curve, 2), [45.0, 30.0])
    np.testing.assert_allclose(stats.mean_of_last(curve, 9), stats.mean_of_last(curve, 3))
