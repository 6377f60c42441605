import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import cql, networks
from algos.settings import Size, resolve
from envs.spaces import Box
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
ROWS = 6
NUM_SAMPLES = 3
# A long step, so that what is new is far from what is old; the actor clones at step 0 alone; a
# batch whose second half terminates.
CONFIG = cql.Config(
    num_steps=4,
    batch_size=ROWS,
    learning_rate=0.05,
    actor_learning_rate=0.1,
    hidden_dims=HIDDEN,
    discount=0.9,
    polyak=0.25,
    conservative_weight=2.0,
    num_samples=NUM_SAMPLES,
    cloning_steps=1,
)
LEARNED = dataclasses.replace(CONFIG, target_gap=15.0, max_backup=True)
ACTOR = networks.squashed_actor(HIDDEN, Box((3,)), Box((2,)))
CRITIC = networks.critics(HIDDEN, Box((3,)), Box((2,)))
TX, ACTOR_TX = optax.adam(0.05), optax.adam(0.1)


@pytest.fixture(scope="module")
def state(toy, first_state):
    """A first state that has left what is zero or equal at the start."""
    first = first_state(cql.make(CONFIG, toy[1]), toy[0])
    # The actor's last layer starts out so small that it says the same everywhere.
    moved = jax.tree.map(lambda x: 800.0 * x if x.shape == (16, 4) else x, first.actor.params)
    return first.replace(
        actor=first.actor.replace(params=moved),
        target_critic=CRITIC.init(jax.random.key(100)),
        log_alpha=first.log_alpha.replace(params=jnp.float32(-0.5)),
        log_weight=first.log_weight.replace(params=jnp.float32(0.3)),
    )


def compiled(config, toy):
    """One compiled update, always with the same draws."""
    update = jax.jit(cql.make(config, toy[1]).phases[0].update)
    return lambda state, batch, step: update(state, batch, jax.random.key(1), jnp.asarray(step))


@pytest.fixture(scope="module")
def update(toy):
    return compiled(CONFIG, toy)


@pytest.fixture(scope="module")
def update_learned(toy):
    return compiled(LEARNED, toy)


@pytest.fixture(scope="module")
def cloned(update, state, batch):
    return update(state, batch, 0)


@pytest.fixture(scope="module")
def climbed(update, state, batch):
    """What the step after the last of cloning gives for the same state."""
    return update(state, batch, 1)


@pytest.fixture(scope="module")
def learned(update_learned, state, batch):
    return update_learned(state, batch, 1)


def noise(source, num_samples=NUM_SAMPLES):
    """The draws of one update by what they are for: ``[M, B, A]``."""
    names = ("actor", "backup", "here", "next", "uniform")
    keys = dict(zip(names, jax.random.split(jax.random.key(1), 5), strict=True))
    shape = (num_samples, ROWS, 2)
    if source == "actor":
        return np.asarray(jax.random.normal(keys[source], shape[1:]))
    if source == "uniform":
        return np.asarray(jax.random.uniform(keys[source], shape, minval=-1.0, maxval=1.0))
    return np.asarray(jax.random.normal(keys[source], shape))


def squashed(params, observations, draws):
    """The policy's actions and their log densities, written out in double precision."""
    policy = ACTOR.apply(params, observations).gaussian
    mean, std = np.asarray(policy.loc, np.float64), np.asarray(policy.scale_diag, np.float64)
    raw = mean + std * draws
    normal = -0.5 * draws**2 - np.log(std) - 0.5 * np.log(2.0 * np.pi)
    return np.tanh(raw), np.sum(normal - np.log(1.0 - np.tanh(raw) ** 2), axis=-1)


def q(params, observations, actions):
    """``[2, ..., B]``."""
    actions = jnp.asarray(actions, jnp.float32)
    observations = jnp.broadcast_to(observations, (*actions.shape[:-1], 3))
    return np.asarray(CRITIC.apply(params, observations, actions))


def target(state, batch, num_samples=1):
    """Of the critics, without entropy: the best sample of each critic, then the lower critic."""
    actions, _ = squashed(state.actor.params, batch.next_observations, noise("backup", num_samples))
    next_q = q(state.target_critic, batch.next_observations, actions).max(axis=1).min(axis=0)
    rewards = np.asarray(batch.rewards)
    return np.concatenate([rewards[:3] + 0.9 * next_q[:3], rewards[3:]])


