import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import iql, networks
from algos.settings import Size, resolve
from envs import toy as toys
from envs.spaces import Box
from envs.toy import BAD_ACTION, CROSSING, GOOD_ACTION, OTHER_START, START
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
ROWS = 6
# A long step, so that the new value is far from the old one; a low cap, so that some weights meet
# it; a batch whose second half terminates.
CONFIG = iql.Config(
    num_steps=4,
    batch_size=ROWS,
    learning_rate=0.05,
    hidden_dims=HIDDEN,
    discount=0.9,
    polyak=0.25,
    expectile=0.8,
    inverse_temperature=2.0,
    max_weight=1.5,
)
ACTOR = networks.gaussian_actor(HIDDEN, Box((3,)), Box((2,)))
CRITIC = networks.critics(HIDDEN, Box((3,)), Box((2,)))
VALUE = networks.value(HIDDEN, Box((3,)))


@pytest.fixture(scope="module")
def state(toy, first_state):
    """A first state whose target critic is not the critic."""
    first = first_state(iql.make(CONFIG, toy[1]), toy[0])
    moved = jax.tree.map(lambda x: 0.8 * x + 0.05, first.target_critic)
    return first.replace(target_critic=moved)


@pytest.fixture(scope="module")
def update(toy):
    """One compiled update with ``CONFIG``."""
    compiled = jax.jit(iql.make(CONFIG, toy[1]).phases[0].update)
    return lambda state, batch: compiled(state, batch, jax.random.key(1), jnp.asarray(0))


@pytest.fixture(scope="module")
def updated(update, state, batch):
    return update(state, batch)


def target_q(state, batch):
    both = CRITIC.apply(state.target_critic, batch.observations, batch.actions)
    return np.minimum(*np.asarray(both))


def values(params, observations):
    return np.asarray(VALUE.apply(params, observations))


def log_prob(params, batch):
    """Of the batch's actions, written out."""
    distribution = ACTOR.apply(params, batch.observations)
    mean, std = np.asarray(distribution.loc), np.asarray(distribution.scale_diag)
    error = (np.asarray(batch.actions) - mean) / std
    return np.sum(-0.5 * error**2 - np.log(std) - 0.5 * np.log(2.0 * np.pi), axis=1)


def test_the_value_loss_is_the_expectile_loss_to_the_smaller_target_q(updated, state, batch):
    errors = target_q(state, batch) - values(state.value.params, batch.observations)
    assert 0 < (errors > 0).sum() < ROWS
    weights = np.where(errors > 0, 0.8, 0.2)
    _, metrics = updated
    assert metrics["value_loss"] == pytest.approx(np.mean(weights * errors**2), rel=1e-4)


def test_the_actor_loss_weighs_log_probabilities_by_advantages_over_the_new_value(
    updated, state, batch
):
    new, metrics = updated
    advantages = target_q(state, batch) - values(new.value.params, batch.observations)
    weights = np.minimum(np.exp(2.0 * advantages), 1.5)
    assert 0 < (weights == 1.5).sum() < ROWS
    losses = -weights * log_prob(state.actor.params, batch)
    assert metrics["actor_loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert metrics["advantage"] == pytest.approx(advantages.mean(), rel=1e-4)
    # The old value would have given another number.
    stale = target_q(state, batch) - values(state.value.params, batch.observations)
    stale = -np.minimum(np.exp(2.0 * stale), 1.5) * log_prob(state.actor.params, batch)
    assert abs(stale.mean() - losses.mean()) > 0.01 * abs(losses.mean())


def test_the_critic_loss_bootstraps_from_the_new_value_except_at_terminations(
    updated, state, batch
):
    new, metrics = updated
    predictions = CRITIC.apply(state.critic.params, batch.observations, batch.actions)
    next_values = values(new.value.params, batch.next_observations)
    rewards = np.asarray(batch.rewards)
    targets = np.concatenate([rewards[:3] + 0.9 * next_values[:3], rewards[3:]])
    first, second = np.asarray(predictions)
    expected = np.mean((first - targets) ** 2) + np.mean((second - targets) ** 2)
    assert metrics["critic_loss"] == pytest.approx(expected, rel=1e-4)
    assert metrics["q"] == pytest.approx(np.mean([first, second]), rel=1e-4)
    stale = values(state.value.params, batch.next_observations)
    assert np.abs(stale[:3] - next_values[:3]).min() > 0.01


@pytest.mark.parametrize(("number", "log_std"), [(-9.0, -5.0), (9.0, 2.0)])
def test_the_policys_deviation_is_kept_within_e_to_minus_5_and_e_squared(
    number, log_std, update, state, batch
):
    # At observations of zeros the mean is -1 or 1 where all parameters are -9 or 9.
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, number), state.actor.params)
    extreme = state.replace(actor=state.actor.replace(params=params))
    rows = batch._replace(
        observations=jnp.zeros_like(batch.observations),
        actions=jnp.full_like(batch.actions, np.sign(number)),
    )
    new, metrics = update(extreme, rows)
    advantages = target_q(state, rows) - values(new.value.params, rows.observations)
    weight = np.minimum(np.exp(2.0 * advantages), 1.5).mean()
    surprise = 2 * (log_std + 0.5 * np.log(2.0 * np.pi))  # of two entries at their means
    assert metrics["actor_loss"] == pytest.approx(weight * surprise, rel=1e-3)


