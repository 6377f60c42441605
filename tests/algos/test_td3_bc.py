import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import networks, td3_bc
from algos.settings import Size, resolve
from envs.spaces import Box
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
ROWS = 6
# A long step, so that the new critic is far from the old one; noise that often meets its bound; a
# batch whose second half terminates.
CONFIG = td3_bc.Config(
    num_steps=4,
    batch_size=ROWS,
    learning_rate=0.05,
    hidden_dims=HIDDEN,
    discount=0.9,
    polyak=0.25,
    target_noise=0.8,
    q_weight=2.0,
    normalize_observations=False,
)
ACTOR = networks.deterministic_actor(HIDDEN, Box((3,)), Box((2,)))
CRITIC = networks.critics(HIDDEN, Box((3,)), Box((2,)))
TX = optax.adam(0.05)


@pytest.fixture(scope="module")
def state(toy, first_state):
    """A first state whose targets are not the networks."""
    first = first_state(td3_bc.make(CONFIG, toy[1]), toy[0])
    return first.replace(
        target_actor=jax.tree.map(lambda x: 2.0 * x, first.target_actor),
        target_critic=CRITIC.init(jax.random.key(100)),
    )


@pytest.fixture(scope="module")
def update(toy):
    """One compiled update with ``CONFIG``, always with the same noise."""
    compiled = jax.jit(td3_bc.make(CONFIG, toy[1]).phases[0].update)
    return lambda state, batch, step: compiled(state, batch, jax.random.key(2), jnp.asarray(step))


@pytest.fixture(scope="module")
def undue(update, state, batch):
    """What step 0 gives, at which the actor waits."""
    return update(state, batch, 0)


@pytest.fixture(scope="module")
def due(update, state, batch):
    """What step 1 gives for the same state, at which the actor is updated."""
    return update(state, batch, 1)


@pytest.fixture(scope="module")
def run(update, state, batch):
    """The states and metrics of four updates, after the first state."""
    states, metrics = [state], []
    for step in range(4):
        state, measured = update(state, batch, step)
        states.append(state)
        metrics.append(measured)
    return states, metrics


def first_q(params, batch):
    """Q of the first critic at the actor's choice before the update."""

    def q(actor_params):
        actions = ACTOR.apply(actor_params, batch.observations)
        return CRITIC.apply(params, batch.observations, actions)[0]

    return q


def targets(state, batch):
    """What the critics are drawn to, written out."""
    noise = np.clip(0.8 * np.asarray(jax.random.normal(jax.random.key(2), (ROWS, 2))), -0.5, 0.5)
    noisy = np.asarray(ACTOR.apply(state.target_actor, batch.next_observations)) + noise
    actions = np.clip(noisy, -1.0, 1.0)
    both = CRITIC.apply(state.target_critic, batch.next_observations, jnp.asarray(actions))
    first, second = np.asarray(both)
    # Rows that go on meet both bounds of both kinds, and either critic is the smaller one.
    assert {-0.5, 0.5} < set(noise[:3].ravel().tolist())
    assert {-1.0, 1.0} < set(actions[:3].ravel().tolist())
    assert 0 < (first < second)[:3].sum() < 3
    rewards = np.asarray(batch.rewards)
    return np.concatenate([rewards[:3] + 0.9 * np.minimum(first, second)[:3], rewards[3:]])


def test_the_climbing_loss_is_the_cloning_error_less_q_over_its_mean_size():
    q = jnp.array([3.0, -1.0])
    actions, data_actions = jnp.array([[0.5, 0.0], [1.0, 0.0]]), jnp.array([[0.5, 1.0], [0.0, 0.0]])
    loss, cloning_error = td3_bc.climbing_loss(q, actions, data_actions, 4.0)
    assert cloning_error == pytest.approx(2.0 / 4.0)
    # 4 over the mean size of 2 weighs the mean Q of 1.
    assert loss == pytest.approx(0.5 - 2.0 * 1.0)


