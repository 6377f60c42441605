import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import bc, networks, rvs, sampling, views
from algos.settings import Size, resolve
from envs import toy as toys
from envs.dataset import Dataset
from envs.environment import EnvSpec
from envs.errors import InputError
from envs.spaces import Box
from envs.tasks import FAMILIES
from envs.toy import (
    BAD_ACTION,
    CROSSING,
    DEAD_END,
    GOAL,
    GOOD_ACTION,
    OTHER_START,
    START,
)
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
CONFIG = rvs.Config(num_steps=600, batch_size=32, learning_rate=1e-2, hidden_dims=HIDDEN)
TO_GOAL = dataclasses.replace(CONFIG, condition="goal")


def episodes(*rewards, terminations=()):
    """Episodes with the given rewards; row i has observation (i, -i, 0) and action i / 100."""
    lengths = [len(r) for r in rewards]
    rows = np.arange(sum(lengths), dtype=np.float32)
    ends = np.cumsum(lengths) - 1
    observations = np.stack([rows, -rows, 0.0 * rows], axis=1)
    return Dataset(
        observations=observations,
        actions=rows[:, None] / np.float32(100),
        rewards=np.concatenate(rewards).astype(np.float32),
        terminations=np.isin(rows, terminations),
        truncations=np.isin(rows, ends),
        episode_ends=ends,
        final_observations=observations[ends] + np.float32(1),
    )


def act(algorithm, state, observation, goal=()):
    carry = algorithm.reset(jax.random.key(0), jnp.asarray(goal, jnp.float32))
    return algorithm.act(state, carry, jnp.asarray(observation), jnp.asarray(0.0))[0]


# What rows are told.


def test_the_return_to_go_is_averaged_over_the_time_left_in_the_longest_episode():
    dataset = episodes([1.0, 2.0, 3.0, 6.0], [5.0, 1.0], [8.0])
    view = views.average_returns(dataset)
    # 12, 11, 9, 6 over 4, 3, 2, 1 steps; 6 and 1 over 4 and 3; 8 over 4.
    expected = [3.0, 11 / 3, 4.5, 6.0, 1.5, 1 / 3, 2.0]
    np.testing.assert_allclose(view.conditions[:, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(view.observations, dataset.observations)
    np.testing.assert_array_equal(view.actions, dataset.actions)


def test_the_return_to_go_ends_at_a_termination_inside_an_episode():
    # As in antmaze: three steps to the goal, two at it, and an episode that misses it.
    dataset = episodes([0.0, 0.0, 1.0, 1.0, 1.0], [0.0] * 4, terminations=(2, 3, 4))
    view = views.average_returns(dataset)
    # The longest stretch has four steps: 1 over 4, 3, 2; 1 over 4 at the goal, twice.
    expected = [1 / 4, 1 / 3, 1 / 2, 1 / 4, 1 / 4, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(view.conditions[:, 0], expected, rtol=1e-6)


def test_small_rewards_are_not_lost_among_large_ones():
    dataset = episodes([1e6] * 1000, [1e-3, 2e-3])
    view = views.average_returns(dataset)
    np.testing.assert_allclose(view.conditions[-2:, 0], [3e-3 / 1000, 2e-3 / 999], rtol=1e-3)


def test_paths_keep_true_episodes_and_the_first_entries_of_observations_as_goals():
    dataset = episodes([0.0, 1.0, 1.0], [0.0], [0.0, 0.0], terminations=(1, 2))
    view = views.paths(dataset, goal_dim=2)
    assert view.goals.tolist() == [[i, -i] for i in range(6)]
    assert view.episode_starts.tolist() == [0, 3, 4]
    assert view.episode_lengths.tolist() == [3, 1, 2]
    np.testing.assert_array_equal(view.observations, dataset.observations)
    np.testing.assert_array_equal(view.actions, dataset.actions)


@pytest.mark.parametrize("make", [views.average_returns, partial(views.paths, goal_dim=2)])
def test_views_hold_32_bit_numbers(make, toy):
    assert {str(leaf.dtype) for leaf in make(toy[0])} <= {"float32", "int32"}


@pytest.fixture(scope="module")
def relabelled():
    """10,000 (row, goal) pairs from episodes of 1, 2, 3 and 24 rows, and where those start."""
    dataset = episodes([0.0], [0.0] * 2, [0.0] * 3, [0.0] * 24)
    view = jax.tree.map(jnp.asarray, views.paths(dataset, goal_dim=1))
    batch = jax.jit(sampling.hindsight(10_000))(jax.random.key(0), view)
    rows = np.asarray(batch.observations[:, 0])
    np.testing.assert_array_equal(rows / np.float32(100), batch.actions[:, 0])
    return rows.astype(int), np.asarray(batch.conditions[:, 0]).astype(int), np.array([0, 1, 3, 6])


def episode_of(rows, starts):
    return np.searchsorted(starts, rows, side="right") - 1


def test_a_relabelled_goal_lies_in_the_rows_episode_and_not_before_the_row(relabelled):
    rows, goals, starts = relabelled
    np.testing.assert_array_equal(episode_of(rows, starts), episode_of(goals, starts))
    assert (rows <= goals).all()
    assert (rows == goals).any()
    assert (rows < goals).any()


def test_episodes_are_relabelled_equally_often_however_long(relabelled):
    rows, _, starts = relabelled
    # 2,500 are expected, with a deviation of 43; by length it would be 333 to 8,000.
    assert (np.abs(np.bincount(episode_of(rows, starts)) - 2500) < 200).all()


def test_the_earlier_of_two_uniform_positions_is_the_row_and_the_later_the_goal(relabelled):
    rows, goals, _ = relabelled
    # In the episode of three rows the one position is 0 or 1, the other 0, 1 or 2: six equally
    # likely pairs. So the last row is a goal and never a row.
    pairs, counts = np.unique(
        [(r - 3, g - 3) for r, g in zip(rows, goals, strict=True) if 3 <= r < 6],
        axis=0,
        return_counts=True,
    )
    shares = dict(zip(map(tuple, pairs.tolist()), counts / counts.sum(), strict=True))
    expected = {(0, 0): 1 / 6, (0, 1): 2 / 6, (0, 2): 1 / 6, (1, 1): 1 / 6, (1, 2): 1 / 6}
    assert shares == pytest.approx(expected, abs=0.03)


# The loss.


def outcomes(conditions):
    return views.Outcomes(
        observations=jnp.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0], [3.0, 1.0, 0.0]]),
        actions=jnp.array([[0.5, -0.5], [1.0, 0.0], [-1.0, 0.25]]),
        conditions=jnp.asarray(conditions),
    )