def test_each_part_moves_down_its_own_loss_alone(updated, state, batch):
    new, _ = updated
    q = jnp.asarray(target_q(state, batch))
    weights = jnp.exp(2.0 * (q - VALUE.apply(new.value.params, batch.observations)))
    weights = jnp.minimum(weights, 1.5)
    next_values = VALUE.apply(new.value.params, batch.next_observations)
    targets = batch.rewards + 0.9 * (1.0 - batch.terminations) * next_values

    def value_loss(params):
        errors = q - VALUE.apply(params, batch.observations)
        return jnp.mean(jnp.where(errors > 0, 0.8, 0.2) * errors**2)

    def actor_loss(params):
        distribution = ACTOR.apply(params, batch.observations)
        return -jnp.mean(weights * distribution.log_prob(batch.actions))

    def critic_loss(params):
        errors = CRITIC.apply(params, batch.observations, batch.actions) - targets[None]
        return jnp.sum(jnp.mean(errors**2, axis=1))

    cosine = optax.adam(optax.cosine_decay_schedule(0.05, 4))
    assert_descends(value_loss, state.value, new.value, optax.adam(0.05))
    assert_descends(actor_loss, state.actor, new.actor, cosine)
    assert_descends(critic_loss, state.critic, new.critic, optax.adam(0.05))


def test_the_target_critic_moves_a_share_of_the_way_to_the_new_critic(updated, state):
    new, _ = updated
    parts = (new.target_critic, state.target_critic, new.critic.params)
    for after, before, critic in zip(*map(jax.tree.leaves, parts), strict=True):
        expected = 0.25 * np.asarray(critic) + 0.75 * np.asarray(before)
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-7)


