import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import networks, onestep, views
from algos.settings import Size, resolve
from envs.errors import InputError
from envs.spaces import Box
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
ROWS = 6
NUM_SAMPLES = 5
# A long step; a low cap, so that some weights meet it; a batch whose second half terminates.
CONFIG = onestep.Config(
    num_steps=9,
    batch_size=ROWS,
    learning_rate=0.05,
    hidden_dims=HIDDEN,
    behaviour_steps=2,
    sarsa_steps=4,
    discount=0.9,
    polyak=0.25,
    inverse_temperature=2.0,
    max_weight=1.5,
    kl_weight=0.7,
    num_samples=NUM_SAMPLES,
)
REVERSE_KL = dataclasses.replace(CONFIG, improvement="reverse_kl")
EASY_BCQ = dataclasses.replace(CONFIG, improvement="easy_bcq", num_steps=6)
ACTOR = networks.varying_gaussian_actor(HIDDEN, Box((3,)), Box((2,)))
CRITIC = networks.critics(HIDDEN, Box((3,)), Box((2,)), num=1)
TX = optax.adam(0.05)


@pytest.fixture(scope="module")
def batch(toy):
    rows = jax.tree.map(lambda x: jnp.asarray(x[:ROWS]), views.sarsa(toy[0], "raw"))
    return rows._replace(terminations=jnp.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))


@pytest.fixture(scope="module")
def state(toy, first_state):
    """A first state in which no network equals another."""
    first = first_state(onestep.make(CONFIG, toy[1]), toy[0])
    other_actor = ACTOR.init(jax.random.key(100))
    return first.replace(
        actor=first.actor.replace(params=other_actor),
        target_critic=CRITIC.init(jax.random.key(101)),
    )


def compiled(config, toy, phase):
    """One compiled update, always with the same draws."""
    update = jax.jit(onestep.make(config, toy[1]).phases[phase].update)
    return lambda state, batch, step=0: update(state, batch, jax.random.key(1), jnp.asarray(step))


@pytest.fixture(scope="module")
def fitted(toy, state, batch):
    return compiled(CONFIG, toy, 0)(state, batch)


@pytest.fixture(scope="module")
def evaluate(toy):
    return compiled(CONFIG, toy, 1)


@pytest.fixture(scope="module")
def evaluated(evaluate, state, batch):
    return evaluate(state, batch)


@pytest.fixture(scope="module")
def weighted(toy, state, batch):
    return compiled(CONFIG, toy, 2)(state, batch)


@pytest.fixture(scope="module")
def diverged(toy, state, batch):
    return compiled(REVERSE_KL, toy, 2)(state, batch)


def log_prob(params, observations, actions):
    """Written out; ``actions`` ``[..., B, A]`` give ``[..., B]``."""
    distribution = ACTOR.apply(params, observations)
    mean, std = np.asarray(distribution.loc), np.asarray(distribution.scale_diag)
    error = (np.asarray(actions) - mean) / std
    return np.sum(-0.5 * error**2 - np.log(std) - 0.5 * np.log(2.0 * np.pi), axis=-1)


def q(params, observations, actions):
    """``[..., B]``."""
    observations = jnp.broadcast_to(observations, (*actions.shape[:-1], 3))
    return np.asarray(CRITIC.apply(params, observations, jnp.asarray(actions))[0])


def drawn(params, observations, key, *shape):
    """The policy's samples."""
    return ACTOR.apply(params, observations).sample(seed=key, sample_shape=shape)


def assert_same(one, other, *names):
    for name in names:
        chex.assert_trees_all_equal(getattr(one, name), getattr(other, name))


# The phases.


def test_there_are_three_phases_and_the_last_has_the_steps_that_are_left(toy):
    phases = onestep.make(CONFIG, toy[1]).phases
    assert [phase.num_steps for phase in phases] == [2, 4, 3]
    kinds = (views.Demonstrations, views.Sarsa, views.Demonstrations)
    assert tuple(type(phase.view(toy[0])) for phase in phases) == kinds
    sizes = [len(phase.view(toy[0]).actions) for phase in phases]
    # Every other one of the 8 episodes was cut off by time.
    assert sizes == [toy[0].num_rows, toy[0].num_rows - 4, toy[0].num_rows]


