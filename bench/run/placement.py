"""The placement of seeds: on which devices, how many at a time, in how many steps at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algos import core

# XLA's first choice for a processor's matrix products is YNNPACK. With products as small as these
# Eigen is faster: an update of IQL takes 2/3 of the time at 64 wide and is no slower at 256.
COMPILER_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}

# The bound on the largest array of an update, times the seeds side by side on a CPU. Beyond the
# cache seeds by turns cost less. Five seeds at published sizes, in times of one, all side by side
# and then so: DT 8.2 and 4.5, CQL 6.5 and 5.0, IQL 4.9 and 4.5.
_SIDE_BY_SIDE_BYTES = 2_000_000


def seed_sharding(num_seeds: int) -> NamedSharding:
    """Arrays ``[S, ...]`` split by seed over the local devices, over as many as divide S evenly."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if num_seeds % n == 0)
    return NamedSharding(Mesh(np.array(devices[:count]), ("seeds",)), PartitionSpec("seeds"))


def replicated_sharding(num_seeds: int) -> NamedSharding:
    """Whole arrays on each of the devices of `seed_sharding`."""
    return NamedSharding(seed_sharding(num_seeds).mesh, PartitionSpec())


def chunk_steps(interval: int, longest: int = 1000) -> int:
    """Steps per compiled chunk: a divisor of ``interval``, so that each phase compiles once.

    Short chunks answer Ctrl-C sooner; an interval without a divisor near ``longest`` is one chunk.
    """
    divisor = max(d for d in range(1, min(longest, interval) + 1) if interval % d == 0)
    return divisor if 10 * divisor >= min(longest, interval) else interval


def seeds_side_by_side(
    update: core.Update, states: core.State, batches: core.Batch, keys: jax.Array
) -> int:
    """The number of seeds of `Run.learn` that share an operation; the others wait for their turn.

    All on an accelerator. On a CPU as many as `_SIDE_BY_SIDE_BYTES` allow, and one at least.
    """
    num_seeds = keys.shape[1]
    if jax.default_backend() != "cpu" or seed_sharding(num_seeds).num_devices > 1:
        return num_seeds
    of_one = lambda axes, leaf: jax.ShapeDtypeStruct(leaf.shape[axes:], leaf.dtype)
    state = jax.tree.map(partial(of_one, 1), states)
    batch, key = jax.tree.map(partial(of_one, 2), (batches, keys))
    jaxpr = jax.make_jaxpr(update)(state, batch, key, of_one(0, jnp.int32(0))).jaxpr
    results = (result.aval for equation in _equations(jaxpr) for result in equation.outvars)
    largest = max(r.size * r.dtype.itemsize for r in results if isinstance(r, ShapedArray))
    return max(1, _SIDE_BY_SIDE_BYTES // largest)


def _equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """All of them, those of loops and calls as well."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)
