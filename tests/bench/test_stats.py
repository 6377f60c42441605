"""Statistics beside rliable's and scipy's, and by their own laws."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.report import stats

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


def student(freedom, cells=1):
    return scipy.stats.t.ppf(1 - 0.025 / cells, freedom)


def freedom(*variances_and_freedoms):
    """Welch and Satterthwaite's degrees of freedom of a sum of independent variances."""
    variances, freedoms = np.array(variances_and_freedoms).T
    return variances.sum() ** 2 / (variances**2 / freedoms).sum()


# How much wider an interval is than rliable's: five seeds vary by a fifth less in a resample than
# they should, and Student's quantile takes the place of a normal one.
WIDER = np.sqrt(5 / 4) * student(freedom(*((v, 4) for v in X.var(axis=0)))) / 1.96


@pytest.mark.parametrize("name", stats.AGGREGATES)
def test_aggregates_are_those_of_rliable_with_wider_intervals(name):
    value, low, high = RLIABLE[name]
    statistic = stats.AGGREGATES[name]
    assert statistic(X) == pytest.approx(value)
    resampled = statistic(stats.resample(X, generator(), 50_000))
    ends = np.array(stats.bounds(statistic(X), resampled, X))
    if name in ("mean", "optimality gap"):
        assert ends[1] - ends[0] == pytest.approx(WIDER * (high - low), rel=0.03)
    assert sum(ends) / 2 == pytest.approx(value)
    assert ends[0] < low < high < ends[1]


def test_the_probability_of_improvement_is_that_of_rliable():
    value, low, high = RLIABLE_IMPROVEMENT
    found = stats.probability_of_improvement(X, Y)
    assert found == pytest.approx(value)
    ours, theirs = (stats.resample(scores, generator(i), 20_000) for i, scores in enumerate((X, Y)))
    draws = stats.probability_of_improvement(ours, theirs)
    ends = stats.bounds(found, draws, X, Y)
    assert sum(ends) / 2 == pytest.approx(value)
    parts = [(v / 5, 4) for v in X.var(axis=0, ddof=1)] + [(v / 4, 3) for v in Y.var(0, ddof=1)]
    half = np.sqrt(4 / 3) * student(freedom(*parts)) * draws.std()
    assert ends[1] - ends[0] == pytest.approx(2 * half, rel=0.01)
    assert draws.std() == pytest.approx((high - low) / 2 / 1.96, rel=0.1)
    assert stats.improvement_bounds(found, draws, X, Y) == (0.0, pytest.approx(ends[1]))


def test_where_all_runs_win_the_probability_of_improvement_is_as_sure_as_so_many_wins():
    always = np.ones(10)
    exact = scipy.stats.binomtest(4 * 3, 4 * 3).proportion_ci(0.95)  # four pairs on three tasks
    low, high = stats.improvement_bounds(1.0, always, X, Y)
    assert (low, high) == pytest.approx((exact.low, 1.0))
    assert stats.improvement_bounds(0.0, 1 - always, X, Y) == pytest.approx((0.0, 1 - low))
    # Of a single run against three nothing is known at all.
    assert stats.improvement_bounds(1.0, always, X[:1], Y) == (-np.inf, np.inf)


def test_runs_that_always_win_on_half_of_the_tasks_say_no_more_than_so_many_trials():
    scores, others = np.tile([1.0, 0.0], (3, 1)), np.tile([0.0, 1.0], (3, 1))
    draws = [stats.resample(runs, generator(i)) for i, runs in enumerate((scores, others))]
    value = float(stats.probability_of_improvement(scores, others))
    ends = stats.improvement_bounds(value, stats.probability_of_improvement(*draws), scores, others)
    exact = scipy.stats.binomtest(3, 6).proportion_ci(0.95)  # three pairs on two tasks
    assert ends == pytest.approx((exact.low, exact.high))


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

    error = scipy.stats.bootstrap(
        tuple(X.T), statistic, n_resamples=20_000, method="percentile", rng=generator()
    ).standard_error
    resampled = stats.mean(stats.resample(X, generator(1), 20_000))
    assert resampled.std() == pytest.approx(error, rel=0.02)
    low, high = stats.bounds(stats.mean(X), resampled, X)
    assert (high - low) / 2 == pytest.approx(WIDER * 1.96 * error, rel=0.02)