def test_easy_bcq_has_no_third_phase(toy):
    phases = onestep.make(EASY_BCQ, toy[1]).phases
    assert [phase.num_steps for phase in phases] == [2, 4]


def test_first_actor_and_behaviour_model_and_first_critic_and_target_are_equal(toy, first_state):
    first = first_state(onestep.make(CONFIG, toy[1]), toy[0])
    chex.assert_trees_all_equal(first.actor, first.behaviour)
    chex.assert_trees_all_equal(first.target_critic, first.critic.params)


# The behaviour model.


def test_the_behaviour_loss_is_the_mean_negative_log_likelihood(fitted, state, batch):
    _, metrics = fitted
    expected = -log_prob(state.behaviour.params, batch.observations, batch.actions).mean()
    assert metrics["behaviour_loss"] == pytest.approx(expected, rel=1e-4)


def test_the_behaviour_model_follows_the_gradient_of_its_loss_and_the_actor_follows_it(
    fitted, state, batch
):
    def loss(params):
        distribution = ACTOR.apply(params, batch.observations)
        return -jnp.mean(distribution.log_prob(batch.actions))

    new, _ = fitted
    assert_descends(loss, state.behaviour, new.behaviour, TX)
    chex.assert_trees_all_equal(new.actor.params, new.behaviour.params)
    # The improvement starts with an optimizer that has seen nothing.
    chex.assert_trees_all_equal(new.actor.opt_state, state.actor.opt_state)
    assert_same(new, state, "critic", "target_critic")


# Its Q.


def sarsa_targets(state, batch):
    next_q = q(state.target_critic, batch.next_observations, batch.next_actions)
    rewards = np.asarray(batch.rewards)
    return np.concatenate([rewards[:3] + 0.9 * next_q[:3], rewards[3:]])


def test_sarsa_bootstraps_from_the_target_q_of_the_datas_next_action_unless_it_is_over(
    evaluated, state, batch
):
    predictions = q(state.critic.params, batch.observations, batch.actions)
    errors = predictions - sarsa_targets(state, batch)
    _, metrics = evaluated
    assert metrics["critic_loss"] == pytest.approx(np.mean(errors**2), rel=1e-4)
    assert metrics["q"] == pytest.approx(predictions.mean(), rel=1e-4)


def test_the_critic_follows_the_gradient_of_its_loss_to_fixed_targets(evaluated, state, batch):
    targets = jnp.asarray(sarsa_targets(state, batch))

    def loss(params):
        return jnp.mean((CRITIC.apply(params, batch.observations, batch.actions)[0] - targets) ** 2)

    new, _ = evaluated
    assert_descends(loss, state.critic, new.critic, TX)
    assert_same(new, state, "behaviour", "actor")


def test_what_follows_a_terminated_row_does_not_matter(evaluate, evaluated, state, batch):
    elsewhere = batch._replace(
        next_observations=batch.next_observations.at[3:].add(10.0),
        next_actions=batch.next_actions.at[3:].add(1.0),
    )
    chex.assert_trees_all_equal(evaluate(state, elsewhere), evaluated)


@pytest.mark.parametrize("name", ["next_observations", "next_actions"])
def test_what_follows_any_other_row_does(name, evaluate, evaluated, state, batch):
    elsewhere = batch._replace(**{name: getattr(batch, name).at[2].add(1.0)})
    _, metrics = evaluate(state, elsewhere)
    assert metrics["critic_loss"] != pytest.approx(float(evaluated[1]["critic_loss"]), rel=1e-3)


def test_the_target_moves_a_share_of_the_way_to_the_new_critic_at_every_second_step(
    evaluate, state, batch
):
    for step in range(4):
        new, _ = evaluate(state, batch, step)
        if step % 2 == 0:
            assert_same(new, state, "target_critic")
        else:
            blend = lambda network, target: 0.25 * network + 0.75 * target
            expected = jax.tree.map(blend, new.critic.params, state.target_critic)
            chex.assert_trees_all_close(new.target_critic, expected, rtol=1e-5, atol=1e-7)
        state = new


# The improvement.


def advantages(state, batch):
    """Of the data's actions over the mean Q of the behaviour model's."""
    params = state.behaviour.params
    sampled = drawn(params, batch.observations, jax.random.key(1), NUM_SAMPLES)
    value = q(state.critic.params, batch.observations, sampled).mean(axis=0)
    return q(state.critic.params, batch.observations, batch.actions) - value


