"""Observations scaled to mean 0 and standard deviation 1, around any method.

A method that is wrapped here never sees a raw observation, neither in a batch nor when it acts.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from algos import core
from algos.views import Statistics
from envs.environment import EnvSpec

_OBSERVATIONS = ("observations", "next_observations")  # the fields of a batch that are scaled


class Normalizer(struct.PyTreeNode):
    """Shifts and scales observations ``[..., O]``.

    Attributes:
        mean: ``[O]``.
        std: ``[O]``.
    """

    mean: jax.Array
    std: jax.Array

    @classmethod
    def create(cls, statistics: Statistics) -> Normalizer:
        """Scales by the dataset's mean and deviation.

        Source: 1e-3 added to the deviation, sfujim/TD3_BC@8791ad7 ``utils.py``.
        """
        mean, std = map(jnp.asarray, statistics)
        return cls(mean=mean, std=std + 1e-3)

    def __call__(self, observations: jax.Array) -> jax.Array:
        """``[..., O]`` -> ``[..., O]``."""
        shape = (1,) * (observations.ndim - 1) + self.mean.shape
        return (observations - self.mean.reshape(shape)) / self.std.reshape(shape)


class State(struct.PyTreeNode):
    """A method's state, and the scale of its observations, which is never trained."""

    method: core.State
    normalizer: Normalizer


def normalized(algorithm: core.Algorithm, spec: EnvSpec, *, enabled: bool = True) -> core.Algorithm:
    """``algorithm`` on scaled observations, or as it is unless ``enabled``.

    Rows of numbers alone are scaled: images have one scale, that of their bytes.
    """
    if not enabled or len(spec.observation.shape) != 1:
        return algorithm

    def init(key: jax.Array, statistics: Statistics) -> State:
        return State(
            method=algorithm.init(key, statistics), normalizer=Normalizer.create(statistics)
        )

    def act(
        state: State, carry: core.Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, core.Carry]:
        return algorithm.act(state.method, carry, state.normalizer(observation), last_reward)

    phases = tuple(phase._replace(update=_scaled(phase.update)) for phase in algorithm.phases)
    return algorithm._replace(init=init, phases=phases, act=act)


def _scaled(update: core.Update) -> core.Update:
    def update_scaled(
        state: State, batch: Any, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        names = [name for name in _OBSERVATIONS if name in batch._fields]
        scaled = {name: state.normalizer(getattr(batch, name)) for name in names}
        method, metrics = update(state.method, batch._replace(**scaled), key, step)
        return state.replace(method=method), metrics

    return update_scaled