def sampled(state, batch):
    """What presses the critics down: actions ``[9, B, A]`` and their log densities ``[9, B]``."""
    params = state.actor.params
    here, here_density = squashed(params, batch.observations, noise("here"))
    there, there_density = squashed(params, batch.next_observations, noise("next"))
    uniform_density = np.full((NUM_SAMPLES, ROWS), 2.0 * np.log(0.5))
    actions = np.concatenate([noise("uniform"), there, here])
    return actions, np.concatenate([uniform_density, there_density, here_density])


def gaps(state, batch):
    """The conservative term of each critic."""
    actions, densities = sampled(state, batch)
    pressed = q(state.critic.params, batch.observations, actions) - densities
    soft_maximum = np.log(np.exp(pressed).sum(axis=1))
    lifted = q(state.critic.params, batch.observations, batch.actions)
    return 2.0 * np.mean(soft_maximum - lifted, axis=1)


def bellman_error(state, batch, targets):
    first, second = q(state.critic.params, batch.observations, batch.actions)
    return np.mean((first - targets) ** 2) + np.mean((second - targets) ** 2)


def test_the_conservative_gap_is_a_soft_maximum_over_densities_above_q_of_the_data():
    q = jnp.array([[1.0, 2.0], [0.0, 0.0]])
    # Two samples of one row and of another; densities of 1/2 double what they say.
    sampled_q = jnp.log(jnp.array([[[1.0, 3.0], [2.0, 5.0]], [[4.0, 1.0], [1.0, 1.0]]]))
    log_densities = jnp.log(jnp.array([[1.0, 0.5], [0.5, 0.5]]))
    # log(1 + 4) - 1 and log(6 + 10) - 2; log(4 + 2) and log(2 + 2).
    expected = [np.log(5 * 16) / 2 - 1.5, np.log(6 * 4) / 2]
    np.testing.assert_allclose(cql.conservative_gap(q, sampled_q, log_densities), expected, 1e-5)


def test_the_conservative_gap_presses_samples_by_their_share_and_lifts_the_data():
    q, sampled_q = jnp.zeros((1, 1)), jnp.log(jnp.array([[[1.0], [3.0]]]))
    gap = lambda q, sampled_q: cql.conservative_gap(q, sampled_q, jnp.zeros((2, 1))).sum()
    lifted, pressed = jax.grad(gap, argnums=(0, 1))(q, sampled_q)
    assert lifted.ravel().tolist() == pytest.approx([-1.0])
    assert pressed.ravel().tolist() == pytest.approx([0.25, 0.75])


def test_the_bellman_target_is_the_smaller_target_q_of_one_next_action_unless_it_is_over(
    cloned, state, batch
):
    _, metrics = cloned
    expected = bellman_error(state, batch, target(state, batch))
    assert metrics["bellman_error"] == pytest.approx(expected, rel=2e-4)
    lifted = q(state.critic.params, batch.observations, batch.actions)
    assert metrics["q"] == pytest.approx(lifted.mean(), rel=2e-4)


def test_what_follows_a_terminated_row_does_not_matter_to_the_bellman_error(
    update, cloned, state, batch
):
    next_observations = batch.next_observations
    elsewhere = batch._replace(next_observations=next_observations.at[3:].add(10.0))
    _, metrics = update(state, elsewhere, 0)
    assert metrics["bellman_error"] == cloned[1]["bellman_error"]
    # It is where actions are sampled, though.
    assert metrics["conservative_gap"] != cloned[1]["conservative_gap"]
    elsewhere = batch._replace(next_observations=next_observations.at[2].add(10.0))
    _, metrics = update(state, elsewhere, 0)
    assert metrics["bellman_error"] != pytest.approx(float(cloned[1]["bellman_error"]), rel=0.01)


