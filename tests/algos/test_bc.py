import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import bc, networks
from algos.views import Demonstrations
from envs import toy as toys
from envs.toy import BAD_ACTION, CROSSING, GOOD_ACTION, START

HIDDEN = (16, 16)


def make(spec, **changes):
    changes = {"learning_rate": 1e-2, "num_steps": 500, "batch_size": 32, **changes}
    return bc.make(bc.Config(hidden_dims=HIDDEN, **changes), spec)


def batch():
    return Demonstrations(
        observations=jnp.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0], [3.0, 1.0, 0.0]]),
        actions=jnp.array([[0.5, -0.5], [1.0, 0.0], [-1.0, 0.25]]),
    )


def action(algorithm, state, observation):
    carry = algorithm.reset(jax.random.key(0), jnp.zeros(0))
    return algorithm.act(state, carry, jnp.asarray(observation, jnp.float32), jnp.asarray(0.0))[0]


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_the_mean_squared_error_of_the_actions(toy, first_state, normalize):
    dataset, spec = toy
    algorithm = make(spec, normalize_observations=normalize)
    state = first_state(algorithm, dataset)
    _, metrics = algorithm.phases[0].update(state, batch(), jax.random.key(1), jnp.asarray(0))

    inputs = np.asarray(batch().observations)
    if normalize:
        mean, std = dataset.observations.mean(0), dataset.observations.std(0)
        inputs = (inputs - mean) / (std + 1e-3)
    actor = networks.deterministic_actor(HIDDEN, 3, 2)
    predicted = np.asarray(actor.apply(state.actor.params, jnp.asarray(inputs, jnp.float32)))
    errors = predicted - np.asarray(batch().actions)
    assert metrics["actor_loss"] == pytest.approx(sum(errors.ravel() ** 2) / 6, rel=1e-4)


def test_an_update_follows_the_gradient_of_the_loss_with_adams_first_step(toy, first_state):
    dataset, spec = toy
    algorithm = make(spec, normalize_observations=False, learning_rate=1e-3)
    state = first_state(algorithm, dataset)
    new, _ = algorithm.phases[0].update(state, batch(), jax.random.key(1), jnp.asarray(0))

    actor = networks.deterministic_actor(HIDDEN, 3, 2)
    bias = lambda params: params["params"]["_Mlp_0"]["Dense_2"]["bias"]
    predicted = np.asarray(actor.apply(state.actor.params, batch().observations))
    # d/d bias of the mean over 3 rows and 2 actions of (tanh(x + bias) - action)^2.
    slope = 2.0 * (predicted - np.asarray(batch().actions)) * (1.0 - predicted**2)
    gradient = slope.sum(axis=0) / 6
    first_moment = bias(new.actor.opt_state[0].mu)
    np.testing.assert_allclose(first_moment, 0.1 * gradient, rtol=1e-4)
    moved = bias(new.actor.params) - bias(state.actor.params)
    np.testing.assert_allclose(moved, -1e-3 * np.sign(gradient), rtol=1e-3)


def test_the_normalizer_is_not_trained(toy, first_state):
    dataset, spec = toy
    algorithm = make(spec)
    state = first_state(algorithm, dataset)
    new, _ = algorithm.phases[0].update(state, batch(), jax.random.key(1), jnp.asarray(0))
    np.testing.assert_array_equal(new.normalizer.mean, state.normalizer.mean)
    np.testing.assert_array_equal(new.normalizer.std, state.normalizer.std)


def test_the_policy_acts_on_the_observations_it_was_trained_on(toy, first_state):
    dataset, spec = toy
    algorithm = make(spec, normalize_observations=True)
    state = first_state(algorithm, dataset)
    observation = dataset.observations[5]
    mean, std = dataset.observations.mean(0), dataset.observations.std(0)
    actor = networks.deterministic_actor(HIDDEN, 3, 2)
    scaled = jnp.asarray((observation - mean) / (std + 1e-3), jnp.float32)
    expected = actor.apply(state.actor.params, scaled)
    np.testing.assert_allclose(action(algorithm, state, observation), expected, rtol=1e-4)


def test_bc_learns_the_average_of_good_and_bad(train):
    dataset, spec = toys.mixed_quality()
    algorithm = make(spec)
    learned = action(algorithm, train(algorithm, dataset), START)
    assert learned[0] == pytest.approx(0.9 * BAD_ACTION + 0.1 * GOOD_ACTION, abs=0.1)


def test_bc_on_the_best_tenth_learns_what_the_good_episodes_do(train):
    dataset, spec = toys.mixed_quality()
    algorithm = make(spec, top_fraction=0.1)
    learned = action(algorithm, train(algorithm, dataset), START)
    assert learned[0] == pytest.approx(GOOD_ACTION, abs=0.02)


def test_bc_on_the_best_half_follows_the_better_episode_past_the_crossing(train):
    dataset, spec = toys.stitching()
    algorithm = make(spec, top_fraction=0.5)
    learned = action(algorithm, train(algorithm, dataset), CROSSING)
    assert learned[0] == pytest.approx(BAD_ACTION, abs=0.02)
