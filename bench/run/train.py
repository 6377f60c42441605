"""Seeds: keys, initialisation and the one vmap over them, in jitted chunks of steps.

Step t of seed s always draws the same numbers, whatever the chunking, the other seeds or a resume:
no random state is carried, every key is folded from (seed, purpose, step).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from algos import core
from algos.registry import get_algorithm
from algos.views import Statistics
from bench.run import placement
from envs.environment import EnvSpec

INIT, EVAL, TRAIN = 0, 1, 2  # phase i trains on purpose TRAIN + i, so phases never share draws

# Batches held at a time: enough steps for drawing them to cost little, and little memory.
_BATCHES_BYTES = 64 << 20


class Run(NamedTuple):
    """One phase of a method: steps in a row, for all seeds.

    Batches are drawn for many steps at once and learned from afterwards. So the program that
    takes long to compile knows nothing of the dataset's size, and all tasks of one environment
    share it.

    Attributes:
        sample: (keys ``[T, S]``, view) -> batches, leaves ``[T, S, ...]``.
        learn: (states, batches, keys ``[T, S]``, steps ``[T]``) -> (states, metrics ``[S]`` each),
            jitted; it takes the states for its own.
    """

    sample: Callable[[jax.Array, Any], core.Batch]
    learn: Any

    def __call__(
        self, states: core.State, seed_keys: jax.Array, view: Any, first_step: int, num_steps: int
    ) -> tuple[core.State, core.Metrics]:
        """``num_steps`` updates from ``first_step`` on.

        Args:
            states: leaves ``[S, ...]``; not to be used again.
            seed_keys: of this phase, ``[S]``.
            view: what the phase learns from, on the device.
            first_step: steps of the phase that are done.
            num_steps: updates to make; the same number again compiles nothing.

        Returns:
            the new states, and metrics ``[S]``, each a mean over the steps.
        """
        length = self.block_steps(seed_keys, view, num_steps)
        blocks = []
        for first in range(first_step, first_step + num_steps, length):
            batches, keys, steps = self.draw(seed_keys, view, first, length)
            states, metrics = self.learn(states, batches, keys, steps)
            blocks.append(metrics)
        return states, jax.tree.map(lambda *means: jnp.stack(means).mean(0), *blocks)

    def block_steps(self, seed_keys: jax.Array, view: Any, num_steps: int) -> int:
        """Steps whose batches are drawn at once: a divisor of ``num_steps``."""
        batches = jax.eval_shape(self.sample, seed_keys[None], view)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(batches))
        return placement.chunk_steps(num_steps, max(1, _BATCHES_BYTES // size))

    def draw(
        self, seed_keys: jax.Array, view: Any, first_step: int, num_steps: int
    ) -> tuple[core.Batch, jax.Array, jax.Array]:
        """The arguments of `learn` for ``num_steps``: batches, keys, steps.

        Not jitted as a whole but in its parts, which are compiled once for datasets of all sizes,
        except for look-ups in the view. As one program it would take 2 s to compile for each
        method on each dataset.
        """
        steps = first_step + jnp.arange(num_steps)
        keys = _step_keys(seed_keys, steps)
        return self.sample(keys[..., 0], view), keys[..., 1], steps


class Program(NamedTuple):
    """A method with its compiled parts, for any number of seeds.

    Attributes:
        algorithm: the pure functions.
        init: (keys ``[S]``, statistics) -> states, all leaves ``[S, ...]``.
        runs: one per phase.
        reset: (keys ``[S, E]``, goals ``[S, E, G]``) -> carries ``[S, E, ...]``.
        act: (states, carries, observations ``[S, E, O]``, rewards ``[S, E]``) ->
            (actions ``[S, E, A]``, carries).
    """

    algorithm: core.Algorithm
    init: Callable[[jax.Array, Statistics], core.State]
    runs: tuple[Run, ...]
    reset: Callable[[jax.Array, jax.Array], core.Carry]
    act: Callable[..., tuple[jax.Array, core.Carry]]


def stream(seeds: Sequence[int], purpose: int) -> jax.Array:
    """One independent typed key per seed for ``purpose``, ``[S]``."""
    fold = lambda seed: jax.random.fold_in(jax.random.key(seed), purpose)
    keys = jax.vmap(fold)(jnp.asarray(seeds, jnp.uint32))
    return jax.device_put(keys, placement.seed_sharding(len(seeds)))


@functools.lru_cache(maxsize=32)
def build(algorithm_name: str, config: core.Config, spec: EnvSpec) -> Program:
    """The method's program; cells of equal settings and sizes share it and its compiled code."""
    algorithm = get_algorithm(algorithm_name).make(config, spec)

    jit = partial(jax.jit, compiler_options=placement.COMPILER_OPTIONS)
    over_episodes = jax.vmap(algorithm.act, in_axes=(None, 0, 0, 0))
    return Program(
        algorithm=algorithm,
        init=partial(_init_all, jit(algorithm.init)),
        runs=tuple(_make_run(phase) for phase in algorithm.phases),
        reset=jit(jax.vmap(jax.vmap(algorithm.reset))),
        act=jit(jax.vmap(over_episodes)),
    )


def _init_all(init: core.Init, keys: jax.Array, statistics: Statistics) -> core.State:
    """First states of all seeds, stacked ``[S, ...]``.

    One by one, not vmapped: drawing random numbers compiles several times slower under vmap. The
    stack is a copy, so online and target parameters are no aliases and `run` may donate them.
    """
    states = [init(key, statistics) for key in keys]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return jax.device_put(stacked, placement.seed_sharding(len(keys)))


@jax.jit
def _step_keys(seed_keys: jax.Array, steps: jax.Array) -> jax.Array:
    """Two keys for each of ``steps`` ``[T]`` and seeds: to sample and to update, ``[T, S, 2]``."""
    one = lambda step, key: jax.random.split(jax.random.fold_in(key, step))
    return jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(steps, seed_keys)


def _make_run(phase: core.Phase) -> Run:
    every_step = jax.vmap(jax.vmap(phase.sample, in_axes=(0, None)), in_axes=(0, None))
    update = jax.jit(phase.update, inline=True)  # traced once for both that ask below

    @partial(jax.jit, donate_argnames="states", compiler_options=placement.COMPILER_OPTIONS)
    def learn(
        states: core.State, batches: core.Batch, keys: jax.Array, steps: jax.Array
    ) -> tuple[core.State, core.Metrics]:
        # Keys travel as numbers: JAX's check of keys takes cutting them into groups for use.
        numbers = jax.random.key_data(keys)
        wrap = partial(jax.random.wrap_key_data, impl=jax.random.key_impl(keys))

        def one_seed(
            state: core.State, batches: core.Batch, numbers: jax.Array
        ) -> tuple[core.State, core.Metrics]:
            body = lambda state, inputs: update(state, inputs[0], wrap(inputs[1]), inputs[2])
            state, metrics = jax.lax.scan(body, state, (batches, numbers, steps))
            return state, jax.tree.map(lambda metric: metric.mean(0), metrics)

        together = placement.seeds_side_by_side(update, states, batches, keys)
        if together >= keys.shape[1]:
            return jax.vmap(one_seed, in_axes=(0, 1, 1))(states, batches, numbers)
        by_seed = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (batches, numbers))
        return jax.lax.map(lambda seed: one_seed(*seed), (states, *by_seed), batch_size=together)

    return Run(every_step, learn)
