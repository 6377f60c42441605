"""One episode as it is stored, and the recording of many in lock step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from envs.environment import EnvSpec
from envs.spaces import Array


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode as it is stored.

    Attributes:
        observations: ``[T + 1, O]`` float32.
        actions: ``[T, A]`` float32.
        rewards: ``[T]`` float32.
        terminations: ``[T]`` bool; the last row only, except in mazes (see ``Dataset``).
        truncations: ``[T]`` bool; the last row of an episode that was cut off.
        goal: ``[G]`` the goal that rewards are relabelled against, G = 0 where there is none.
        reached: whether the tour came to its own goal, in pointmaze to ``goal``; true in
            locomotion.
        flipped: whether the ant ever lay upside down; false in locomotion.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminations: Array
    truncations: Array
    goal: Array
    reached: bool = True
    flipped: bool = False

    def rows(self, first: int, stop: int) -> Episode:
        """Rows from ``first`` up to ``stop`` as an episode, truncated where the whole goes on."""
        stop = min(stop, len(self.rewards))
        truncations = self.truncations[first:stop].copy()
        truncations[-1] |= stop < len(self.rewards)
        return dataclasses.replace(
            self,
            observations=self.observations[first : stop + 1],
            actions=self.actions[first:stop],
            rewards=self.rewards[first:stop],
            terminations=self.terminations[first:stop],
            truncations=truncations,
        )


def record(
    observations: Array,
    step: Callable[[Array, Array, Array], tuple[Array, Array, Array, Array, Array]],
    seeds: list[np.random.SeedSequence],
    spec: EnvSpec,
    limit: int,
) -> Iterator[Episode]:
    """Run all lanes to their ends and cut the record into episodes, lane by lane.

    Args:
        observations: ``[L, O]`` after the reset.
        step: (observations, noise ``[L, A]``, active ``[L]``) -> (actions, observations, rewards,
            terminations, ends).
        seeds: one per lane; each lane's noise is drawn from its own.
        spec: sizes.
        limit: steps at most.
    """
    lanes = len(seeds)
    noise = np.stack(
        [
            np.random.default_rng(seed.spawn(1)[0]).standard_normal(
                (limit, spec.action_dim), np.float32
            )
            for seed in seeds
        ],
        axis=1,
    )
    record: dict[str, Any] = {
        "observations": np.zeros((limit + 1, lanes, spec.observation_dim), np.float32),
        "actions": np.zeros((limit, lanes, spec.action_dim), np.float32),
        "rewards": np.zeros((limit, lanes), np.float32),
        "terminations": np.zeros((limit, lanes), bool),
    }
    record["observations"][0] = observations
    lengths, active = np.zeros(lanes, np.int64), np.ones(lanes, bool)
    ended = np.zeros(lanes, bool)
    for t in range(limit):
        actions, observations, rewards, terminations, ends = step(observations, noise[t], active)
        record["observations"][t + 1] = observations
        record["actions"][t] = actions
        record["rewards"][t] = rewards
        record["terminations"][t] = terminations
        lengths += active
        ended |= active & ends
        active &= ~ends
        if not active.any():
            break
    for lane, length in enumerate(lengths.tolist()):
        truncations = np.zeros(length, bool)
        terminations = record["terminations"][:length, lane]
        truncations[-1] = not (ended[lane] and terminations[-1])
        yield Episode(
            observations=record["observations"][: length + 1, lane],
            actions=record["actions"][:length, lane],
            rewards=record["rewards"][:length, lane],
            terminations=terminations,
            truncations=truncations,
            goal=np.zeros(0),
        )
