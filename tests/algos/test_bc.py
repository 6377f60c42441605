import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import bc, networks
from algos.views import Demonstrations
from envs import toy as toys
from envs.spaces import Box
from envs.toy import BAD_ACTION, CROSSING, GOOD_ACTION, START
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
ACTOR = networks.deterministic_actor(HIDDEN, Box((3,)), Box((2,)))


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


@pytest.fixture(scope="module")
def plain(toy, first_state):
    """BC on observations as they are, and its first state."""
    algorithm = make(toy[1], normalize_observations=False)
    return algorithm, first_state(algorithm, toy[0])


def test_the_loss_is_the_mean_squared_error_of_the_actions(plain):
    algorithm, state = plain
    _, metrics = algorithm.phases[0].update(state, batch(), jax.random.key(1), jnp.asarray(0))
    predicted = np.asarray(ACTOR.apply(state.params, batch().observations))
    errors = predicted - np.asarray(batch().actions)
    assert metrics["actor_loss"] == pytest.approx(sum(errors.ravel() ** 2) / 6, rel=1e-4)


def test_an_update_is_one_of_adams_steps_down_the_loss(plain):
    algorithm, state = plain
    new, _ = algorithm.phases[0].update(state, batch(), jax.random.key(1), jnp.asarray(0))
    rows = batch()
    loss = lambda params: jnp.mean((ACTOR.apply(params, rows.observations) - rows.actions) ** 2)
    assert_descends(loss, state, new, optax.adam(1e-2))


def test_the_policy_acts_as_the_actor_says(toy, plain):
    algorithm, state = plain
    observation = toy[0].observations[5]
    expected = ACTOR.apply(state.params, jnp.asarray(observation))
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
