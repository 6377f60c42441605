"""Environments to be scored in: their sizes, and lanes of them in lock step."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from envs.spaces import Array


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