def test_the_conservative_term_is_the_soft_maximum_of_sampled_q_above_q_of_the_data(
    cloned, state, batch
):
    _, metrics = cloned
    assert metrics["conservative_gap"] == pytest.approx(gaps(state, batch).mean(), rel=2e-4)
    bellman = bellman_error(state, batch, target(state, batch))
    expected = bellman + np.exp(0.3) * gaps(state, batch).sum()
    assert metrics["critic_loss"] == pytest.approx(expected, rel=2e-4)


def test_the_critics_follow_the_gradient_of_their_loss_at_fixed_actions_and_targets(
    learned, state, batch
):
    actions, densities = (jnp.asarray(x, jnp.float32) for x in sampled(state, batch))
    targets = jnp.asarray(target(state, batch, NUM_SAMPLES))
    observations = jnp.broadcast_to(batch.observations, (len(actions), ROWS, 3))

    def loss(params):
        lifted = CRITIC.apply(params, batch.observations, batch.actions)
        pressed = CRITIC.apply(params, observations, actions) - densities[None]
        gap = jax.nn.logsumexp(pressed, axis=1) - lifted
        errors = jnp.mean((lifted - targets[None]) ** 2, axis=1)
        return jnp.sum(errors + np.exp(0.3) * 2.0 * jnp.mean(gap, axis=1))

    assert_descends(loss, state.critic, learned[0].critic, TX)


def test_max_backup_takes_the_best_sample_of_each_critic_and_then_the_lower_critic(
    learned, state, batch
):
    _, metrics = learned
    expected = bellman_error(state, batch, target(state, batch, NUM_SAMPLES))
    assert metrics["bellman_error"] == pytest.approx(expected, rel=2e-4)
    # The best sample of the lower critic would have been a lower target.
    actions, _ = squashed(state.actor.params, batch.next_observations, noise("backup"))
    next_q = q(state.target_critic, batch.next_observations, actions)
    assert (next_q.max(axis=1).min(axis=0) > next_q.min(axis=0).max(axis=0) + 0.01)[:3].any()


def test_the_target_critic_moves_a_share_of_the_way_to_the_new_critic(cloned, state):
    new, _ = cloned
    blend = lambda network, target: 0.25 * network + 0.75 * target
    expected = jax.tree.map(blend, new.critic.params, state.target_critic)
    chex.assert_trees_all_close(new.target_critic, expected, rtol=1e-5, atol=1e-7)


def test_the_entropy_weight_falls_while_entropy_is_above_its_target(climbed, state, batch):
    new, metrics = climbed
    _, log_prob = squashed(state.actor.params, batch.observations, noise("actor"))
    assert metrics["entropy"] == pytest.approx(-log_prob.mean(), rel=2e-4)
    # The target is minus the number of actions.
    gradient = -np.mean(log_prob + -2.0)
    assert -log_prob.mean() > -2.0
    assert gradient > 0.0
    assert_descends(
        lambda log_alpha: gradient * log_alpha, state.log_alpha, new.log_alpha, ACTOR_TX
    )
    assert new.log_alpha.params == pytest.approx(-0.5 - 0.1, abs=1e-4)


def test_the_entropy_weight_rises_while_entropy_is_below_its_target(update, state, batch):
    # A bias of -9 on the log deviations brings them to their lower bound.
    sharp = jax.tree_util.tree_map_with_path(
        lambda path, x: x.at[2:].add(-9.0) if x.shape == (4,) else x, state.actor.params
    )
    new, metrics = update(state.replace(actor=state.actor.replace(params=sharp)), batch, 1)
    assert metrics["entropy"] < -2.0
    assert new.log_alpha.params == pytest.approx(-0.5 + 0.1, abs=1e-4)


def actor_losses(state, batch, alpha, imitates, critic=None):
    """The actor's loss at each row, written out."""
    actions, log_prob = squashed(state.actor.params, batch.observations, noise("actor"))
    if imitates:
        data = np.asarray(batch.actions, np.float64)
        policy = ACTOR.apply(state.actor.params, batch.observations).gaussian
        mean, std = np.asarray(policy.loc, np.float64), np.asarray(policy.scale_diag, np.float64)
        _, objective = squashed(
            state.actor.params, batch.observations, (np.arctanh(data) - mean) / std
        )
    else:
        params = state.critic.params if critic is None else critic
        objective = q(params, batch.observations, actions).min(axis=0)
    return alpha * log_prob - objective


