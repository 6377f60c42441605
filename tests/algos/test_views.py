import dataclasses

import numpy as np
import pytest

from algos import views
from envs import toy
from envs.dataset import Dataset
from envs.errors import InputError


def episodes(*rewards, truncated=()):
    """Episodes with the given rewards; row i has observation and action i / 100."""
    lengths = [len(r) for r in rewards]
    ends = np.cumsum(lengths) - 1
    rows = np.arange(sum(lengths))
    values = (rows[:, None] / 100).astype(np.float32)
    is_end = np.isin(rows, ends)
    is_truncated = np.isin(rows, ends[list(truncated)])
    return Dataset(
        observations=values,
        actions=values,
        rewards=np.concatenate(rewards).astype(np.float32),
        terminations=is_end & ~is_truncated,
        truncations=is_truncated,
        episode_ends=ends,
        final_observations=values[ends] + np.float32(0.01),
    )


def rows_of(view):
    """The numbers of the rows that a view of ``episodes`` kept."""
    assert (view.observations == view.actions).all()
    return np.round(view.observations[:, 0] * 100).astype(int).tolist()


def test_episode_properties_follow_from_the_ends():
    dataset = episodes([1.0, 2.0], [3.0], [4.0, 5.0, 6.0])
    assert dataset.num_rows == 6
    assert dataset.episode_ends.tolist() == [1, 2, 5]
    assert dataset.episode_starts.tolist() == [0, 2, 3]
    assert dataset.episode_lengths.tolist() == [2, 1, 3]
    assert dataset.episode_returns.tolist() == [3.0, 3.0, 15.0]
    assert dataset.episode_returns.dtype == np.float64


def test_the_best_episodes_are_kept_whole_and_in_the_order_they_stand():
    # Returns 2, 9, 1, 6; rows 0-1, 2-4, 5-8, 9.
    dataset = episodes([1.0, 1.0], [3.0, 3.0, 3.0], [1.0, 0.0, 0.0, 0.0], [6.0])
    assert rows_of(views.top_episodes(dataset, 0.4)) == [2, 3, 4, 9]


def test_the_share_is_counted_in_rows_and_the_episode_that_crosses_it_is_kept():
    # Returns 5, 4, 3, 2, 1 with 1, 2, 3, 2, 2 rows of 10.
    dataset = episodes([5.0], [2.0, 2.0], [1.0, 1.0, 1.0], [1.0, 1.0], [1.0, 0.0])
    kept = {fraction: len(rows_of(views.top_episodes(dataset, fraction))) for fraction in (
        0.05, 0.1, 0.11, 0.3, 0.31, 0.6, 0.61, 0.81
    )}  # fmt: skip
    assert kept == {0.05: 1, 0.1: 1, 0.11: 3, 0.3: 3, 0.31: 6, 0.6: 6, 0.61: 8, 0.81: 10}


def test_the_best_episode_is_kept_however_small_the_share():
    dataset = episodes([0.0] * 5, [1.0] * 20, [0.5] * 5)
    assert rows_of(views.top_episodes(dataset, 1e-9)) == list(range(5, 25))


def test_ties_are_broken_by_the_order_in_the_dataset():
    dataset = episodes([0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [0.0, 2.0])
    assert rows_of(views.top_episodes(dataset, 0.25)) == [2, 3]
    assert rows_of(views.top_episodes(dataset, 0.5)) == [2, 3, 4, 5]
    many = episodes(*[[float(i % 3)] for i in range(300)])
    assert rows_of(views.top_episodes(many, 0.2)) == list(range(2, 180, 3))


def test_returns_are_sums_and_not_means():
    dataset = episodes([3.0], [1.0, 1.0, 1.0, 1.0])
    assert rows_of(views.top_episodes(dataset, 0.1)) == [1, 2, 3, 4]


def test_negative_returns_rank_below_positive_ones():
    dataset = episodes([-5.0], [-1.0], [-3.0])
    assert rows_of(views.top_episodes(dataset, 0.5)) == [1, 2]


def test_a_truncated_episode_is_cut_at_its_true_end():
    dataset = episodes([1.0, 0.0], [5.0, 5.0], [2.0, 2.0], truncated=(1,))
    assert rows_of(views.top_episodes(dataset, 0.3)) == [2, 3]


def test_fraction_1_keeps_every_row_in_order():
    dataset, _ = toy.random_episodes()
    view = views.top_episodes(dataset, 1.0)
    assert (view.observations == dataset.observations).all()
    assert (view.actions == dataset.actions).all()


def test_raw_rewards_stay_as_they_are():
    dataset = episodes([1.0, -2.0], [0.5])
    assert views.transitions(dataset, "raw").rewards.tolist() == [1.0, -2.0, 0.5]


def test_return_range_divides_by_the_best_minus_the_worst_return_and_multiplies_by_1000():
    # Returns 3, -1, 4: a range of 5.
    dataset = episodes([1.0, 2.0], [-1.0], [0.0, 4.0])
    view = views.transitions(dataset, "return_range")
    assert view.rewards.tolist() == [200.0, 400.0, -200.0, 0.0, 800.0]


def test_return_range_leaves_rewards_alone_if_all_returns_are_equal():
    dataset = episodes([1.0, 2.0], [3.0])
    assert views.transitions(dataset, "return_range").rewards.tolist() == [1.0, 2.0, 3.0]


def test_minus_one_makes_every_step_off_the_goal_cost_one():
    dataset = episodes([0.0, 1.0], [0.0])
    assert views.transitions(dataset, "minus_one").rewards.tolist() == [-1.0, 0.0, -1.0]


def test_a_goal_is_worth_two_or_five_and_every_step_off_it_costs_as_much():
    dataset = episodes([0.0, 1.0], [0.0])
    assert views.transitions(dataset, "plus_minus_two").rewards.tolist() == [-2.0, 2.0, -2.0]
    assert views.transitions(dataset, "plus_minus_five").rewards.tolist() == [-5.0, 5.0, -5.0]


@pytest.mark.parametrize("transform", sorted(views.REWARD_TRANSFORMS))
def test_transforms_leave_the_dataset_as_it_was(transform):
    dataset = episodes([1.0, 2.0], [5.0])
    views.transitions(dataset, transform)
    assert dataset.rewards.tolist() == [1.0, 2.0, 5.0]


def test_a_reward_transform_can_be_any_function_of_the_dataset():
    dataset = episodes([1.0, 2.0], [5.0])
    doubled = lambda dataset: 2.0 * dataset.rewards
    assert views.transitions(dataset, doubled).rewards.tolist() == [2.0, 4.0, 10.0]
    assert views.transitions(dataset, doubled).rewards.dtype == np.float32
    assert views.sarsa(dataset, doubled).rewards.tolist() == [2.0, 4.0, 10.0]
    with pytest.raises(InputError, match=r"one reward for each row, got \[\] for 3 rows"):
        views.transitions(dataset, lambda dataset: dataset.rewards.sum())


def test_transitions_mask_terminations_only():
    dataset = episodes([1.0, 1.0], [1.0, 1.0], [1.0], truncated=(1,))
    assert dataset.truncations.tolist() == [False, False, False, True, False]
    assert views.transitions(dataset, "raw").terminations.tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]


