"""Lock-step evaluation against a loop that plays one episode after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import core
from bench.run.evaluate import episode_seeds, evaluate
from bench.run.train import Program
from envs.environment import EnvSpec
from envs.errors import EnvironmentFault, Fault
from envs.spaces import Box
from envs.tasks import get_task


class Countdown:
    """Lane i ends after ``2 + seed % 5`` steps; the reward is the first action."""

    spec = EnvSpec(
        observation=Box((1,)), action=Box((2,), limit=1.0), max_episode_steps=5, goal=Box((1,))
    )

    def __init__(self, num_envs):
        self.num_envs = num_envs

    @property
    def goals(self):
        return self.lengths[:, None].astype(float)

    def reset(self, seeds, lanes=None):
        assert lanes is None
        self.lengths, self.time = 2 + seeds % 5, np.zeros(self.num_envs)
        return self.time[:, None].copy()

    def step(self, actions, active):
        self.time += active
        rewards = np.where(active, actions[:, 0], 0.0)
        return self.time[:, None].copy(), rewards, active & (self.time >= self.lengths)


def program(act, reset=lambda key, goal: ()):
    return Program(
        algorithm=None,
        init=None,
        runs=(),
        reset=jax.jit(jax.vmap(jax.vmap(reset))),
        act=jax.jit(jax.vmap(jax.vmap(act, in_axes=(None, 0, 0, 0)))),
    )


def test_returns_count_whole_episodes_only_up_to_their_ends():
    def act(state, carry, observation, reward):
        return jnp.stack([0.5 + 0.0 * observation[0], state]), carry

    environment = Countdown(6)
    returns, lengths = evaluate(program(act), jnp.zeros(2), environment, [3, 4], 3)
    expected = np.minimum(2 + episode_seeds([3, 4], 3) % 5, 5)
    np.testing.assert_array_equal(lengths, expected)
    np.testing.assert_allclose(returns, 0.5 * expected)


def test_each_seeds_policy_plays_its_own_lanes():
    def act(state, carry, observation, reward):
        return jnp.stack([state, state]), carry

    returns, lengths = evaluate(program(act), jnp.array([0.1, 0.9]), Countdown(4), [0, 1], 2)
    np.testing.assert_allclose(returns / lengths, [[0.1, 0.1], [0.9, 0.9]], rtol=1e-6)


def test_actions_are_clipped_to_the_environments_range():
    act = lambda state, carry, observation, reward: (jnp.stack([state, state]), carry)
    returns, lengths = evaluate(program(act), jnp.array([7.0]), Countdown(2), [0], 2)
    np.testing.assert_allclose(returns, lengths)


def test_memory_starts_with_the_goal_and_sees_the_last_reward():
    reset = lambda key, goal: goal[0]

    def act(state, carry, observation, reward):
        # Pays the goal at the first step, and half of the last reward after that.
        paid = jnp.where(observation[0] == 0, carry / 10.0, reward / 2.0)
        return jnp.stack([paid, state]), carry

    environment = Countdown(2)
    returns, lengths = evaluate(program(act, reset), jnp.zeros(1), environment, [0], 2)
    first = (2 + episode_seeds([0], 2) % 5) / 10.0
    np.testing.assert_allclose(returns, first * (2 - 0.5 ** (lengths - 1)), rtol=1e-6)


class Told:
    """Lane i shows, pays and has as its goal what only it has; all lanes end after two steps."""

    spec = EnvSpec(
        observation=Box((2,)), action=Box((3,), limit=1.0), max_episode_steps=2, goal=Box((1,))
    )

    def __init__(self, num_envs):
        self.num_envs, self.actions = num_envs, []

    @property
    def goals(self):
        return 100.0 + np.arange(self.num_envs)[:, None]

    def reset(self, seeds, lanes=None):
        return np.stack([np.arange(self.num_envs), -np.arange(self.num_envs)], axis=1) / 100.0

    def step(self, actions, active):
        self.actions.append(actions)
        return self.reset(None), np.arange(self.num_envs) / 10.0, np.zeros(self.num_envs, bool)


def test_each_lane_is_told_what_it_has_seen_earned_and_is_to_reach():
    def act(state, carry, observation, reward):
        return jnp.stack([observation[0], reward, carry[0] / 1000.0]), carry

    environment = Told(6)
    policy = program(act, reset=lambda key, goal: goal)
    returns, lengths = evaluate(policy, jnp.zeros(3), environment, [0, 1, 2], 2)
    lanes = np.arange(6)
    first, second = environment.actions
    for action, earned in ((first, 0.0 * lanes), (second, lanes / 10.0)):
        expected = np.stack([lanes / 100.0, earned, 0.1 + lanes / 1000.0], axis=1)
        np.testing.assert_allclose(action, expected, rtol=1e-6)
    # Lanes of one seed are neighbours.
    np.testing.assert_allclose(returns, [[0.0, 0.2], [0.4, 0.6], [0.8, 1.0]])
    assert lengths.tolist() == [[2, 2]] * 3


def test_episode_seeds_are_fixed_and_all_different():
    seeds = episode_seeds(range(10), 100)
    assert len(np.unique(seeds)) == 1000
    np.testing.assert_array_equal(seeds[:3, :5], episode_seeds(range(3), 5))


def test_the_same_policy_scores_the_same_twice_and_on_any_number_of_threads():
    task = get_task("hopper-medium")
    reset, act = core.memoryless(lambda state, observation: jnp.tanh(observation[:3] * state))
    played = [
        evaluate(program(act, reset), jnp.ones(1), task.make_environment(4, threads), [0], 4)
        for threads in (1, 3, 3)
    ]
    for returns, lengths in played[1:]:
        np.testing.assert_array_equal(returns, played[0][0])
        np.testing.assert_array_equal(lengths, played[0][1])


def still(state, carry, observation, reward):
    return jnp.stack([0.0 * observation[0], state]), carry


class Broken(Countdown):
    """In lane 4, which is episode 1 of the second seed, something is not as it should be."""

    def __init__(self, fault):
        super().__init__(6)
        self.fault = fault

    def step(self, actions, active):
        observations, rewards, ends = super().step(actions, active)
        if self.time[4] == 2:
            if self.fault == "lane":
                raise EnvironmentFault("x", lane=4, step=2, reason="out of fuel")
            if self.fault == "all":
                raise RuntimeError
            numbers = {"reward": (rewards, 4), "observation": (observations, (4, 0))}
            array, place = numbers[self.fault]
            array[place] = np.nan
        return observations, rewards, ends


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("lane", "step: out of fuel (seed 7, episode 1, step 2)"),
        ("all", "step raised RuntimeError (step 2)"),
        ("reward", "reward is nan (seed 7, episode 1, step 2)"),
        ("observation", "observation is nan (seed 7, episode 1, step 2)"),
    ],
)
def test_a_fault_of_the_environment_has_a_place(fault, message):
    with pytest.raises(Fault) as raised:
        evaluate(program(still), jnp.zeros(2), Broken(fault), [3, 7], 3)
    assert str(raised.value) == message


def test_a_policy_whose_actions_are_no_numbers_is_not_scored():
    with pytest.raises(Fault, match=r"action of the policy is nan \(seed 7, episode 0, step 1\)"):
        evaluate(program(still), jnp.array([0.0, jnp.nan]), Countdown(6), [3, 7], 3)


def test_a_return_that_no_table_takes_is_refused_where_it_arises(monkeypatch):
    monkeypatch.setattr("bench.run.evaluate.LARGEST", 1.0)
    one = lambda state, carry, observation, reward: (jnp.stack([state, state]), carry)
    with pytest.raises(Fault, match=r"return is 1 \(seed 3, episode 0, step 2\)"):
        evaluate(program(one), jnp.full(2, 0.5), Countdown(6), [3, 7], 3)