def test_the_climbing_loss_rises_with_no_size_of_q():
    actions = jnp.zeros((2, 2))
    loss = lambda q: td3_bc.climbing_loss(q, actions, actions, 4.0)[0]
    # -4 / 2 / 2 rows, as if the mean size of 2 were a constant.
    assert jax.grad(loss)(jnp.array([3.0, -1.0])).tolist() == pytest.approx([-1.0, -1.0])


def test_the_critics_go_to_the_smaller_target_q_of_clipped_noisy_actions_unless_it_is_over(
    undue, state, batch
):
    first, second = np.asarray(CRITIC.apply(state.critic.params, batch.observations, batch.actions))
    target = targets(state, batch)
    expected = np.mean((first - target) ** 2) + np.mean((second - target) ** 2)
    _, metrics = undue
    assert metrics["critic_loss"] == pytest.approx(expected, rel=1e-4)
    assert metrics["q"] == pytest.approx(np.mean([first, second]), rel=1e-4)


def test_what_follows_a_terminated_row_does_not_matter(update, undue, state, batch):
    elsewhere = batch._replace(next_observations=batch.next_observations.at[3:].add(10.0))
    chex.assert_trees_all_equal(update(state, elsewhere, 0), undue)


def test_what_follows_any_other_row_does(update, undue, state, batch):
    elsewhere = batch._replace(next_observations=batch.next_observations.at[2].add(10.0))
    _, metrics = update(state, elsewhere, 0)
    assert metrics["critic_loss"] != pytest.approx(float(undue[1]["critic_loss"]), rel=0.01)


def test_the_critics_follow_the_gradient_of_their_loss_to_fixed_targets(undue, state, batch):
    target = jnp.asarray(targets(state, batch))

    def loss(params):
        errors = CRITIC.apply(params, batch.observations, batch.actions) - target[None]
        return jnp.sum(jnp.mean(errors**2, axis=1))

    assert_descends(loss, state.critic, undue[0].critic, TX)


def test_the_actor_climbs_the_first_new_critic_relative_to_its_size_and_stays_near_the_data(
    due, state, batch
):
    new, metrics = due
    q = np.asarray(first_q(new.critic.params, batch)(state.actor.params))
    assert 0 < (q > 0).sum() < ROWS
    weight = 2.0 / np.mean(np.abs(q))
    errors = np.asarray(ACTOR.apply(state.actor.params, batch.observations) - batch.actions)
    cloning_error = sum(errors.ravel() ** 2) / (2 * ROWS)
    assert metrics["cloning_error"] == pytest.approx(cloning_error, rel=1e-4)
    loss = cloning_error - weight * np.mean(q)
    assert metrics["actor_loss"] == pytest.approx(loss, rel=1e-4)
    # The old critic would have given another number.
    stale = np.asarray(first_q(state.critic.params, batch)(state.actor.params))
    assert abs(stale.mean() / np.mean(np.abs(stale)) - q.mean() / np.mean(np.abs(q))) > 0.01


def test_the_weight_of_q_carries_no_gradient(due, state, batch):
    new, _ = due
    q = first_q(new.critic.params, batch)
    weight = 2.0 / float(jnp.abs(q(state.actor.params)).mean())

    def loss(params):
        errors = ACTOR.apply(params, batch.observations) - batch.actions
        return jnp.mean(errors**2) - weight * q(params).mean()

    assert_descends(loss, state.actor, new.actor, TX)


def test_the_actors_loss_leaves_the_critics_alone(undue, due):
    chex.assert_trees_all_equal(undue[0].critic, due[0].critic)


def test_at_a_step_that_is_not_due_the_actor_and_the_targets_stay(undue, state):
    new, _ = undue
    for name in ("actor", "target_actor", "target_critic"):
        chex.assert_trees_all_equal(getattr(new, name), getattr(state, name))