def test_the_interval_of_a_familys_mean_is_welchs():
    # The variance of the mean of three tasks, and its degrees of freedom, by hand.
    parts = [(v / 5 / 9, 4) for v in X.var(axis=0, ddof=1)]
    half = student(freedom(*parts)) * np.sqrt(sum(v for v, _ in parts))
    resampled = stats.mean(stats.resample(X, generator(2), 50_000))
    low, high = stats.bounds(stats.mean(X), resampled, X)
    assert (low, high) == pytest.approx((X.mean() - half, X.mean() + half), abs=0.02 * half)


def former(scores, draw, statistic, num):
    """The ends of the percentiles of resamples of one seed less, and of all seeds."""
    num_runs, num_tasks = scores.shape
    tasks = np.arange(num_tasks)
    for size in (num_runs - 1, num_runs):
        resampled = statistic(scores[draw.integers(num_runs, size=(num, size, num_tasks)), tasks])
        yield np.percentile(resampled, [2.5, 97.5], axis=0)


@pytest.mark.parametrize("name", stats.AGGREGATES)
def test_with_three_seeds_and_four_tasks_an_interval_holds_what_it_should(name):
    draw, held, statistic = generator(7), [], stats.AGGREGATES[name]
    level = np.array([0.0, 2.0, 4.0, 6.0]) + stats.OPTIMAL - 3.0
    # What all statistics come to with as many seeds as one likes.
    value = statistic(level + draw.normal(size=(20_000, 4)))
    for _ in range(1000):
        scores = level + draw.normal(size=(3, 4))
        ends = stats.bounds(statistic(scores), statistic(stats.resample(scores, draw, 200)), scores)
        all_ends = [ends, *former(scores, draw, statistic, 200)]
        held.append([low < value < high for low, high in all_ends])
    ours, one_less, all_seeds = np.mean(held, axis=0)
    least = {"mean": 0.94, "median": 0.94, "IQM": 0.92, "optimality gap": 0.88}[name]
    assert ours > least
    assert ours < 0.98
    assert one_less < ours - 0.02
    assert all_seeds < one_less


@pytest.mark.parametrize("num_tasks", [1, 4])
def test_where_one_task_alone_varies_the_mean_is_held_as_well(num_tasks):
    draw, held, spread = generator(8), [], np.array([10.0, 0.1, 0.1, 0.1])[:num_tasks]
    for _ in range(1000):
        scores = spread * draw.normal(size=(3, num_tasks))
        ends = stats.bounds(
            stats.mean(scores), stats.mean(stats.resample(scores, draw, 200)), scores
        )
        held.append(
            [low < 0 < high for low, high in (ends, *former(scores, draw, stats.mean, 200))]
        )
    ours, one_less, all_seeds = np.mean(held, axis=0)
    assert 0.93 < ours < 0.97
    assert max(one_less, all_seeds) < 0.80


@pytest.mark.parametrize(("shift", "num_tasks"), [(0.0, 6), (0.7, 6), (2.0, 6), (0.7, 1), (2.0, 1)])
@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_a_probability_of_improvement_is_held_also_where_starts_are_shared(
    shift, num_tasks, shared
):
    draw, held = generator(9), []
    value = scipy.stats.norm.cdf(shift / np.sqrt(2))
    for _ in range(400):
        starts, *own = draw.normal(size=(3, 3, num_tasks))
        scores, others = (np.sqrt(shared) * starts + np.sqrt(1 - shared) * o for o in own)
        scores += shift
        found = stats.probability_of_improvement(scores, others)
        draws = [stats.resample(x, draw, 200) for x in (scores, others)]
        draws = stats.probability_of_improvement(*draws)
        low, high = stats.improvement_bounds(float(found), draws, scores, others)
        held.append(low <= value <= high)
    assert np.mean(held) > 0.92


def by_seed(values, seeds=None):
    return pd.Series(values, index=seeds or range(len(values)), dtype=float)