def update(algorithm, state, batch):
    compiled = jax.jit(algorithm.phases[0].update)
    return compiled(state, batch, jax.random.key(1), jnp.asarray(0))


def negative_log_likelihood(mean, std, actions):
    errors = (np.asarray(actions) - np.asarray(mean)) / std
    return np.mean(np.sum(0.5 * errors**2 + np.log(std) + 0.5 * np.log(2.0 * np.pi), axis=1))


def means(actor, state, observations, conditions):
    """The policy's, for inputs as the network gets them."""
    inputs = jnp.asarray(np.concatenate([observations, conditions], axis=1), jnp.float32)
    return actor.apply(state.actor.params, inputs).mode()


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_of_a_return_is_the_likelihood_under_a_gaussian(normalize, toy, first_state):
    dataset, spec = toy
    # Per step a random policy gets 0.2 and the reference policy 1.
    spec = dataclasses.replace(spec, max_episode_steps=10, reference_returns=(2.0, 10.0))
    algorithm = rvs.make(dataclasses.replace(CONFIG, normalize_inputs=normalize), spec)
    state = first_state(algorithm, dataset)
    batch = outcomes([[0.2], [0.6], [-0.2]])
    _, metrics = update(algorithm, state, batch)

    observations, conditions = np.asarray(batch.observations), np.array([[0.2], [0.6], [-0.2]])
    if normalize:
        mean, std = dataset.observations.mean(0), dataset.observations.std(0)
        observations = (observations - mean) / (std + 1e-3)
        conditions = np.array([[0.0], [0.5], [-0.5]])
    actor = networks.gaussian_actor(HIDDEN, Box((4,)), Box((2,)), tanh_mean=False)
    method = state.method if normalize else state
    mean = means(actor, method, observations, conditions)
    # A first deviation is 1.
    expected = negative_log_likelihood(mean, np.ones(2), batch.actions)
    assert metrics["actor_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("number", "mean", "log_std"), [(-9.0, -9.0, -5.0), (9.0, 90.0, 2.0)])
def test_the_deviation_is_kept_within_e_to_minus_5_and_e_squared(
    number, mean, log_std, toy, first_state
):
    # At inputs of zeros a net of one unit gives c relu(c) + c where all parameters are c.
    algorithm = rvs.make(dataclasses.replace(CONFIG, hidden_dims=(1,)), toy[1])
    state = first_state(algorithm, toy[0])
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, number), state.actor.params)
    state = state.replace(actor=state.actor.replace(params=params))
    batch = views.Outcomes(jnp.zeros((3, 3)), jnp.full((3, 2), mean), jnp.zeros((3, 1)))
    _, metrics = update(algorithm, state, batch)
    surprise = 2 * (log_std + 0.5 * np.log(2.0 * np.pi))  # of two entries at their means
    assert metrics["actor_loss"] == pytest.approx(surprise, rel=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_of_a_goal_scales_it_as_the_observations_it_is_taken_from(
    normalize, toy, first_state
):
    dataset, spec = toy
    spec = dataclasses.replace(spec, goal=Box((2,)))
    algorithm = rvs.make(dataclasses.replace(TO_GOAL, normalize_inputs=normalize), spec)
    state = first_state(algorithm, dataset)
    batch = outcomes([[1.0, 2.0], [0.0, -3.0], [0.5, 0.0]])
    _, metrics = update(algorithm, state, batch)

    observations, goals = np.asarray(batch.observations), np.asarray(batch.conditions)
    if normalize:
        mean, std = dataset.observations.mean(0), dataset.observations.std(0) + 1e-3
        observations, goals = (observations - mean) / std, (goals - mean[:2]) / std[:2]
    actor = networks.gaussian_actor(HIDDEN, Box((5,)), Box((2,)), tanh_mean=False)
    mean = means(actor, state.method if normalize else state, observations, goals)
    expected = negative_log_likelihood(mean, np.ones(2), batch.actions)
    assert metrics["actor_loss"] == pytest.approx(expected, rel=1e-4)


def test_an_update_is_one_of_adams_steps_down_the_loss(toy, first_state):
    algorithm = rvs.make(CONFIG, toy[1])
    state = first_state(algorithm, toy[0])
    batch = outcomes([[0.2], [0.6], [-0.2]])
    new, _ = update(algorithm, state, batch)
    actor = networks.gaussian_actor(HIDDEN, Box((4,)), Box((2,)), tanh_mean=False)
    inputs = jnp.concatenate([batch.observations, batch.conditions], axis=1)
    loss = lambda params: -jnp.mean(actor.apply(params, inputs).log_prob(batch.actions))
    assert_descends(loss, state.actor, new.actor, optax.adam(1e-2))
    chex.assert_trees_all_equal(new.scale, state.scale)


# What the policy is told.


def test_the_target_return_is_a_fraction_of_the_reference_and_stays_the_same(toy, first_state):
    spec = dataclasses.replace(toy[1], max_episode_steps=10, reference_returns=(-20.0, 80.0))
    for fraction, target in ((1.0, 8.0), (0.0, -2.0), (0.5, 3.0), (1.2, 10.0)):
        algorithm = rvs.make(dataclasses.replace(CONFIG, target_fraction=fraction), spec)
        carry = algorithm.reset(jax.random.key(0), jnp.zeros(0))
        np.testing.assert_allclose(carry, [target], rtol=1e-6)
    state = first_state(algorithm, toy[0])
    _, after = algorithm.act(state, carry, jnp.zeros(3), jnp.asarray(5.0))
    np.testing.assert_array_equal(after, carry)


def test_the_policy_acts_with_the_clipped_mean_for_what_it_is_told(toy, first_state):
    spec = dataclasses.replace(toy[1], goal=Box((2,)))
    algorithm = rvs.make(TO_GOAL, spec)
    state = first_state(algorithm, toy[0])
    actor = networks.gaussian_actor(HIDDEN, Box((5,)), Box((2,)), tanh_mean=False)
    for scale, clipped in ((0.1, False), (30.0, True)):
        observation, goal = scale * np.array([1.0, -1.0, 0.5]), scale * np.array([2.0, 1.0])
        mean = actor.apply(
            state.actor.params, jnp.asarray(np.append(observation, goal), jnp.float32)
        ).loc
        assert (np.abs(mean) > 1.0).any() == clipped
        action = act(algorithm, state, observation.astype(np.float32), goal)
        np.testing.assert_allclose(action, np.clip(mean, -1.0, 1.0), rtol=1e-4)


def test_without_goals_rvs_g_is_told_nothing_and_draws_rows_uniformly(toy):
    algorithm = rvs.make(TO_GOAL, toy[1])
    view = algorithm.phases[0].view(toy[0])
    assert view.conditions.shape == (toy[0].num_rows, 0)
    np.testing.assert_array_equal(view.observations, toy[0].observations)
    assert algorithm.reset(jax.random.key(0), jnp.zeros(0)).shape == (0,)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("goal_dim", [0, 2])
@pytest.mark.parametrize("condition", rvs.CONDITIONS)
def test_a_state_has_no_empty_array_which_no_checkpoint_could_hold(
    normalize, goal_dim, condition, toy, first_state
):
    config = dataclasses.replace(CONFIG, condition=condition, normalize_inputs=normalize)
    goal = Box((goal_dim,)) if goal_dim else None
    algorithm = rvs.make(config, dataclasses.replace(toy[1], goal=goal))
    assert all(leaf.size for leaf in jax.tree.leaves(first_state(algorithm, toy[0])))


# What it learns.


@pytest.fixture(scope="module")
def told_return(train):
    """Trains RvS-R on a probe; gives its action as a function of (fraction, observation)."""
    # What it learns does not depend on the target, so one program serves all probes.
    algorithm = rvs.make(CONFIG, toys.mixed_quality()[1])

    def run(probe):
        dataset, spec = probe
        state = train(algorithm, dataset)

        def action(fraction, observation):
            told = dataclasses.replace(CONFIG, target_fraction=fraction)
            return float(act(rvs.make(told, spec), state, observation)[0])

        return action

    return run


def test_rvs_r_takes_the_action_of_the_return_it_is_told(told_return):
    action = told_return(toys.mixed_quality())
    assert action(1.0, START) == pytest.approx(GOOD_ACTION, abs=0.1)
    assert action(0.0, START) == pytest.approx(BAD_ACTION, abs=0.1)


def test_rvs_r_told_the_best_return_there_is_misses_the_better_path_it_could_stitch(told_return):
    action = told_return(toys.stitching())
    # At the crossing 0 was left over one step on the way to the dead end, 1 on the way to the goal.
    # The best return in the data is 0, which from the crossing on means the dead end. From START
    # over the crossing to the goal it would be 1, the average of no row at the crossing.
    assert action(0.0, START) == pytest.approx(0.0, abs=0.1)
    assert action(0.0, CROSSING) == pytest.approx(BAD_ACTION, abs=0.1)
    # Nor does it get to the goal when told what that path had, -1 over two steps.
    assert action(-1.0, OTHER_START) == pytest.approx(0.0, abs=0.1)
    assert action(-1.0, CROSSING) < GOOD_ACTION - 0.5
    # It would have to be told to earn 1 at each of two steps, which no path does.
    assert action(2.0, CROSSING) == pytest.approx(GOOD_ACTION, abs=0.1)


def test_rvs_g_takes_the_action_that_leads_to_the_goal_it_is_told(train):
    dataset, spec = toys.goals()
    algorithm = rvs.make(TO_GOAL, spec)
    action = partial(act, algorithm, train(algorithm, dataset), START)
    assert action(goal=DEAD_END) == pytest.approx(BAD_ACTION, abs=0.1)
    assert action(goal=GOAL) == pytest.approx(GOOD_ACTION, abs=0.1)
    assert action(goal=START) == pytest.approx((BAD_ACTION + GOOD_ACTION) / 2.0, abs=0.1)


def test_neither_rvs_r_nor_bc_can_tell_two_goals_apart(train, told_return):
    dataset, spec = toys.goals()
    average = (BAD_ACTION + GOOD_ACTION) / 2.0
    assert told_return((dataset, spec))(1.0, START) == pytest.approx(average, abs=0.1)
    algorithm = bc.make(
        bc.Config(num_steps=600, batch_size=32, learning_rate=1e-2, hidden_dims=HIDDEN), spec
    )
    action = partial(act, algorithm, train(algorithm, dataset), START)
    for goal in (DEAD_END, GOAL):
        assert action(goal=goal) == pytest.approx(average, abs=0.1)


# Settings.


@pytest.mark.parametrize(("name", "condition"), [("rvs_r", "return"), ("rvs_g", "goal")])
def test_published_settings_are_those_of_the_authors_files(name, condition):
    for family, num_steps in (("locomotion", 124_000), ("antmaze", 20_000)):
        config = resolve(name, family).config
        assert (config.num_steps, config.batch_size) == (num_steps, 16_384)
        assert (config.hidden_dims, config.learning_rate) == ((1024, 1024), 1e-3)
        assert (config.normalize_inputs, config.target_fraction) == (False, 1.0)
        assert config.condition == condition


def test_smaller_profiles_keep_the_condition_and_normalize_the_inputs():
    for name in ("rvs_r", "rvs_g"):
        for family in FAMILIES:
            config = resolve(name, family).config
            small = resolve(name, family, Size(1, 1, (1,))).config
            assert small.condition == config.condition
            assert (small.normalize_inputs, small.learning_rate) == (True, 1e-3)


def test_an_unknown_condition_is_refused():
    with pytest.raises(InputError, match=r"condition must be one of .*return.*goal.*'regret'"):
        rvs.Config(condition="regret")


def test_the_contract_holds_for_goals_too():
    spec = EnvSpec(
        observation=Box((3,)), action=Box((2,), limit=1.0), max_episode_steps=10, goal=Box((2,))
    )
    algorithm = rvs.make(TO_GOAL, spec)
    view = jax.tree.map(jnp.asarray, algorithm.phases[0].view(toys.random_episodes()[0]))
    sample = jax.vmap(algorithm.phases[0].sample, in_axes=(0, None))
    batch = jax.jit(sample)(jax.random.split(jax.random.key(0), 2), view)
    assert batch.observations.shape == (2, 32, 3)
    assert batch.actions.shape == (2, 32, 2)
    assert batch.conditions.shape == (2, 32, 2)