def test_the_targets_move_a_share_of_the_way_to_the_new_networks(due, state):
    new, _ = due
    blend = lambda network, target: 0.25 * network + 0.75 * target
    for name in ("actor", "critic"):
        target = getattr(state, f"target_{name}")
        expected = jax.tree.map(blend, getattr(new, name).params, target)
        moved = getattr(new, f"target_{name}")
        chex.assert_trees_all_close(moved, expected, rtol=1e-5, atol=1e-7)


def moves(states, part):
    """At which steps the part of the state changed."""
    flat = [np.concatenate([x.ravel() for x in jax.tree.leaves(part(state))]) for state in states]
    return [bool((old != new).any()) for old, new in itertools.pairwise(flat)]


def test_the_actor_and_the_targets_move_at_every_second_step_and_the_critics_at_each(run):
    states, _ = run
    assert moves(states, lambda state: state.critic.params) == [True] * 4
    for part in (
        lambda state: state.actor.params,
        lambda state: state.target_actor,
        lambda state: state.target_critic,
    ):
        assert moves(states, part) == [False, True, False, True]


def test_metrics_of_the_newest_actor_update_are_shown_until_the_next(run):
    _, metrics = run
    for name in ("actor_loss", "cloning_error"):
        shown = [float(measured[name]) for measured in metrics]
        assert shown[0] == 0.0
        assert shown[1] == shown[2] != 0.0
        assert shown[3] not in (shown[2], 0.0)
    assert len({float(measured["critic_loss"]) for measured in metrics}) == 4


def test_first_targets_are_the_networks(toy, first_state):
    first = first_state(td3_bc.make(CONFIG, toy[1]), toy[0])
    chex.assert_trees_all_equal(first.target_actor, first.actor.params)
    chex.assert_trees_all_equal(first.target_critic, first.critic.params)


def test_the_policy_acts_as_the_actor_says(toy, state, batch):
    observation = batch.observations[0]
    algorithm = td3_bc.make(CONFIG, toy[1])
    action, _ = algorithm.act(state, (), observation, jnp.asarray(0.0))
    expected = ACTOR.apply(state.actor.params, observation)
    np.testing.assert_allclose(action, expected, rtol=1e-4)


def test_smaller_profiles_take_longer_steps_and_trust_critics_less(toy, first_state):
    for family in ("locomotion", "antmaze"):
        config = resolve("td3_bc", family).config
        short, long = (
            resolve("td3_bc", family, Size(num_steps, 1, HIDDEN)).config
            for num_steps in (1000, 10**6)
        )
        assert (short.learning_rate, short.normalize_observations) == (1e-3, True)
        assert short.layer_norm
        assert 0.0 < short.q_weight < long.q_weight == 2.5
        for name in ("discount", "actor_delay", "target_noise", "reward_transform"):
            assert getattr(short, name) == getattr(config, name)
    state = first_state(td3_bc.make(short, toy[1]), toy[0]).method
    # Each of the critic's hidden layers has a scale and a bias more.
    assert [len(jax.tree.leaves(part.params)) for part in (state.actor, state.critic)] == [6, 10]


def test_published_settings_are_those_of_the_authors_code():
    locomotion, antmaze = td3_bc.Config(), td3_bc.CONFIGS["antmaze"]
    for config in (locomotion, antmaze):
        assert (config.hidden_dims, config.learning_rate) == ((256, 256), 3e-4)
        assert (config.num_steps, config.batch_size) == (10**6, 256)
        assert (config.discount, config.polyak) == (0.99, 0.005)
        assert (config.target_noise, config.target_noise_clip) == (0.2, 0.5)
        assert (config.actor_delay, config.q_weight) == (2, 2.5)
        assert (config.reward_transform, config.layer_norm) == ("raw", False)
    assert (locomotion.normalize_observations, antmaze.normalize_observations) == (True, False)