def test_exp_weight_weighs_log_probabilities_by_capped_exponentials_of_advantages(
    weighted, state, batch
):
    weights = np.minimum(np.exp(2.0 * advantages(state, batch)), 1.5)
    assert 0 < (weights == 1.5).sum() < ROWS
    expected = -weights * log_prob(state.actor.params, batch.observations, batch.actions)
    _, metrics = weighted
    assert metrics["actor_loss"] == pytest.approx(expected.mean(), rel=1e-4)
    assert metrics["advantage"] == pytest.approx(advantages(state, batch).mean(), rel=1e-4)


def test_exp_weight_follows_the_gradient_at_fixed_weights(weighted, state, batch):
    weights = jnp.minimum(jnp.exp(2.0 * advantages(state, batch)), 1.5)

    def loss(params):
        distribution = ACTOR.apply(params, batch.observations)
        return -jnp.mean(weights * distribution.log_prob(batch.actions))

    assert_descends(loss, state.actor, weighted[0].actor, TX)


def test_reverse_kl_weighs_the_divergence_from_the_behaviour_model_against_q(
    diverged, state, batch
):
    key_q, key_divergence = jax.random.split(jax.random.key(1))
    observations, params = batch.observations, state.actor.params
    chosen = q(state.critic.params, observations, drawn(params, observations, key_q))
    sampled = drawn(params, observations, key_divergence, NUM_SAMPLES)
    log_ratios = log_prob(params, observations, sampled)
    log_ratios -= log_prob(state.behaviour.params, observations, sampled)
    _, metrics = diverged
    assert metrics["divergence"] == pytest.approx(log_ratios.mean(), rel=1e-3)
    expected = 0.7 * log_ratios.mean() - chosen.mean()
    assert metrics["actor_loss"] == pytest.approx(expected, rel=1e-3)


def test_reverse_kl_follows_the_gradient_through_its_samples(diverged, state, batch):
    key_q, key_divergence = jax.random.split(jax.random.key(1))
    observations, params = batch.observations, state.actor.params
    policy = ACTOR.apply(params, observations)
    noise = lambda sampled: jax.lax.stop_gradient((sampled - policy.loc) / policy.scale_diag)
    noise_q = noise(drawn(params, observations, key_q))
    noises = [noise(x) for x in drawn(params, observations, key_divergence, NUM_SAMPLES)]

    def loss(params):
        policy = ACTOR.apply(params, observations)
        behaviour = ACTOR.apply(state.behaviour.params, observations)
        move = lambda noise: policy.loc + policy.scale_diag * noise
        chosen = CRITIC.apply(state.critic.params, observations, move(noise_q))[0]
        log_ratio = lambda action: policy.log_prob(action) - behaviour.log_prob(action)
        divergence = sum(log_ratio(move(noise)) for noise in noises) / NUM_SAMPLES
        return jnp.mean(0.7 * divergence - chosen)

    assert_descends(loss, state.actor, diverged[0].actor, TX)


@pytest.mark.parametrize("improvement", ["weighted", "diverged"])
def test_the_improvement_moves_the_actor_alone(improvement, request, state):
    new, _ = request.getfixturevalue(improvement)
    assert_same(new, state, "critic", "target_critic", "behaviour")
    pairs = zip(*map(jax.tree.leaves, (new.actor.params, state.actor.params)), strict=True)
    assert all((a != b).any() for a, b in pairs)


# Acting.


@pytest.fixture(scope="module")
def choose(toy):
    """easy_bcq's compiled policy: (state, memory, observation) -> action and memory."""
    act = jax.jit(onestep.make(EASY_BCQ, toy[1]).act)
    return lambda *args: act(*args, jnp.asarray(0.0))


def test_the_policy_acts_with_its_mean(toy, state, batch):
    observation = batch.observations[0]
    algorithm = onestep.make(CONFIG, toy[1])
    action, _ = algorithm.act(state, (), observation, jnp.asarray(0.0))
    expected = ACTOR.apply(state.actor.params, observation).loc
    np.testing.assert_allclose(action, expected, rtol=1e-4)


