"""The speed suite's analytic counts against hand-computed numbers and the compiler's own count."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from algos import networks
from algos.registry import get_algorithm
from algos.settings import Size, resolve
from envs.environment import EnvSpec
from envs.spaces import Box
from envs.toy import random_episodes
from tests.speed import flops

SPEC = EnvSpec(observation=Box((17,)), action=Box((6,), limit=1.0), max_episode_steps=1000)
WIDTHS = (48, 64, 64, 8)


def compiled_count(function, *args):
    """Operations that XLA counts in ``function``, those outside matrix products too."""
    return jax.jit(function).lower(*args).compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def net():
    actor = networks.deterministic_actor(WIDTHS[1:-1], Box(WIDTHS[:1]), Box(WIDTHS[-1:]))
    return actor.apply, actor.init(jax.random.key(0)), jnp.ones((512, WIDTHS[0]))


def test_forward_counts_what_the_compiler_counts(net):
    apply, params, rows = net
    assert compiled_count(apply, params, rows) == pytest.approx(
        flops.forward(512, WIDTHS), rel=0.03
    )


def test_training_counts_what_the_compiler_counts(net):
    apply, params, rows = net
    gradient = jax.grad(lambda params, rows: jnp.sum(apply(params, rows) ** 2))
    assert compiled_count(gradient, params, rows) == pytest.approx(
        flops.training(512, WIDTHS), rel=0.05
    )


def test_input_gradient_counts_what_the_compiler_counts(net):
    apply, params, rows = net
    gradient = jax.grad(lambda rows, params: jnp.sum(apply(params, rows) ** 2))
    expected = flops.forward(512, WIDTHS) + flops.input_gradient(512, WIDTHS, wanted=WIDTHS[0])
    assert compiled_count(gradient, rows, params) == pytest.approx(expected, rel=0.05)


def test_one_sample_is_a_row():
    assert flops.forward_of_samples(5, 1, WIDTHS, 6) == flops.forward(5, WIDTHS)
    assert flops.training_of_samples(5, 1, WIDTHS, 6) == flops.training(5, WIDTHS)


def test_counts_by_hand():
    iql = dataclasses.replace(resolve("iql", "own").config, hidden_dims=(256, 256), batch_size=256)
    value, critic, actor = 70_144, 71_680, 71_424  # weights of each net
    beyond_first = {value: 65_792, critic: 65_792, actor: 67_072}  # those of the later layers
    trained = {weights: 2 * weights + later for weights, later in beyond_first.items()}
    total = value + trained[value] + 2 * critic + 2 * trained[critic] + trained[actor]
    assert flops.per_update("iql", iql, SPEC, 0) == (2 * 256 * total,)
    assert 2 * 256 * total == pytest.approx(536e6, rel=1e-2)


@pytest.mark.parametrize("name", flops.COUNTS)
def test_each_methods_update_does_what_is_counted_and_little_more(name, first_state):
    dataset, spec = random_episodes()
    entry = get_algorithm(name)
    # Not a multiple of 64, for what runs several times in a loop (CQL's pieces) is counted once.
    config = resolve(name, "own", Size(100, 330, (96, 96))).config
    algorithm = entry.make(config, spec)
    state = first_state(algorithm, dataset)
    counts = flops.per_update(name, config, spec, 50)
    assert len(counts) == len(algorithm.phases)
    for phase, count in zip(algorithm.phases, counts, strict=True):
        view = jax.tree.map(jnp.asarray, phase.view(dataset))
        batch = phase.sample(jax.random.key(1), view)
        actual = compiled_count(phase.update, state, batch, jax.random.key(2), jnp.int32(50))
        # Both branches of a delayed update are counted by the compiler, hence the room.
        assert count <= actual <= 1.4 * count