def test_the_first_actor_losses_are_of_imitation_with_the_new_entropy_weight(cloned, state, batch):
    new, metrics = cloned
    alpha = np.exp(-0.6)
    assert metrics["alpha"] == pytest.approx(alpha, rel=2e-4)
    expected = actor_losses(state, batch, alpha, imitates=True).mean()
    assert metrics["actor_loss"] == pytest.approx(expected, rel=2e-4)
    stale = actor_losses(state, batch, np.exp(-0.5), imitates=True).mean()
    assert abs(stale - expected) > 0.01 * abs(expected)
    assert new.log_alpha.params == pytest.approx(-0.6, abs=1e-4)


def test_then_the_actor_climbs_the_smaller_old_q_with_the_new_entropy_weight(climbed, state, batch):
    new, metrics = climbed
    expected = actor_losses(state, batch, np.exp(-0.6), imitates=False).mean()
    assert metrics["actor_loss"] == pytest.approx(expected, rel=2e-4)
    stale = actor_losses(state, batch, np.exp(-0.5), imitates=False).mean()
    fresh = actor_losses(state, batch, np.exp(-0.6), imitates=False, critic=new.critic.params)
    for other in (stale, fresh.mean()):
        assert abs(other - expected) > 0.01 * abs(expected)


@pytest.mark.parametrize("step", [0, 1])
def test_the_actor_follows_the_gradient_of_its_loss_through_its_samples(
    step, cloned, climbed, state, batch
):
    draws = jnp.asarray(noise("actor"))
    alpha = np.exp(-0.6)

    def density(policy, raw):
        return policy.log_prob(raw) - jnp.log(1.0 - jnp.tanh(raw) ** 2).sum(-1)

    def loss(params):
        policy = ACTOR.apply(params, batch.observations).gaussian
        raw = policy.loc + policy.scale_diag * draws
        chosen = CRITIC.apply(state.critic.params, batch.observations, jnp.tanh(raw))
        imitation = density(policy, jnp.arctanh(batch.actions))
        objective = (imitation, jnp.minimum(*chosen))[step]
        return jnp.mean(alpha * density(policy, raw) - objective)

    new, _ = (cloned, climbed)[step]
    assert_descends(loss, state.actor, new.actor, ACTOR_TX)


def test_critics_and_entropy_weight_are_the_same_whatever_the_actor_does(cloned, climbed):
    for name in ("critic", "target_critic", "log_alpha", "log_weight"):
        chex.assert_trees_all_equal(getattr(cloned[0], name), getattr(climbed[0], name))


def test_a_weight_that_is_not_learned_stays_at_1(update, toy, first_state, batch):
    first = first_state(cql.make(CONFIG, toy[1]), toy[0])
    new, metrics = update(first, batch, 0)
    chex.assert_trees_all_equal(new.log_weight, first.log_weight)
    assert np.exp(new.log_weight.params) == 1.0
    assert "weight" not in metrics
    loss = metrics["bellman_error"] + 2.0 * metrics["conservative_gap"]
    assert metrics["critic_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_a_learned_weight_multiplies_the_gaps_above_their_target(learned, state, batch):
    _, metrics = learned
    weight = np.exp(0.3)
    assert metrics["weight"] == pytest.approx(weight, rel=1e-4)
    assert metrics["conservative_gap"] == pytest.approx(gaps(state, batch).mean(), rel=2e-4)
    expected = bellman_error(state, batch, target(state, batch, NUM_SAMPLES))
    expected += weight * (gaps(state, batch) - 15.0).sum()
    assert metrics["critic_loss"] == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("size", "direction"), [(0.0, -1.0), (4.0, 1.0)])
def test_a_learned_weight_rises_while_the_gap_is_above_its_target_and_falls_below_it(
    size, direction, update_learned, state, batch
):
    steep = jax.tree.map(lambda x: size * x, state.critic.params)
    state = state.replace(critic=state.critic.replace(params=steep))
    excess = gaps(state, batch).mean() - 15.0
    assert np.sign(excess) == direction
    new, _ = update_learned(state, batch, 1)
    assert new.log_weight.params == pytest.approx(0.3 + direction * 0.05, abs=1e-4)
    loss = lambda log_weight: -jnp.exp(log_weight) * excess
    assert_descends(loss, state.log_weight, new.log_weight, TX)


