"""Environments to be scored in: their sizes, and lanes of them in lock step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from envs.spaces import Array, Box, Space


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """The facts from which an algorithm builds its networks.

    Attributes:
        observation: the space of one observation, O.
        action: the space of one action, A; the numbers of a ``Box`` lie in [-1, 1].
        max_episode_steps: the time limit, in environment steps.
        goal: the space of one goal, G: x and y in metres in mazes, None where there is none. The
            goal an observation has reached is its first G entries.
        reference_returns: (random, reference) returns, normalized scores 0 and 100.
        target_return: what Decision Transformer is asked for (RvS-R: ``algos.rvs``).
    """

    observation: Space
    action: Space
    max_episode_steps: int
    goal: Box | None = None
    reference_returns: tuple[float, float] = (0.0, 1.0)
    target_return: float = 1.0

    @property
    def observation_dim(self) -> int:
        """O, where an observation is a row of numbers."""
        return _row_length("observations", self.observation)

    @property
    def action_dim(self) -> int:
        """A, where an action is a row of numbers."""
        return _row_length("actions", self.action)

    @property
    def goal_dim(self) -> int:
        """G; 0 where there is no goal."""
        return 0 if self.goal is None else _row_length("goals", self.goal)


def _row_length(name: str, space: Space) -> int:
    """The number of numbers in a row of ``space``.

    Raises:
        ValueError: it is no ``Box`` of one axis.
    """
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(f"{name} are no rows of numbers but {space}")
    return space.shape[0]


class Environment(Protocol):
    """N copies of one environment in lock step, without auto-reset.

    A lane is reset on its own seed and then belongs to one episode; the caller says which lanes
    are still running. Time limits are the caller's business (``spec.max_episode_steps``).
    """

    spec: EnvSpec
    num_envs: int

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start one episode from each of ``seeds`` ``[L]`` in ``lanes`` ``[L]``, all by default.

        Returns:
            observations ``[N, O]`` of every lane.
        """
        ...

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the lanes where ``active`` ``[N]`` is true, by ``actions`` ``[N, A]``.

        Returns:
            observations ``[N, O]``, rewards ``[N]`` and terminations ``[N]``; rows of lanes that
            are not active repeat their last observation, with reward 0 and no termination.

        Raises:
            LaneError: the environment of one lane raised an error, where the lanes know which.
        """
        ...

    @property
    def goals(self) -> Array:
        """``[N, G]`` the goal of each lane's episode; G = 0 where there is none."""
        ...

    def close(self) -> None:
        """Let go of processes, windows and threads; the lanes are not used again."""
        ...


@runtime_checkable
class Replayable(Environment, Protocol):
    """An environment that can be put into the states that data show."""

    def restorable(self, observations: Array) -> Array:
        """``[K]`` which of ``observations`` ``[K, O]`` show the whole state, short of x."""
        ...

    def restore(self, observations: Array) -> Array:
        """Put every lane into the state that ``observations`` ``[N, O]`` shows, if unclipped.

        Returns:
            observations ``[N, O]`` of every lane.
        """
        ...


@runtime_checkable
class Filmable(Environment, Protocol):
    """An environment that can be looked at."""

    @property
    def time_step(self) -> float:
        """Seconds that one step lasts."""
        ...

    def render(self, lane: int) -> Array:
        """A picture ``[H, W, 3]`` uint8 of one lane.

        Raises:
            InputError: this machine cannot draw.
        """
        ...


class World(NamedTuple):
    """An environment to be scored in.

    Attributes:
        gymnasium_id: the gymnasium environment with the same rules.
        make: (number of lanes, threads or None) -> its lanes.
    """

    gymnasium_id: str
    make: Callable[[int, int | None], Environment]

    @property
    def spec(self) -> EnvSpec:
        """Sizes of observations, actions and goals, and the time limit."""
        with contextlib.closing(self.make(1, 1)) as lanes:
            return lanes.spec
