"""Any gymnasium environment of one agent, for tasks whose data were not made here.

Stepped one after the other in Python, at the environment's own speed. Its code is foreign: every
call into it goes through one guard, which names the environment in whatever comes out of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from envs.environment import EnvSpec
from envs.errors import EnvironmentFault, InputError
from envs.spaces import Array, Box
from envs.worlds.actions import actions_of

_IMAGE_SIDE = 32  # pixels; Minari takes what is smaller for a grid world
# Kinds of spaces that gymnasium flattens to a fixed count of numbers.
_FIXED = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
_MOST_NUMBERS = 100_000  # of an observation; a number of 1,000,000 values is as many when flattened


class GymnasiumLanes:
    """N copies of one gymnasium environment in lock step; an ``envs.environment.Environment``.

    Observations are flattened as gymnasium does it (``gymnasium.spaces.flatten``). Actions in
    [-1, 1] are scaled to the environment's range, and choices are counted from 0. An episode that
    the environment cuts by itself ends as if it had terminated.
    """

    def __init__(
        self, gymnasium_id: str, num_envs: int, reference_returns: tuple[float, float]
    ) -> None:
        """Build ``num_envs`` lanes of ``gymnasium_id``, which may be ``module:Name-v0``.

        Raises:
            EnvironmentFault: it cannot be made, has no time limit, or spaces of another kind.
        """
        self._id = gymnasium_id
        self._folder = os.getcwd()
        self._environments: list[gymnasium.Env] = []
        try:
            for _ in range(num_envs):
                with self._guard(" cannot be made"):
                    made = gymnasium.make(gymnasium_id, disable_env_checker=True)
                self._environments.append(made)
            with self._guard():
                first = self._environments[0]
                self._space = first.observation_space
                self._observations = np.zeros((num_envs, _size(self._space)))
                self.actions = actions_of(first.action_space)
            limit = _time_limit(first, gymnasium_id)
        except BaseException:
            self.close()
            raise
        self._steps = np.zeros(num_envs, np.int64)
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation=Box(self._observations.shape[1:]),
            action=self.actions.space,
            max_episode_steps=limit,
            reference_returns=reference_returns,
            target_return=reference_returns[1],
        )

    @property
    def environment(self) -> gymnasium.Env:
        """The first lane's, as gymnasium made it."""
        return self._environments[0]

    @property
    def goals(self) -> Array:
        """``[N, 0]``: what a goal would be is not known."""
        return np.zeros((self.num_envs, 0))

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes by ``reset(seed=...)``; see ``envs.environment.Environment``.

        Raises:
            EnvironmentFault: the environment raises, or returns what is no observation.
        """
        lanes = np.arange(self.num_envs) if lanes is None else lanes
        for lane, seed in zip(lanes.tolist(), seeds.tolist(), strict=True):
            self._steps[lane] = 0
            with self._guard(lane=lane):
                returned = self._environments[lane].reset(seed=seed)
                if not (
                    isinstance(returned, tuple)
                    and len(returned) == 2
                    and isinstance(returned[1], Mapping)
                ):
                    raise ValueError("reset does not return (observation, info)")
                self._observations[lane] = self._flatten_one(returned[0])
        return self._observations.copy()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.environment.Environment``.

        Raises:
            EnvironmentFault: the environment raises, or returns what no step may; with lane and
                step.
        """
        rewards, ends = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        scaled = self.actions.scale(actions)
        for lane in np.flatnonzero(active).tolist():
            self._steps[lane] += 1
            with self._guard(lane=lane):
                environment = self._environments[lane]
                observation, reward, terminated, truncated, _ = environment.step(scaled[lane])
                self._observations[lane] = self._flatten_one(observation)
                rewards[lane] = _single("the reward", reward)
                ends[lane] = _flag("terminated", terminated) or _flag("truncated", truncated)
        return self._observations.copy(), rewards, ends

    def close(self) -> None:
        """Close every environment; what they raise then changes nothing any more."""
        for environment in self._environments:
            with contextlib.suppress(Exception, SystemExit), self._own_folder():
                environment.close()
        self._environments = []

    def flatten(self, observations: Any) -> Array:
        """Observations as a dataset has them, ``[T, ...]`` or parts of that, to ``[T, O]``.

        Raises:
            ValueError: they are not of the environment's space.
        """
        if isinstance(self._space, spaces.Box) and isinstance(observations, np.ndarray):
            return observations.reshape(len(observations), -1)
        _require_members(self._space, observations, "observations", batch=True)
        singles = iterate(batch_space(self._space), observations)
        return np.stack([np.asarray(spaces.flatten(self._space, single)) for single in singles])

    def _flatten_one(self, observation: Any) -> Array:
        """``[O]`` finite numbers of what one environment shows."""
        _require_members(self._space, observation, "observation", batch=False)
        flat: Array = np.asarray(spaces.flatten(self._space, observation))
        if not np.isfinite(flat).all():
            raise ValueError("the observation is not finite")
        return flat

    @contextlib.contextmanager
    def _own_folder(self) -> Iterator[None]:
        """Be in the folder that the environments have gone to, if any has, and come back.

        Or relative names, such as that of the results, would mean other places from then on.
        """
        here = os.getcwd()
        if self._folder != here:
            os.chdir(self._folder)
        try:
            yield
        finally:
            self._folder = os.getcwd()
            if self._folder != here:
                os.chdir(here)

    @contextlib.contextmanager
    def _guard(self, failed: str = "", lane: int | None = None) -> Iterator[None]:
        """Name the environment, and the step of its episode, in whatever foreign code raises."""
        try:
            with self._own_folder():
                yield
        # SystemExit is what an environment raises that calls sys.exit, for want of a licence say.
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split())
            if not isinstance(error, (InputError, ValueError, gymnasium.error.Error)) or not reason:
                reason = ": ".join(filter(None, (type(error).__name__, reason)))
            step = None if lane is None else int(self._steps[lane])
            if step is not None:
                failed = f", step {step} of an episode" if step else ", reset"
            raise EnvironmentFault(
                f"environment {self._id}{failed}: {reason}", lane=lane, step=step, reason=reason
            ) from error