def test_what_follows_a_terminated_row_does_not_matter(update, updated, state, batch):
    elsewhere = batch._replace(next_observations=batch.next_observations.at[3:].add(10.0))
    same, _ = update(state, elsewhere)
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(updated[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_follows_any_other_row_does(update, updated, state, batch):
    elsewhere = batch._replace(next_observations=batch.next_observations.at[2].add(10.0))
    _, metrics = update(state, elsewhere)
    assert metrics["critic_loss"] != pytest.approx(float(updated[1]["critic_loss"]), rel=0.01)


def test_truncated_rows_bootstrap_and_terminated_rows_do_not():
    dataset, _ = toys.constant_reward()
    assert dataset.truncations.all()
    algorithm = iql.make(CONFIG, toys.constant_reward()[1])
    assert (algorithm.phases[0].view(dataset).terminations == 0.0).all()
    dataset, _ = toys.constant_reward(terminated=True)
    assert (algorithm.phases[0].view(dataset).terminations == 1.0).all()


def test_the_actors_learning_rate_falls_to_zero_along_a_cosine_and_the_others_stay(
    toy, state, batch
):
    # Short steps, so that gradients hardly change and each of Adam's steps is as long as its rate.
    slow = dataclasses.replace(CONFIG, learning_rate=1e-4)
    update = jax.jit(iql.make(slow, toy[1]).phases[0].update)
    moves = {"actor": [], "critic": [], "value": []}
    for step in range(5):
        new, _ = update(state, batch, jax.random.key(1), jnp.asarray(step))
        for name, sizes in moves.items():
            parts = (getattr(new, name).params, getattr(state, name).params)
            pairs = zip(*map(jax.tree.leaves, parts), strict=True)
            sizes.append(max(np.abs(a - b).max() for a, b in pairs))
        state = new
    shares = [1.0, (1.0 + np.sqrt(0.5)) / 2.0, 0.5, (1.0 - np.sqrt(0.5)) / 2.0, 0.0]
    assert moves["actor"] == pytest.approx([1e-4 * share for share in shares], rel=0.05)
    assert moves["critic"] == pytest.approx([1e-4] * 5, rel=0.05)
    assert moves["value"] == pytest.approx([1e-4] * 5, rel=0.05)


def test_the_policy_acts_with_the_mode_of_its_distribution(state, toy):
    algorithm = iql.make(CONFIG, toy[1])
    observation = jnp.array([0.3, -1.0, 2.0])
    action, _ = algorithm.act(state, (), observation, jnp.asarray(0.0))
    expected = ACTOR.apply(state.actor.params, observation).loc
    np.testing.assert_allclose(action, expected, rtol=1e-5)


def test_a_first_target_critic_is_the_critic(toy, first_state):
    first = first_state(iql.make(CONFIG, toy[1]), toy[0])
    pairs = (first.critic.params, first.target_critic)
    for a, b in zip(*map(jax.tree.leaves, pairs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_smaller_profiles_normalize_observations_and_the_critics_layers(toy, first_state):
    small = resolve("iql", "locomotion", Size(1, 1, HIDDEN)).config
    assert (small.normalize_observations, small.layer_norm) == (True, True)
    state = first_state(iql.make(small, toy[1]), toy[0]).method
    num_leaves = lambda part: len(jax.tree.leaves(part.params))
    assert (num_leaves(state.actor), num_leaves(state.critic), num_leaves(state.value)) == (
        7,
        10,
        10,
    )


def test_smaller_profiles_weigh_advantages_in_antmaze_no_more_than_in_locomotion():
    for num_steps, expected in ((10_000, 2.0), (150_000, 3.0)):
        small = resolve("iql", "antmaze", Size(num_steps, 1, HIDDEN)).config
        assert small.inverse_temperature == pytest.approx(expected)


def test_published_settings_are_those_of_the_paper():
    locomotion, antmaze = iql.Config(), iql.CONFIGS["antmaze"]
    assert (locomotion.expectile, locomotion.inverse_temperature) == (0.7, 3.0)
    assert (antmaze.expectile, antmaze.inverse_temperature) == (0.9, 10.0)
    for config in (locomotion, antmaze):
        assert (config.discount, config.polyak, config.learning_rate) == (0.99, 0.005, 3e-4)
        assert (config.batch_size, config.num_steps, config.hidden_dims) == (256, 10**6, (256, 256))
    assert locomotion.reward_transform == "return_range"
    assert antmaze.reward_transform == "minus_one"


@pytest.fixture(scope="module")
def probe(train):
    """Trains IQL on a probe; gives its action, value and target Q as functions of arrays."""
    config = iql.Config(
        num_steps=1000,
        batch_size=64,
        learning_rate=5e-3,
        hidden_dims=HIDDEN,
        discount=0.5,
        polyak=0.1,
        expectile=0.9,
        inverse_temperature=10.0,
        reward_transform="raw",
    )
    spec = toys.two_step()[1]
    algorithm = iql.make(config, spec)
    value = networks.value(HIDDEN, spec.observation)
    critic = networks.critics(HIDDEN, spec.observation, spec.action)

    def run(dataset):
        state = train(algorithm, dataset)
        return (
            lambda s: float(algorithm.act(state, (), jnp.asarray(s), jnp.asarray(0.0))[0][0]),
            lambda s: float(value.apply(state.value.params, jnp.asarray(s))),
            lambda s, a: float(
                critic.apply(state.target_critic, jnp.asarray(s), jnp.array([a])).min()
            ),
        )

    return run


def test_a_reward_of_1_for_ever_is_worth_the_sum_of_its_discounts(probe):
    _, value, q = probe(toys.constant_reward()[0])
    assert value(START) == pytest.approx(2.0, abs=0.05)
    assert q(START, 0.0) == pytest.approx(2.0, abs=0.05)


def test_a_reward_of_1_that_ends_the_episode_is_worth_1(probe):
    _, value, q = probe(toys.constant_reward(terminated=True)[0])
    assert value(START) == pytest.approx(1.0, abs=0.03)
    assert q(START, 0.0) == pytest.approx(1.0, abs=0.03)


def test_a_reward_one_step_away_is_discounted_once(probe):
    _, value, q = probe(toys.two_step()[0])
    assert value(START) == pytest.approx(0.5, abs=0.03)
    assert q(START, 0.0) == pytest.approx(0.5, abs=0.03)
    assert value(CROSSING) == pytest.approx(1.0, abs=0.03)
    assert q(CROSSING, 0.0) == pytest.approx(1.0, abs=0.03)


def test_a_high_expectile_values_the_better_of_two_outcomes_and_takes_it(probe):
    action, value, q = probe(toys.mixed_quality()[0])
    assert q(START, BAD_ACTION) == pytest.approx(0.0, abs=0.05)
    assert q(START, GOOD_ACTION) == pytest.approx(1.0, abs=0.05)
    # 0.9 * 0.1 (1 - V) = 0.1 * 0.9 V, where the mean outcome is 0.1.
    assert value(START) == pytest.approx(0.5, abs=0.08)
    assert action(START) == pytest.approx(GOOD_ACTION, abs=0.1)


def test_iql_leaves_the_path_of_its_start_at_the_crossing(probe):
    action, value, _ = probe(toys.stitching()[0])
    assert action(CROSSING) == pytest.approx(GOOD_ACTION, abs=0.1)
    # At the crossing 0.9 (1 - V) = 0.1 V; both starts are one discount away from it.
    assert value(CROSSING) == pytest.approx(0.9, abs=0.05)
    assert value(START) == pytest.approx(0.45, abs=0.05)
    assert value(OTHER_START) == pytest.approx(-2.0 + 0.45, abs=0.05)
