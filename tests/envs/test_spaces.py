import numpy as np
import pytest

from envs.environment import EnvSpec
from envs.spaces import Box, Discrete

BOTH = [Box((2,), limit=1.0), Discrete(3)]


def test_a_batch_has_its_axes_before_the_spaces_own():
    assert Box((4, 4, 3), "uint8").batch(5, 2) == (5, 2, 4, 4, 3)
    assert Discrete(3).batch(5, 2) == (5, 2)


def test_what_is_clipped_is_the_nearest_member():
    box, choices = BOTH
    np.testing.assert_array_equal(box.clip(np.array([[-3.0, 0.25]])), [[-1.0, 0.25]])
    np.testing.assert_array_equal(choices.clip(np.array([-1, 1, 3])), [0, 1, 2])
    np.testing.assert_array_equal(Box((1,)).clip(np.array([[1e9]])), [[1e9]])


def test_members_are_known_row_by_row():
    box, choices = BOTH
    rows = np.array([[1.0, -1.0], [0.0, 1.5], [np.nan, 0.0]])
    np.testing.assert_array_equal(box.contains(rows), [True, False, False])
    np.testing.assert_array_equal(choices.contains(np.array([0, 2, 3, -1])), [1, 1, 0, 0])


@pytest.mark.parametrize("space", BOTH)
def test_values_of_another_shape_are_no_members(space):
    assert not space.contains(np.zeros((4, 3), int)).any()


def test_values_of_another_kind_are_no_members():
    assert not Discrete(3).contains(np.array([0.0, 1.0])).any()
    assert not Box((1,), "uint8").contains(np.array([[0.5]])).any()


def test_sizes_are_those_of_rows_of_numbers_alone():
    spec = EnvSpec(observation=Box((3,)), action=Discrete(3), max_episode_steps=1, goal=Box((2,)))
    assert (spec.observation_dim, spec.goal_dim) == (3, 2)
    with pytest.raises(ValueError, match=r"actions are no rows of numbers but Discrete\(n=3\)"):
        _ = spec.action_dim
    image = EnvSpec(observation=Box((4, 4), "uint8"), action=Box((1,)), max_episode_steps=1)
    with pytest.raises(ValueError, match="observations are no rows of numbers"):
        _ = image.observation_dim
    assert image.goal_dim == 0
