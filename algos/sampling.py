"""From a view to a batch, on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from algos.core import Sample
from algos.views import Outcomes, Paths, Sequences


def uniform(batch_size: int) -> Sample:
    """Rows drawn uniformly with replacement: every leaf ``[N, ...]`` becomes ``[B, ...]``."""

    def sample(key: jax.Array, view: Any) -> Any:
        num_rows = len(jax.tree.leaves(view)[0])
        index = jax.random.randint(key, (batch_size,), 0, num_rows)
        return jax.tree.map(lambda leaf: leaf[index], view)

    return sample


class Windows(NamedTuple):
    """Stretches of K consecutive rows; where a segment ends sooner, ``mask`` is false after it.

    Attributes:
        observations: ``[B, K, O]``.
        actions: ``[B, K, A]``.
        returns_to_go: ``[B, K]``.
        timesteps: ``[B, K]`` int32.
        mask: ``[B, K]`` bool.
    """

    observations: jax.Array
    actions: jax.Array
    returns_to_go: jax.Array
    timesteps: jax.Array
    mask: jax.Array


def windows(batch_size: int, num_rows: int) -> Sample:
    """Windows of ``num_rows`` rows of a ``views.Sequences``, which start at uniformly drawn rows.

    A window does not leave its segment: rows beyond the end are copies of the last one, masked.
    """

    def sample(key: jax.Array, view: Sequences) -> Windows:
        starts = jax.random.randint(key, (batch_size, 1), 0, len(view.segment_ends))
        rows = starts + jnp.arange(num_rows)[None]
        ends = view.segment_ends[starts]
        index = jnp.minimum(rows, ends)
        return Windows(
            observations=view.observations[index],
            actions=view.actions[index],
            returns_to_go=view.returns_to_go[index],
            timesteps=view.timesteps[index],
            mask=rows <= ends,
        )

    return sample


def hindsight(batch_size: int) -> Sample:
    """Rows of a ``views.Paths`` with a goal that their episode reached later, as ``Outcomes``.

    An episode is drawn uniformly, however long it is, and two positions in it: the earlier is the
    row, the later the goal. They may be one. An episode's last row is a goal only, unless alone.

    Source: scottemmons/rvs@90c0ffb ``src/rvs/dataset.py``, which follows GCSL (arXiv:1912.06088).
    """

    def sample(key: jax.Array, view: Paths) -> Outcomes:
        key_episode, key_one, key_other = jax.random.split(key, 3)
        shape = (batch_size,)
        episode = jax.random.randint(key_episode, shape, 0, len(view.episode_starts))
        start, length = view.episode_starts[episode], view.episode_lengths[episode]
        one = _below(key_one, length - 1)
        other = _below(key_other, length)
        row = start + jnp.minimum(one, other)
        goal = start + jnp.maximum(one, other)
        return Outcomes(view.observations[row], view.actions[row], conditions=view.goals[goal])

    return sample


def _below(key: jax.Array, bounds: jax.Array) -> jax.Array:
    """A uniform integer in [0, bound) for each of ``bounds``, 0 where a bound is 0."""
    return jnp.floor(jax.random.uniform(key, bounds.shape) * bounds).astype(jnp.int32)
