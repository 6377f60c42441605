"""What data and environments look like to the rest of the code.

Shape letters, here and everywhere: S seeds, E episodes, N dataset rows or environment lanes,
B batch, T time, O observation, A action, G goal.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.text import for_terminal

Array = NDArray[Any]


class InputError(Exception):
    """A user's mistake: its message is one line that names the value and the fix.

    No ValueError, which the parser of the command line would put into a box of its own. Whatever
    a damaged file or a server put into it, the message is fit for a terminal.
    """

    def __init__(self, message: str) -> None:
        """Make one line of ``message``, as ``envs.text.terminal`` does."""
        super().__init__(for_terminal(message))


class EnvironmentFault(InputError):
    """An environment that is not ours cannot be made, or does what no environment may.

    Attributes:
        lane: which of the environments that are stepped together, if it is one of them.
        step: which step of the lane's episode, from 1; 0 is the reset.
        reason: what went wrong, without the environment's name and the step.
    """

    def __init__(
        self,
        message: str,
        *,
        lane: int | None = None,
        step: int | None = None,
        reason: str = "",
    ) -> None:
        """Take the ``message``, which names the environment, and where it happened."""
        super().__init__(message)
        self.lane, self.step, self.reason = lane, step, reason


class Fault(Exception):
    """One cell cannot be finished, others can: its message is one line that says why."""

    def __init__(self, message: str) -> None:
        """Join the lines of ``message``."""
        super().__init__(" ".join(message.splitlines()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """The sizes an algorithm needs to build its networks.

    Attributes:
        observation_dim: O.
        action_dim: A; every action lies in [-1, 1].
        max_episode_steps: the time limit, in environment steps.
        goal_dim: G; 2 (x, y in metres) in mazes, 0 elsewhere. The goal an observation has
            reached is its first G entries.
        reference_returns: (random, reference) returns, normalized scores 0 and 100.
        target_return: what Decision Transformer is asked for (RvS-R: ``algos.rvs``).
    """

    observation_dim: int
    action_dim: int
    max_episode_steps: int
    goal_dim: int = 0
    reference_returns: tuple[float, float] = (0.0, 1.0)
    target_return: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """Whole episodes, one after the other, as flat arrays under Minari's names.

    Attributes:
        observations: ``[N, O]`` float32.
        actions: ``[N, A]`` float32 in [-1, 1].
        rewards: ``[N]`` float32, raw as the environment gave them.
        terminations: ``[N]`` bool; true where the bootstrap must be masked. In mazes this is
            "at the goal", and the episode goes on, as in D4RL's files (source ``minari`` cuts it).
        truncations: ``[N]`` bool; true on the last row of an episode that time cut off.
        episode_ends: ``[K]`` int64, the last row of each of the K episodes, rising.
        next_observations: ``[N, O]`` float32, exact also on the last row of an episode.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminations: Array
    truncations: Array
    episode_ends: Array
    next_observations: Array

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.rewards)

    @property
    def episode_starts(self) -> Array:
        """``[K]`` the first row of each episode."""
        return np.concatenate([[0], self.episode_ends[:-1] + 1])

    @property
    def episode_lengths(self) -> Array:
        """``[K]`` rows in each episode."""
        return np.diff(self.episode_ends, prepend=-1)

    @property
    def episode_returns(self) -> Array:
        """``[K]`` float64, undiscounted sum of raw rewards."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.episode_starts)


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

    def restorable(self, observations: Array) -> Array:
        """``[K]`` which of ``observations`` ``[K, O]`` show the whole state, short of x."""
        ...

    def restore(self, observations: Array) -> Array:
        """Put every lane into the state that ``observations`` ``[N, O]`` shows, if unclipped.

        Returns:
            observations ``[N, O]`` of every lane.

        Raises:
            NotImplementedError: no observation is ever ``restorable``.
        """
        ...

    @property
    def goals(self) -> Array:
        """``[N, G]`` the goal of each lane's episode; G = 0 where there is none."""
        ...

    def close(self) -> None:
        """Let go of processes, windows and threads; the lanes are not used again."""
        ...