def test_two_methods_are_compared_seed_by_seed():
    ours, theirs = X[:, 0], X[:, 0] + np.array([1.0, -2.0, 0.5, 1.5, 0.0])
    found = stats.lead([[by_seed(ours)]], [[by_seed(theirs)]], generator())
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.interval() == pytest.approx((expected.low, expected.high))
    # The order of rows does not matter, the seeds do.
    shuffled = by_seed(theirs[::-1], [4, 3, 2, 1, 0])
    again = stats.lead([[by_seed(ours)]], [[shuffled.sort_index()]], generator())
    assert again.interval() == pytest.approx(found.interval())
    apart = stats.lead([[by_seed(ours)]], [[by_seed(theirs, [5, 6, 7, 8, 9])]], generator())
    variances = [x.var(ddof=1) / 5 for x in (ours, theirs)]
    half = student(4) * np.sqrt(sum(variances))
    assert apart.interval() == pytest.approx((found.value - half, found.value + half))


def test_seeds_that_one_method_alone_has_count_as_independent():
    ours, theirs = by_seed([1.0, 3.0, 8.0]), by_seed([2.0, 6.0], [1, 7])
    found = stats.lead([[ours]], [[theirs]], generator())
    # Deviations -3, -1, 4 over the root of 3 * 2 and -2, 2 over that of 2 * 1; seed 1 has both.
    mine, yours = np.array([-3.0, -1.0, 4.0]) / np.sqrt(6), np.array([-2.0, 2.0]) / np.sqrt(2)
    square = mine[0] ** 2 + (mine[1] - yours[0]) ** 2 + mine[2] ** 2 + yours[1] ** 2
    assert (found.value, found.num_runs) == (0.0, 2)
    assert found.interval()[1] == pytest.approx(student(1) * np.sqrt(square))


def test_a_lead_over_tasks_has_the_degrees_of_freedom_of_its_differences():
    ours, theirs = X + 0.5 * Y[0], X + np.outer([1.0, -2.0, 0.5, 1.5, -1.0], [1.0, 2.0, 0.1])
    runs = [[by_seed(column) for column in scores.T] for scores in (ours, theirs)]
    found = stats.lead(runs[:1], runs[1:], generator())
    parts = [(v / 5 / 9, 4) for v in (ours - theirs).var(axis=0, ddof=1)]
    half = student(freedom(*parts)) * np.sqrt(sum(v for v, _ in parts))
    value = (ours - theirs).mean()
    assert found.interval() == pytest.approx((value - half, value + half))


def test_a_single_seed_has_no_interval_and_more_seeds_have_a_narrower_one():
    one, three = by_seed([5.0]), by_seed([5.0, 6.0, 8.0])
    nothing = (-np.inf, np.inf)
    assert stats.lead([[one]], [[one]], generator()).interval() == nothing
    assert stats.lead([[three]], [[one]], generator()).interval(more=7) == nothing
    assert stats.lead([[three, three]], [[three, one]], generator()).interval() == nothing
    # One candidate of a single seed is enough: it might be the best.
    assert stats.lead([[three], [one]], [[three]], generator()).interval() == nothing
    low, high = stats.bounds(np.zeros(4), np.zeros((20, 4)), X[:1])
    assert (low == -np.inf).all()
    assert (high == np.inf).all()
    found = stats.cell_mean(X[:, 0])
    error = X[:, 0].std(ddof=1)
    half = found.interval(more=4)[1] - found.value
    assert half == pytest.approx(student(8) * error / np.sqrt(9))


def leads(draw, num_runs, num_tasks, ours, theirs, shared, num):
    """How often the interval of the lead of the best holds the true one, which is on which side."""
    means = np.array([*ours, *theirs])[:, None, None]
    truth, sides = max(ours) - max(theirs), []
    for _ in range(num):
        starts = draw.normal(size=(1, num_runs, num_tasks))
        own = draw.normal(size=(len(means), num_runs, num_tasks))
        scores = means + np.sqrt(shared) * starts + np.sqrt(1 - shared) * own
        runs = [[by_seed(column) for column in method.T] for method in scores]
        low, high = stats.lead(runs[: len(ours)], runs[len(ours) :], draw).interval()
        sides.append([low > truth, high < truth])
    return np.mean(sides, axis=0)


