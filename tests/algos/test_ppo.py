import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

from algos.online import mlp, ppo
from envs.collect import policy

# A transformation that moves nothing and keeps the gradient, so that tests can look at it.
KEEP = optax.GradientTransformation(
    init=lambda params: jax.tree.map(jnp.zeros_like, params),
    update=lambda gradient, state, params=None: (jax.tree.map(jnp.zeros_like, gradient), gradient),
)
LANES, STEPS, WIDTH = 2, 5, 32
CONFIG = ppo.Config(
    num_envs=LANES,
    rollout_steps=STEPS,
    num_epochs=1,
    num_minibatches=1,
    hidden_dims=(WIDTH, WIDTH),
    discount=0.9,
    gae_lambda=0.8,
    entropy_weight=0.03,
)


# The online trainers are not held to the rule that shapes must have equal rank.
@pytest.fixture(scope="module", autouse=True)
def _rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def rollout():
    """Five steps of two lanes: time ends an episode of the first, a fall one of the second."""
    generator = np.random.default_rng(0)
    normal = lambda *shape: generator.standard_normal((STEPS, LANES, *shape)).astype(np.float32)
    ends, falls = np.zeros((STEPS, LANES), bool), np.zeros((STEPS, LANES), bool)
    ends[1, 0] = ends[2, 1] = falls[2, 1] = True
    return {
        "observations": normal(29),
        "actions": normal(8),
        "rewards": normal(),
        "falls": falls,
        "ends": ends,
        "values": normal(),
        "next_values": normal(),
    }


@pytest.fixture(scope="module")
def states(rollout):
    """The states before and after one update that keeps its gradient."""
    state = ppo._init(jax.random.key(0), CONFIG, KEEP)
    update = jax.jit(lambda state, batch: ppo._update(state, batch, config=CONFIG, tx=KEEP))
    return state, update(state, rollout)


def loop_advantages(rollout):
    """Generalised advantages, step by step from the end of the rollout."""
    advantages = np.zeros((STEPS, LANES))
    for lane in range(LANES):
        following = 0.0
        for t in reversed(range(STEPS)):
            row = {name: value[t, lane] for name, value in rollout.items()}
            future = 0.0 if row["falls"] else 0.9 * row["next_values"]
            following = 0.0 if row["ends"] else following
            following = row["rewards"] + future - row["values"] + 0.9 * 0.8 * following
            advantages[t, lane] = following
    return advantages


def test_advantages_stop_at_ends_and_bootstrap_except_at_falls(states, rollout):
    before, after = states
    gradient = after.optimizer[2]  # of the value network
    flat = rollout["observations"].reshape(-1, 29)
    hidden = np.asarray(flat, np.float64)
    for kernel, bias in before.value[:-1]:
        hidden = np.tanh(hidden @ np.asarray(kernel) + np.asarray(bias))
    # The last layer's gradient is a known mixture of the errors V - (advantage + old value).
    mixture = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1).T / len(hidden)
    kernel, bias = gradient[-1]
    errors = np.linalg.lstsq(mixture, np.append(kernel[:, 0], bias), rcond=None)[0]
    predicted = np.asarray(mlp.apply(before.value, flat, jnp.tanh))[:, 0]
    advantages = predicted - errors - rollout["values"].ravel()
    np.testing.assert_allclose(advantages, loop_advantages(rollout).ravel(), atol=2e-4)


def test_the_first_step_climbs_the_advantage_weighted_log_probability(states, rollout):
    before, after = states
    advantages = loop_advantages(rollout).ravel()
    gain = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    flat = rollout["observations"].reshape(-1, 29)
    errors = rollout["actions"].reshape(-1, 8) - np.asarray(mlp.apply(before.actor, flat, jnp.tanh))
    std = np.exp(np.asarray(before.log_std))
    actor_gradient, log_std_gradient, _ = after.optimizer
    # d log N / d mean = error / std^2; d log N / d log std = error^2 / std^2 - 1.
    np.testing.assert_allclose(
        actor_gradient[-1][1], -np.mean(gain[:, None] * errors / std**2, axis=0), atol=1e-4
    )
    slope = np.mean(gain[:, None] * (errors**2 / std**2 - 1.0), axis=0)
    np.testing.assert_allclose(log_std_gradient, -slope - 0.03, rtol=1e-3, atol=1e-4)


