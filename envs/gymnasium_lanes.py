"""Any gymnasium environment with continuous actions, for tasks whose data were not made here.

Stepped one after the other in Python, at the environment's own speed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from gymnasium.wrappers import FlattenObservation

from envs.types import Array, EnvSpec, InputError, LaneError


class GymnasiumLanes:
    """N copies of one gymnasium environment in lock step; an ``envs.types.Environment``.

    Observations are flattened as gymnasium does it (``gymnasium.spaces.flatten``), and actions in
    [-1, 1] scaled to the environment's range. An episode that the environment cuts by itself ends
    as if it had terminated.
    """

    def __init__(
        self, gymnasium_id: str, num_envs: int, reference_returns: tuple[float, float]
    ) -> None:
        """Build ``num_envs`` lanes of ``gymnasium_id``, which may be ``module:Name-v0``.

        Raises:
            InputError: no such environment, no time limit, or spaces of another kind.
        """
        self._environments = [_make(gymnasium_id) for _ in range(num_envs)]
        self._space = self._environments[0].env.observation_space
        self._observations = np.zeros((num_envs, _size(self._environments[0])))
        self.actions = ActionRange(self._environments[0].action_space)
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation_dim=self._observations.shape[1],
            action_dim=self.actions.size,
            max_episode_steps=_time_limit(self._environments[0]),
            reference_returns=reference_returns,
            target_return=reference_returns[1],
        )

    @property
    def goals(self) -> Array:
        """``[N, 0]``: what a goal would be is not known."""
        return np.zeros((self.num_envs, 0))

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes by ``reset(seed=...)``; see ``envs.types.Environment``."""
        lanes = np.arange(self.num_envs) if lanes is None else lanes
        for lane, seed in zip(lanes.tolist(), seeds.tolist(), strict=True):
            with _errors_of(lane):
                self._observations[lane] = self._environments[lane].reset(seed=seed)[0]
        return self._observations.copy()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.types.Environment``."""
        rewards, ends = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        scaled = self.actions.scale(actions)
        for lane in np.flatnonzero(active).tolist():
            with _errors_of(lane):
                found = self._environments[lane].step(scaled[lane])
                self._observations[lane] = found[0]
                rewards[lane], ends[lane] = float(found[1]), bool(found[2] or found[3])
        return self._observations.copy(), rewards, ends

    def restorable(self, observations: Array) -> Array:
        """``[K]`` none; see ``envs.types.Environment``."""
        return np.zeros(len(observations), bool)

    def restore(self, observations: Array) -> Array:
        """Refused: gymnasium has no way to set a state; see `restorable`."""
        raise NotImplementedError("no observation of these environments is restorable")

    def close(self) -> None:
        """Close every lane's environment; see ``envs.types.Environment``."""
        for environment in self._environments:
            environment.close()

    def flatten(self, observations: Any) -> Array:
        """Observations as a dataset has them, ``[T, ...]`` or parts of that, to ``[T, O]``."""
        if isinstance(self._space, spaces.Box):
            return np.asarray(observations).reshape(len(observations), -1)
        singles = iterate(batch_space(self._space), observations)
        return np.stack([np.asarray(spaces.flatten(self._space, single)) for single in singles])


class ActionRange:
    """An environment's action space beside [-1, 1].

    In float64 and then rounded: in float32, as ``gymnasium.wrappers.utils.rescale_box`` does it, -1
    or 1 came out outside of 657 of 2,000 random ranges, and an end outside of [-1, 1] for 331.

    Attributes:
        size: A.
    """

    def __init__(self, space: spaces.Space) -> None:
        """Take the bounds of ``space``.

        Raises:
            InputError: not a ``Box``, or without bounds that leave a choice.
        """
        if not (
            isinstance(space, spaces.Box) and space.is_bounded() and np.all(space.low < space.high)
        ):
            raise InputError(
                f"actions must be a Box with bounds, got {space}; wrap the environment"
            )
        self.size = int(np.prod(space.shape))
        self._shape, self._dtype = space.shape, space.dtype
        self._low = space.low.reshape(-1).astype(np.float64)
        self._width = space.high.reshape(-1).astype(np.float64) - self._low

    def scale(self, actions: Array) -> Array:
        """``[T, A]`` in [-1, 1] to ``[T, *shape]`` in the environment's range."""
        scaled: Array = self._low + (actions.astype(np.float64) + 1.0) / 2.0 * self._width
        return scaled.astype(self._dtype).reshape(len(actions), *self._shape)

    def unscale(self, actions: Array) -> Array:
        """``[T, *shape]`` in the environment's range to ``[T, A]`` in [-1, 1].

        What rounding puts beyond a bound is at it.
        """
        flat = actions.reshape(len(actions), -1).astype(np.float64)
        found: Array = 2.0 * (flat - self._low) / self._width - 1.0
        rounding = np.abs(found) <= 1.0 + 1e-6
        return np.where(rounding, np.clip(found, -1.0, 1.0), found)


@contextlib.contextmanager
def _errors_of(lane: int) -> Iterator[None]:
    """Say whose they are; SystemExit too, so that no environment ends the whole program."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise LaneError(lane) from error


def _make(gymnasium_id: str) -> FlattenObservation:
    try:
        return FlattenObservation(gymnasium.make(gymnasium_id, disable_env_checker=True))
    except (gymnasium.error.Error, ImportError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"environment {gymnasium_id} cannot be made: {reason}") from None


def _size(environment: FlattenObservation) -> int:
    space = environment.observation_space
    if not isinstance(space, spaces.Box):
        raise InputError(
            f"observations must be of a fixed size, got {environment.env.observation_space}; "
            "wrap the environment"
        )
    return int(space.shape[0])


def _time_limit(environment: gymnasium.Env) -> int:
    spec = environment.spec
    if spec is None or spec.max_episode_steps is None:
        raise InputError(
            f"environment {spec.id if spec else environment} has no time limit; "
            "register it with max_episode_steps"
        )
    return spec.max_episode_steps