def require_no_images(space: spaces.Space) -> None:
    """Refuse pixels: there is no encoder, and as thousands of raw numbers they teach little.

    Raises:
        InputError: naming the shape.
    """
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        for part in parts:
            require_no_images(part)
    elif isinstance(space, spaces.Box):
        shape = space.shape
        large = int(np.prod(shape)) >= _IMAGE_SIDE**2
        flat = large and (
            space.dtype == np.uint8 or (len(shape) == 2 and min(shape) >= _IMAGE_SIDE)
        )
        if len(shape) >= 3 or flat:
            raise InputError(
                f"observations hold an image of shape {shape} ({space.dtype}), and there is no "
                "encoder for images; wrap the environment so that it shows features"
            )


def _size(space: Any) -> int:
    if not isinstance(space, spaces.Space):
        raise InputError(f"its observation_space is {space!r}, no space of gymnasium")
    require_no_images(space)
    if not _is_fixed(space):
        raise InputError(
            f"observations must be of a fixed size, got {space}; wrap the environment so that it "
            "shows numbers"
        )
    size = int(spaces.flatdim(space))
    if not 0 < size <= _MOST_NUMBERS:
        raise InputError(
            f"observations hold {size:,} numbers, expected 1 to {_MOST_NUMBERS:,}; wrap the "
            "environment so that it shows features"
        )
    return size


def _is_fixed(space: spaces.Space) -> bool:
    """True if every observation is as many numbers; text and alternatives are none."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return all(map(_is_fixed, parts))
    return isinstance(space, _FIXED)


def _time_limit(environment: gymnasium.Env, gymnasium_id: str) -> int:
    spec = environment.spec
    if spec is None or spec.max_episode_steps is None:
        raise EnvironmentFault(
            f"environment {gymnasium_id} has no time limit; register it with max_episode_steps"
        )
    return spec.max_episode_steps


def _single(name: str, value: Any) -> float:
    """A finite number, or an array of one."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is no number but {value!r}")
    number = float(array.item())
    if not np.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return number


def _flag(name: str, value: Any) -> bool:
    number = _single(name, value)
    if number not in (0.0, 1.0):
        raise ValueError(f"{name} is {value!r}, not true or false")
    return bool(number)


def _require_members(space: spaces.Space, value: Any, name: str, *, batch: bool) -> None:
    """Refuse what ``gymnasium.spaces.flatten`` would wrap around, broadcast or cut silently.

    Args:
        space: what ``value`` should be of.
        value: one observation, or with ``batch`` arrays of them, ``[T, ...]``.
        name: of it, for the message.
        batch: whether it is many.

    Raises:
        ValueError: naming the part and what it is.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or not set(space.spaces) <= set(value):
            raise ValueError(f"{name} does not have the parts {', '.join(space.spaces)}")
        for key, part in space.spaces.items():
            _require_members(part, value[key], f"{name}/{key}", batch=batch)
        return
    if isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            raise ValueError(f"{name} does not have {len(space.spaces)} parts")
        for place, part in enumerate(space.spaces):
            _require_members(part, value[place], f"{name}/{place}", batch=batch)
        return
    if space.shape is None or space.dtype is None or space.dtype.kind not in "biuf":
        return  # text, which gymnasium looks at itself
    array = np.asarray(value)
    shape = array.shape[1:] if batch else array.shape
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {array.dtype}, expected {space.dtype}")
    if [n for n in shape if n != 1] != [n for n in space.shape if n != 1]:
        raise ValueError(f"{name} has shape {shape}, its space says {space.shape}")
    if space.dtype.kind != "f":
        with np.errstate(invalid="ignore"):
            kept = array.astype(space.dtype)
        if not np.array_equal(kept, array):
            raise ValueError(f"{name} is not of {space.dtype}")
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        top = space.start + (space.n if isinstance(space, spaces.Discrete) else space.nvec)
        if np.any(array < space.start) or np.any(array >= top):
            raise ValueError(f"{name} is outside of {space}")