def test_transitions_mask_a_termination_inside_an_episode():
    dataset = episodes([0.0, 1.0, 0.0], truncated=(0,))
    dataset = dataclasses.replace(dataset, terminations=np.array([False, True, False]))
    assert views.transitions(dataset, "raw").terminations.tolist() == [0.0, 1.0, 0.0]


def test_transitions_keep_all_rows_and_their_successors():
    dataset = episodes([1.0, 1.0], [1.0])
    view = views.transitions(dataset, "raw")
    assert (view.observations == dataset.observations).all()
    assert (view.actions == dataset.actions).all()
    assert (view.next_observations == dataset.next_observations).all()


def test_sarsa_drops_the_last_row_of_truncated_episodes_and_no_other():
    # Rows 0-2, 3-4, 5, 6-7.
    dataset = episodes([1.0, 1.0, 1.0], [1.0, 1.0], [1.0], [1.0, 1.0], truncated=(1, 2))
    view = views.sarsa(dataset, "raw")
    assert rows_of(view) == [0, 1, 2, 3, 6, 7]
    assert view.terminations.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]


def test_sarsa_pairs_each_row_with_the_next_action_of_its_episode_and_zero_after_its_end():
    dataset = episodes([1.0, 1.0, 1.0], [1.0, 1.0], [1.0], [1.0, 1.0], truncated=(1, 2))
    view = views.sarsa(dataset, "raw")
    assert np.round(view.next_actions[:, 0] * 100).tolist() == [1.0, 2.0, 0.0, 4.0, 7.0, 0.0]
    np.testing.assert_array_equal(view.next_observations, view.observations + np.float32(0.01))


def test_sarsa_keeps_the_true_next_action_of_a_termination_inside_an_episode():
    dataset = episodes([0.0, 1.0, 0.0], [0.0, 1.0], truncated=(0, 1))
    # At the goal in row 1, which goes on, and in row 4, where time is up as well.
    at_goal = np.array([False, True, False, False, True])
    view = views.sarsa(dataclasses.replace(dataset, terminations=at_goal), "raw")
    assert rows_of(view) == [0, 1, 3, 4]
    assert view.terminations.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert np.round(view.next_actions[:, 0] * 100).tolist() == [1.0, 2.0, 4.0, 0.0]


def test_sarsa_transforms_rewards_before_it_drops_rows():
    # Returns 1, 5 and 3: a range of 4, which the rows that stay do not have.
    dataset = episodes([1.0], [0.0, 5.0], [3.0, 0.0], truncated=(0, 1))
    view = views.sarsa(dataset, "return_range")
    assert rows_of(view) == [1, 3, 4]
    assert view.rewards.tolist() == [0.0, 750.0, 0.0]


def test_sarsa_is_made_of_the_same_rows_of_every_array():
    dataset, _ = toy.random_episodes()
    view = views.sarsa(dataset, "raw")
    for row, observation in enumerate(view.observations):
        (source,) = np.flatnonzero((dataset.observations == observation).all(axis=1))
        assert (view.actions[row] == dataset.actions[source]).all()
        assert view.rewards[row] == dataset.rewards[source]
        assert view.terminations[row] == dataset.terminations[source]
        assert (view.next_observations[row] == dataset.next_observations[source]).all()
        if not view.terminations[row]:
            assert (view.next_actions[row] == dataset.actions[source + 1]).all()


@pytest.mark.parametrize("transform", sorted(views.REWARD_TRANSFORMS))
def test_every_view_is_float32_with_rows_first(transform):
    dataset, _ = toy.random_episodes()
    for view in (
        views.transitions(dataset, transform),
        views.sarsa(dataset, transform),
        views.top_episodes(dataset, 0.3),
    ):
        assert {array.dtype for array in view} == {np.dtype(np.float32)}
        assert len({len(array) for array in view}) == 1
