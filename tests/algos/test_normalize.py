import dataclasses
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import core, views
from algos.normalize import Normalizer, normalized
from envs.environment import EnvSpec
from envs.spaces import Box

MEAN, STD = np.float32([1.0, -2.0, 0.5]), np.float32([4.0, 0.5, 2.0])
SPEC = EnvSpec(observation=Box((3,)), action=Box((3,)), max_episode_steps=5)
STATISTICS = views.Statistics(MEAN, STD)


class Rows(NamedTuple):
    observations: jax.Array
    actions: jax.Array
    next_observations: jax.Array


def update(state, batch, key, step):
    """A method's that keeps all it gets."""
    return state + 1.0, {"batch": batch, "key": jax.random.key_data(key), "step": step}


def act(state, carry, observation, last_reward):
    return observation + state, carry + last_reward


METHOD = core.Algorithm(
    init=lambda key, statistics: jnp.zeros(3),
    phases=(core.Phase(5, views.statistics, lambda key, view: view, update),),
    reset=lambda key, goal: goal.sum(),
    act=act,
)


def scaled(observations):
    return (np.asarray(observations) - MEAN) / (STD + np.float32(1e-3))


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(generator.standard_normal(shape), jnp.float32)
    return Rows(normal(4, 3), normal(4, 2), normal(4, 3))


def test_a_normalizer_gives_mean_0_and_deviation_1_over_the_dataset(toy):
    observations = toy[0].observations
    normalizer = Normalizer.create(views.statistics(toy[0]))
    np.testing.assert_allclose(normalizer.std, observations.std(0) + 1e-3, rtol=1e-5)
    out = normalizer(jnp.asarray(observations))
    np.testing.assert_allclose(out.mean(0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(out.std(0), np.ones(3), rtol=5e-3)
    np.testing.assert_allclose(normalizer(jnp.asarray(observations[0])), out[0], rtol=1e-5)


def test_a_method_learns_from_scaled_observations_and_from_all_else_as_it_is(rows):
    algorithm = normalized(METHOD, SPEC)
    (phase,) = algorithm.phases
    state = algorithm.init(jax.random.key(0), STATISTICS)
    new, seen = phase.update(state, rows, jax.random.key(1), jnp.asarray(7))
    np.testing.assert_allclose(seen["batch"].observations, scaled(rows.observations), rtol=1e-5)
    expected = scaled(rows.next_observations)
    np.testing.assert_allclose(seen["batch"].next_observations, expected, rtol=1e-5)
    np.testing.assert_array_equal(seen["batch"].actions, rows.actions)
    np.testing.assert_array_equal(seen["key"], jax.random.key_data(jax.random.key(1)))
    assert seen["step"] == 7
    assert (phase.num_steps, phase.view) == (5, METHOD.phases[0].view)
    # The method moves on, and the scale stays.
    np.testing.assert_array_equal(new.method, state.method + 1.0)
    chex.assert_trees_all_equal(new.normalizer, state.normalizer)


def test_sequences_of_observations_are_scaled_as_rows_are(rows):
    state = normalized(METHOD, SPEC).init(jax.random.key(0), STATISTICS)
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2.0 * x]), rows)
    update = normalized(METHOD, SPEC).phases[0].update
    _, seen = update(state, stacked, jax.random.key(1), jnp.asarray(0))
    expected = scaled(stacked.observations)
    np.testing.assert_allclose(seen["batch"].observations, expected, rtol=1e-5)


def test_a_batch_without_next_observations_is_scaled_as_well(rows):
    batch = views.Demonstrations(rows.observations, rows.actions)
    state = normalized(METHOD, SPEC).init(jax.random.key(0), STATISTICS)
    update = normalized(METHOD, SPEC).phases[0].update
    _, seen = update(state, batch, jax.random.key(1), jnp.asarray(0))
    np.testing.assert_allclose(seen["batch"].observations, scaled(batch.observations), rtol=1e-5)


def test_a_method_acts_on_scaled_observations_with_its_own_memory(rows):
    algorithm = normalized(METHOD, SPEC)
    state = algorithm.init(jax.random.key(0), STATISTICS)
    carry = algorithm.reset(jax.random.key(2), jnp.array([1.0, 2.0]))
    assert carry == 3.0
    action, carry = algorithm.act(state, carry, rows.observations[0], jnp.asarray(0.5))
    np.testing.assert_allclose(action, scaled(rows.observations[0]), rtol=1e-5)
    assert carry == 3.5


def test_a_method_that_is_not_to_be_normalized_is_left_alone():
    assert normalized(METHOD, SPEC, enabled=False) is METHOD


def test_images_are_left_to_their_networks():
    spec = dataclasses.replace(SPEC, observation=Box((4, 4, 2), "uint8", 255.0))
    assert normalized(METHOD, spec) is METHOD