def test_a_learned_weight_is_a_million_at_most(update_learned, state, batch):
    for log_weight, expected in ((13.0, np.exp(13.0)), (20.0, 1e6)):
        heavy = state.replace(log_weight=state.log_weight.replace(params=jnp.float32(log_weight)))
        _, metrics = update_learned(heavy, batch, 1)
        assert metrics["weight"] == pytest.approx(expected, rel=1e-3)


def test_actions_at_the_bounds_can_be_imitated(update, state, batch):
    bounds = jnp.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]] * 2)
    new, metrics = update(state, batch._replace(actions=bounds), 0)
    chex.assert_tree_all_finite((new, metrics))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), new.actor.params, state.actor.params)
    assert all(jax.tree.leaves(moved))


def test_the_policy_acts_with_the_tanh_of_its_mean(toy, state, batch):
    observation = batch.observations[0]
    algorithm = cql.make(CONFIG, toy[1])
    action, _ = algorithm.act(state, (), observation, jnp.asarray(0.0))
    expected = np.tanh(np.asarray(ACTOR.apply(state.actor.params, observation).gaussian.loc))
    np.testing.assert_allclose(action, expected, rtol=1e-4)


def test_a_first_target_critic_is_the_critic_and_first_weights_are_1(toy, first_state):
    first = first_state(cql.make(CONFIG, toy[1]), toy[0])
    chex.assert_trees_all_equal(first.target_critic, first.critic.params)
    assert (first.log_alpha.params, first.log_weight.params) == (0.0, 0.0)


def test_smaller_profiles_take_longer_steps_sample_less_and_clone_for_longer(toy, first_state):
    for family in ("locomotion", "antmaze", "pointmaze"):
        config = resolve("cql", family).config
        short, long = (
            resolve("cql", family, Size(num_steps, 1, HIDDEN)).config for num_steps in (1000, 10**6)
        )
        assert short.learning_rate == max(1e-3, config.learning_rate)
        assert short.actor_learning_rate == 3e-4
        assert short.normalize_observations
        # The published share is 40,000 of 1,000,000 steps; in mazes of half as many as are taken.
        assert 0.04 < short.cloning_steps / short.num_steps < 1.0
        assert long.cloning_steps == 0.04 * 500_000
        in_mazes = family != "locomotion"
        assert (short.num_samples, short.layer_norm) == ((1, True) if in_mazes else (2, False))
        share = 1.0 if in_mazes else 0.5
        assert (short.num_steps, long.num_steps) == (share * 1000, share * 10**6)
        assert short.target_gap is None
        learned = config.target_gap is not None
        assert short.conservative_weight == (1.0 if learned else config.conservative_weight)
        for name in ("reward_transform", "max_backup"):
            assert getattr(short, name) == getattr(config, name)
    assert short.layer_norm
    state = first_state(cql.make(short, toy[1]), toy[0]).method
    # Each of the critic's hidden layers has a scale and a bias more.
    assert [len(jax.tree.leaves(part.params)) for part in (state.actor, state.critic)] == [6, 10]


def test_published_settings_are_those_of_the_authors_code():
    locomotion, antmaze = cql.Config(), cql.CONFIGS["antmaze"]
    for config in (locomotion, antmaze):
        assert (config.hidden_dims, config.learning_rate) == ((256, 256, 256), 3e-4)
        assert (config.actor_learning_rate, config.conservative_weight) == (1e-4, 5.0)
        assert (config.num_steps, config.batch_size) == (10**6, 256)
        assert (config.discount, config.polyak) == (0.99, 0.005)
        assert (config.num_samples, config.cloning_steps) == (10, 40_000)
        assert (config.max_backup, config.normalize_observations) == (False, False)
        assert config.layer_norm is False
    assert (locomotion.target_gap, locomotion.reward_transform) == (None, "raw")
    assert (antmaze.target_gap, antmaze.reward_transform) == (5.0, "plus_minus_two")
