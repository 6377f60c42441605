"""What every row of the registry must offer."""

import gymnasium
import numpy as np
import pytest

from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.scores import normalized_score
from envs.tasks import FAMILIES, TASKS, get_task


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


def test_the_environment_has_the_sizes_that_the_task_names(task):
    environment, spec = task.make_environment(2, 1), task.spec
    observations = environment.reset(np.array([0, 1]))
    assert observations.shape == (2, spec.observation_dim)
    assert environment.goals.shape == (2, spec.goal_dim)
    active = np.array([True, False])
    moved, rewards, ends = environment.step(np.zeros((2, spec.action_dim)), active)
    assert moved.shape == (2, spec.observation_dim)
    assert rewards.shape == ends.shape == (2,)
    assert rewards[1] == 0.0
    np.testing.assert_array_equal(moved[1], observations[1])


def test_gymnasium_knows_the_environment_with_the_same_sizes_and_time_limit(task):
    spec = gymnasium.spec(task.gymnasium_id)
    assert spec.max_episode_steps == task.spec.max_episode_steps


def test_one_lane_can_be_reset_alone(task):
    environment = task.make_environment(3, 1)
    first = environment.reset(np.array([5, 6, 7]))
    again = environment.reset(np.array([6]), np.array([2]))
    np.testing.assert_array_equal(again, first[[0, 1, 1]])


def test_reference_returns_are_ordered_and_score_0_and_100(task):
    low, high = task.reference_returns
    assert low < high
    np.testing.assert_allclose(normalized_score(np.array([low, high]), (low, high)), [0.0, 100.0])


def test_every_profile_has_a_size_for_the_family(task):
    assert task.family in FAMILIES
    assert all(task.family in profile.sizes for profile in PROFILES.values())


def test_a_task_is_found_by_its_name(task):
    assert get_task(task.name) is task


def test_an_unknown_task_is_answered_with_the_near_miss():
    with pytest.raises(InputError, match="unknown task 'hoper-medium'; did you mean"):
        get_task("hoper-medium")