def test_the_log_probability_is_normal_up_to_a_constant(states, rollout):
    state, _ = states
    observations, actions = rollout["observations"][0], rollout["actions"][0]
    means = np.asarray(mlp.apply(state.actor, observations, jnp.tanh))
    for log_std in (-1.0, 0.0, 0.5):
        given = ppo._log_prob(state.actor, jnp.full(8, log_std), observations, actions)
        expected = norm.logpdf(actions, means, np.exp(log_std)).sum(axis=1)
        constant = 8 * 0.5 * np.log(2.0 * np.pi)
        np.testing.assert_allclose(given, expected + constant, rtol=1e-4, atol=1e-4)


def test_running_statistics_are_those_of_all_observations_together(states):
    generator = np.random.default_rng(0)
    parts = [generator.normal(i, 1.0 + i, (10 + 7 * i, 29)) for i in range(4)]
    state = states[0]
    for part in parts:
        state = ppo._count_observations(state, part)
    together = np.concatenate(parts)
    assert float(state.count) == pytest.approx(len(together), rel=1e-5)
    np.testing.assert_allclose(state.mean, together.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(state.variance, together.var(axis=0), rtol=1e-3)


def test_a_saved_policy_gives_the_networks_mean_action(states, tmp_path):
    generator = np.random.default_rng(0)
    observations = generator.normal(3.0, 2.0, (40, 29))
    state = ppo._count_observations(states[0], observations)
    # The last layer starts near zero; make it matter.
    state = state._replace(
        actor=[*state.actor[:-1], (20.0 * state.actor[-1][0], state.actor[-1][1])]
    )
    ppo._policy(state).save("ant", tmp_path)
    loaded = policy.load("ant", tmp_path)
    scaled = (observations - state.mean) / np.sqrt(state.variance + 1e-4)
    expected = np.asarray(mlp.apply(state.actor, jnp.asarray(scaled, jnp.float32), jnp.tanh))
    assert np.abs(expected).max() > 0.2
    np.testing.assert_allclose(loaded.forward(observations, np.tanh), expected, atol=1e-2)
    noise = np.full((40, 8), 5.0)
    assert (loaded.noisy_mean(observations, noise) == 1.0).all()
    quiet = loaded.noisy_mean(observations, 0.0 * noise)
    np.testing.assert_allclose(quiet, np.clip(expected, -1.0, 1.0), atol=1e-2)


def test_rows_of_a_batch_are_visited_once_per_epoch(rollout):
    # With one row per minibatch, normalised advantages vanish and so does the actor's gradient.
    config = ppo.Config(
        num_envs=LANES,
        rollout_steps=STEPS,
        num_epochs=1,
        num_minibatches=STEPS * LANES,
        hidden_dims=(WIDTH, WIDTH),
        discount=0.9,
        gae_lambda=0.8,
    )
    total = optax.GradientTransformation(
        init=lambda params: jax.tree.map(jnp.zeros_like, params),
        update=lambda gradient, state, params=None: (
            jax.tree.map(jnp.zeros_like, gradient),
            jax.tree.map(jnp.add, state, gradient),
        ),
    )
    state = ppo._init(jax.random.key(0), config, total)
    after = jax.jit(lambda s, b: ppo._update(s, b, config=config, tx=total))(state, rollout)
    predicted = mlp.apply(state.value, rollout["observations"], jnp.tanh)[..., 0]
    errors = predicted - (loop_advantages(rollout) + rollout["values"])
    np.testing.assert_allclose(after.optimizer[2][-1][1][0], errors.sum(), rtol=1e-3)
