import gymnasium
import numpy as np
import pytest

from envs.worlds.locomotion import VERSIONS, Locomotion

IDS = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4", "walker2d": "Walker2d-v4"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", IDS)
def test_every_array_is_bit_equal_to_gymnasium(name, version):
    ours = Locomotion(name, num_envs=1, version=version)
    theirs = gymnasium.make(IDS[name].replace("v4", version))
    generator = np.random.default_rng(0)
    active = np.array([True])
    seed, num_ends = 0, 0
    assert (ours.reset(np.array([seed]))[0] == theirs.reset(seed=seed)[0]).all()
    for _ in range(1000):
        action = generator.uniform(-1.0, 1.0, ours.spec.action_dim).astype(np.float32)
        observations, rewards, terminations = ours.step(action[None], active)
        observation, reward, terminated, truncated, _ = theirs.step(action)
        assert (observations[0] == observation).all()
        assert rewards[0] == reward
        assert terminations[0] == terminated
        if terminated or truncated:
            seed += 1
            num_ends += 1
            assert (ours.reset(np.array([seed]))[0] == theirs.reset(seed=seed)[0]).all()
    # Random actions make the two that can fall do so often.
    assert (num_ends == 1) if name == "halfcheetah" else (num_ends > 10)


@pytest.mark.parametrize("name", IDS)
def test_sizes_and_time_limit_are_those_of_gymnasium(name):
    spec, theirs = Locomotion(name, num_envs=1).spec, gymnasium.make(IDS[name])
    assert (spec.observation_dim,) == theirs.observation_space.shape
    assert (spec.action_dim,) == theirs.action_space.shape
    assert spec.max_episode_steps == theirs.spec.max_episode_steps == 1000
    assert spec.goal_dim == 0
    assert (theirs.action_space.low == -1.0).all()
    assert (theirs.action_space.high == 1.0).all()


def run(num_threads):
    environment = Locomotion("walker2d", num_envs=5, num_threads=num_threads)
    generator = np.random.default_rng(1)
    record = [environment.reset(np.arange(5))]
    for t in range(30):
        actions = generator.uniform(-1.0, 1.0, (5, 6)).astype(np.float32)
        record += environment.step(actions, np.arange(5) <= 5 - t // 8)
    return record


def test_results_do_not_depend_on_the_number_of_threads():
    for one, three in zip(run(num_threads=1), run(num_threads=3), strict=True):
        np.testing.assert_array_equal(one, three)


def test_a_lane_does_not_depend_on_its_neighbours():
    alone, together = Locomotion("hopper", num_envs=1), Locomotion("hopper", num_envs=3)
    assert (alone.reset(np.array([7]))[0] == together.reset(np.array([3, 7, 4]))[1]).all()
    actions = np.random.default_rng(2).uniform(-1.0, 1.0, (20, 3, 3))
    for action in actions:
        one, _, _ = alone.step(action[1:2], np.array([True]))
        many, _, _ = together.step(action, np.array([True, True, False]))
        assert (one[0] == many[1]).all()


def test_inactive_lanes_do_not_move_and_give_nothing():
    environment = Locomotion("hopper", num_envs=3)
    before = environment.reset(np.array([0, 1, 2]))
    active = np.array([True, False, True])
    observations, rewards, terminations = environment.step(np.ones((3, 3)), active)
    moved = (observations != before).any(axis=1)
    assert moved.tolist() == [True, False, True]
    assert (rewards != 0.0).tolist() == [True, False, True]
    assert not terminations.any()


def test_a_fallen_lane_terminates_only_while_it_is_active():
    environment = Locomotion("hopper", num_envs=2)
    environment.reset(np.array([0, 1]))
    model = environment._simulator.model
    lying = model.qpos0.copy()
    lying[1] = 0.3
    for lane in range(2):
        environment._simulator.reset(lane, lying, np.zeros(model.nv))
    _, _, terminations = environment.step(np.zeros((2, 3)), np.array([True, False]))
    assert terminations.tolist() == [True, False]


def test_resetting_some_lanes_leaves_the_others_alone():
    environment = Locomotion("halfcheetah", num_envs=3)
    before = environment.reset(np.array([0, 1, 2]))
    after = environment.reset(np.array([9]), np.array([1]))
    assert (after != before).any(axis=1).tolist() == [False, True, False]
    assert (after[1] == environment.reset(np.array([9, 9, 9]))[0]).all()