def test_easy_bcq_takes_the_best_of_the_behaviour_models_actions_kept_in_bounds(
    choose, state, batch
):
    wide = jax.tree.map(lambda x: 2.0 * x, state.behaviour.params)
    state = state.replace(behaviour=state.behaviour.replace(params=wide))
    observations = batch.observations[:1]
    cut = []
    for seed in range(4):
        action, carry = choose(state, jax.random.key(seed), observations[0])
        key, rest = jax.random.split(jax.random.key(seed))
        # What is remembered is a key that nothing was drawn from.
        np.testing.assert_array_equal(*map(jax.random.key_data, (carry, rest)))
        sampled = np.asarray(drawn(wide, observations, key, NUM_SAMPLES))
        bounded = np.clip(sampled, -1.0, 1.0)
        best = q(state.critic.params, observations, bounded)[:, 0].argmax()
        np.testing.assert_allclose(action, bounded[best, 0], rtol=1e-4)
        cut.append((bounded != sampled)[best].any())
    assert any(cut)


def test_easy_bcq_draws_anew_for_each_episode_and_at_each_of_its_steps(toy, choose, state, batch):
    algorithm = onestep.make(EASY_BCQ, toy[1])
    actions = []
    for seed in range(3):
        carry = algorithm.reset(jax.random.key(seed), jnp.zeros(0))
        for _ in range(3):
            action, carry = choose(state, carry, batch.observations[0])
            actions.append(tuple(np.asarray(action).tolist()))
    assert len(set(actions)) == 9


# Settings.


def test_steps_that_easy_bcq_would_not_take_are_refused():
    rule = r"num_steps must be behaviour_steps \+ sarsa_steps = 2500000: .*, got 2600000"
    with pytest.raises(InputError, match=rule):
        onestep.Config(improvement="easy_bcq")
    assert onestep.Config(improvement="easy_bcq", num_steps=2_500_000).num_steps == 2_500_000


def test_smaller_profiles_share_their_steps_out_and_take_longer_ones(toy, first_state):
    for family in ("locomotion", "antmaze"):
        config = resolve("onestep", family).config
        small = resolve("onestep", family, Size(100, 1, HIDDEN)).config
        assert (small.behaviour_steps, small.sarsa_steps) == (25, 50)
        assert (small.learning_rate, small.normalize_observations) == (1e-3, True)
        assert small.layer_norm
        for name in ("improvement", "discount", "max_weight", "reward_transform"):
            assert getattr(small, name) == getattr(config, name)
        assert resolve("onestep", family, Size(3, 1, HIDDEN)).config.sarsa_steps == 1
    state = first_state(onestep.make(small, toy[1]), toy[0]).method
    # Each of the critic's hidden layers has a scale and a bias more.
    assert [len(jax.tree.leaves(part.params)) for part in (state.actor, state.critic)] == [6, 10]


def test_easy_bcq_in_smaller_profiles_gives_the_rest_of_its_steps_to_sarsa():
    small = resolve("onestep_easy_bcq", "locomotion", Size(100, 1, HIDDEN)).config
    assert (small.behaviour_steps, small.sarsa_steps) == (25, 75)


def test_published_settings_are_those_of_the_authors_code(toy):
    locomotion, antmaze = onestep.Config(), resolve("onestep", "antmaze").config
    for config in (locomotion, antmaze):
        phases = onestep.make(config, toy[1]).phases
        assert [phase.num_steps for phase in phases] == [500_000, 2_000_000, 100_000]
        assert (config.hidden_dims, config.learning_rate) == ((1024, 1024), 1e-4)
        assert (config.batch_size, config.discount) == (512, 0.99)
        assert (config.polyak, config.target_delay) == (0.005, 2)
        assert (config.improvement, config.max_weight) == ("exp_weight", 100.0)
        assert (config.num_samples, config.kl_weight) == (10, 1.0)
        assert (config.normalize_observations, config.layer_norm) == (False, False)
    # One of the six that the paper tries on each dataset.
    assert (locomotion.inverse_temperature, locomotion.reward_transform) == (1.0, "raw")
    iql = resolve("iql", "antmaze").config
    assert antmaze.inverse_temperature == iql.inverse_temperature == 10.0
    assert antmaze.reward_transform == iql.reward_transform == "minus_one"