@pytest.mark.parametrize("shared", [0.0, 0.9])
@pytest.mark.parametrize(("num_runs", "num_tasks"), [(3, 1), (5, 1), (3, 4), (5, 4)])
def test_the_interval_of_a_lead_holds_it_with_few_seeds(num_runs, num_tasks, shared):
    missed = leads(generator(10), num_runs, num_tasks, [0.0], [1.0], shared, 700)
    assert 0.93 < 1 - missed.sum() < 0.98


@pytest.mark.parametrize("shared", [0.0, 0.9])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [([0.0] * 6, [0.0] * 3), ([0.0, -0.5], [0.0, -0.5]), ([0.0, -3.0, -9.0], [1.0, -4.0])],
    ids=["equals", "near ones", "far ones"],
)
@pytest.mark.parametrize(("num_runs", "num_tasks"), [(3, 1), (5, 4)])
def test_the_best_of_several_is_held_as_well(num_runs, num_tasks, ours, theirs, shared):
    missed = leads(generator(11), num_runs, num_tasks, ours, theirs, shared, 300)
    assert missed.sum() < 0.08


@pytest.mark.parametrize("rivals", [0, 3])
def test_pairs_are_narrower_where_starts_are_shared(rivals):
    draw, widths = generator(12), []
    for _ in range(200):
        starts, *own = draw.normal(size=(3 + rivals, 3))
        ours, theirs, *near = (np.sqrt(0.95) * starts + np.sqrt(0.05) * x for x in own)
        near = [[by_seed(scores)] for scores in near]
        pairs = stats.lead([[by_seed(ours)]], [[by_seed(theirs)], *near], generator())
        others = [[scores.set_axis([7, 8, 9])] for (scores,) in ([by_seed(theirs)], *near)]
        apart = stats.lead([[by_seed(ours)]], others, generator())
        widths.append([pairs.error, apart.error])
    pairs, apart = np.median(widths, axis=0)
    assert pairs < 0.3 * apart


def test_the_choice_of_the_best_widens_the_interval_where_it_is_a_choice():
    ours, other = [by_seed(X[:, 0])], [by_seed(X[::-1, 0])]
    far = [by_seed(X[:, 0] - 500.0)]
    theirs = [by_seed(Y[:, 0])]
    alone = stats.lead([ours], [theirs], generator())
    assert stats.lead([ours, far], [theirs, far], generator()) == alone
    assert stats.lead([ours, other], [theirs], generator()).error != alone.error


@given(matrices, matrices, st.integers(0, 99))
def test_every_interval_has_its_estimate_in_it(scores, others, seed):
    for statistic in stats.AGGREGATES.values():
        value = statistic(scores)
        resampled = statistic(stats.resample(scores, generator(seed), 30))
        low, high = stats.bounds(value, resampled, scores)
        assert low <= value <= high
    thresholds = np.linspace(-51, 151, 30)
    profile = stats.performance_profile(scores, thresholds)
    resampled = stats.performance_profile(stats.resample(scores, generator(seed), 30), thresholds)
    low, high = stats.bounds(profile, resampled, scores)
    assert ((low <= profile) & (profile <= high)).all()
    others = np.resize(others, (len(others), scores.shape[1]))
    value = float(stats.probability_of_improvement(scores, others))
    draws = [stats.resample(x, generator(seed), 30) for x in (scores, others)]
    draws = stats.probability_of_improvement(*draws)
    low, high = stats.improvement_bounds(value, draws, scores, others)
    assert low <= value <= high


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
    np.testing.assert_allclose(stats.cell_mean(scores).interval(cells=2), both)


def test_with_three_seeds_students_interval_holds_the_mean_and_a_bootstraps_often_does_not():
    draws = generator(5).normal(size=(2000, 3))
    ends = np.array([stats.cell_interval(scores) for scores in draws])
    assert 0.94 < ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() < 0.96
    resampled = draws[:, generator(6).integers(3, size=(2000, 3))].mean(-1)
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
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
