"""Views: what one phase of training draws its batches from, made in numpy once per task.

Every view is a NamedTuple of arrays with rows first, float32 or int32 but for images, which stay
bytes or bits. ``[N, A]`` is ``[N]`` int32 where an action is a choice. Unless a sampler says
otherwise, a batch is the same NamedTuple with rows picked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envs.dataset import Dataset
from envs.errors import InputError
from envs.spaces import Array

Leaf = Any  # numpy in a view, jax.Array in a batch

RewardTransform = Callable[[Dataset], Array]  # rewards [N] to learn from


class Statistics(NamedTuple):
    """Statistics of the dataset that a method may keep in its state.

    Attributes:
        observation_mean: ``[O]``.
        observation_std: ``[O]``.
    """

    observation_mean: Leaf
    observation_std: Leaf


class Transitions(NamedTuple):
    """Rows for one-step bootstrapping.

    Attributes:
        observations: ``[N, O]``.
        actions: ``[N, A]``.
        rewards: ``[N]`` after the method's reward transform.
        terminations: ``[N]`` 1.0 where the value of what follows is zero.
        next_observations: ``[N, O]``.
    """

    observations: Leaf
    actions: Leaf
    rewards: Leaf
    terminations: Leaf
    next_observations: Leaf


class Sarsa(NamedTuple):
    """Transitions with the action that the data took next, ``[N, A]`` (0 at an episode's end)."""

    observations: Leaf
    actions: Leaf
    rewards: Leaf
    terminations: Leaf
    next_observations: Leaf
    next_actions: Leaf


class Demonstrations(NamedTuple):
    """Rows to imitate: observations ``[N, O]`` and actions ``[N, A]``."""

    observations: Leaf
    actions: Leaf


class Sequences(NamedTuple):
    """Rows in the order they happened, with what it takes to cut windows from them.

    Attributes:
        observations: ``[N, O]``.
        actions: ``[N, A]``.
        returns_to_go: ``[N]`` undiscounted sum of raw rewards from here to the segment's end.
        timesteps: ``[N]`` int32, steps since the segment's start.
        segment_ends: ``[N]`` int32, the last row of the row's segment.
    """

    observations: Leaf
    actions: Leaf
    returns_to_go: Leaf
    timesteps: Leaf
    segment_ends: Leaf


class Outcomes(NamedTuple):
    """Rows to imitate, each with what came of it.

    Attributes:
        observations: ``[N, O]``.
        actions: ``[N, A]``.
        conditions: ``[N, C]`` the outcome; the policy is told one at evaluation.
    """

    observations: Leaf
    actions: Leaf
    conditions: Leaf


class Paths(NamedTuple):
    """Rows in the order they happened, with where each of the K episodes lies among them.

    Attributes:
        observations: ``[N, O]``.
        actions: ``[N, A]``.
        goals: ``[N, G]`` the goal that each observation has reached.
        episode_starts: ``[K]`` int32, the first row of each episode.
        episode_lengths: ``[K]`` int32.
    """

    observations: Leaf
    actions: Leaf
    goals: Leaf
    episode_starts: Leaf
    episode_lengths: Leaf


def statistics(dataset: Dataset) -> Statistics:
    """Mean and deviation of every observation dimension over all rows."""
    observations = dataset.observations
    return Statistics(
        observation_mean=observations.mean(0, dtype=np.float64).astype(np.float32),
        observation_std=observations.std(0, dtype=np.float64).astype(np.float32),
    )


def transitions(dataset: Dataset, reward_transform: str | RewardTransform) -> Transitions:
    """All rows, with rewards transformed by a function or by one of ``REWARD_TRANSFORMS``.

    Raises:
        InputError: the function does not give one reward for each row.
    """
    if isinstance(reward_transform, str):
        reward_transform = REWARD_TRANSFORMS[reward_transform]
    rewards = np.asarray(reward_transform(dataset))
    if rewards.shape != dataset.rewards.shape:
        made = f"{list(rewards.shape)} for {dataset.num_rows} rows"
        raise InputError(f"a reward transform gives one reward for each row, got {made}")
    return Transitions(
        observations=dataset.observations,
        actions=dataset.actions,
        rewards=rewards.astype(np.float32),
        terminations=dataset.terminations.astype(np.float32),
        next_observations=dataset.next_observations,
    )


def sarsa(dataset: Dataset, reward_transform: str | RewardTransform) -> Sarsa:
    """Every row whose next action is in the data, or needs none.

    The last row of an episode has no next action. It stays, with zeros, where it terminates, for
    its target is the reward alone, and is dropped where time cut the episode.
    """
    rows = transitions(dataset, reward_transform)
    last = np.zeros(dataset.num_rows, bool)
    last[dataset.episode_ends] = True
    next_actions = np.roll(dataset.actions, -1, axis=0)
    next_actions[last] = 0
    keep = ~last | dataset.terminations
    return Sarsa(*(leaf[keep] for leaf in (*rows, next_actions)))


def sequences(dataset: Dataset) -> Sequences:
    """All rows in segments, each the whole of an episode as far as the method knows.

    A segment ends where the episode does and at every termination. In antmaze, where the data go on
    at the goal, what a policy would live through ends there; time and return start again after it.

    Source: cuts at terminals and timeouts, corl-team/CORL@eeeeef2 ``algorithms/offline/dt.py``.
    """
    last = dataset.terminations.copy()
    last[dataset.episode_ends] = True
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    sums = np.cumsum(dataset.rewards, dtype=np.float64)
    before = sums - dataset.rewards
    return Sequences(
        observations=dataset.observations,
        actions=dataset.actions,
        returns_to_go=(np.repeat(sums[ends], lengths) - before).astype(np.float32),
        timesteps=(np.arange(dataset.num_rows) - np.repeat(ends - lengths + 1, lengths)).astype(
            np.int32
        ),
        segment_ends=np.repeat(ends, lengths).astype(np.int32),
    )


def average_returns(dataset: Dataset) -> Outcomes:
    """All rows with the return-to-go spread over the time left, ``conditions [N, 1]``.

    The time left is counted to the end of the longest segment, also where a segment ended early, so
    that a fall costs what could have been earned after it. Segments are those of ``sequences``.

    Source: cuts at terminals and timeouts, scottemmons/rvs@90c0ffb ``src/rvs/dataset.py``.
    """
    rows = sequences(dataset)
    time_left = rows.timesteps.max() + 1 - rows.timesteps
    average = (rows.returns_to_go / time_left).astype(np.float32)
    return Outcomes(rows.observations, rows.actions, conditions=average[:, None])


def paths(dataset: Dataset, goal_dim: int) -> Paths:
    """All rows by true episodes, with the first ``goal_dim`` entries of an observation as goal."""
    return Paths(
        observations=dataset.observations,
        actions=dataset.actions,
        goals=dataset.observations[:, :goal_dim],
        episode_starts=dataset.episode_starts.astype(np.int32),
        episode_lengths=dataset.episode_lengths.astype(np.int32),
    )


def top_episodes(dataset: Dataset, fraction: float) -> Demonstrations:
    """The rows of the best episodes: those of highest return that make up ``fraction`` of all rows.

    Whole episodes ranked by undiscounted return, ties in the order they stand; the episode that
    crosses the share is kept, so at least one is.

    Args:
        dataset: whole episodes.
        fraction: share of rows in (0, 1]; 1 keeps all.

    Source: the share is one of timesteps, not of episodes, in the authors' %BC,
    kzl/decision-transformer@e2d82e6 ``gym/experiment.py``, which leaves the crossing one out.
    """
    order = np.argsort(-dataset.episode_returns, kind="stable")
    rows_before = np.cumsum(dataset.episode_lengths[order]) - dataset.episode_lengths[order]
    kept = order[rows_before < fraction * dataset.num_rows]
    keep = np.repeat(np.isin(np.arange(len(order)), kept), dataset.episode_lengths)
    return Demonstrations(dataset.observations[keep], dataset.actions[keep])


def _raw(dataset: Dataset) -> Array:
    return dataset.rewards


def _return_range(dataset: Dataset) -> Array:
    returns = dataset.episode_returns
    span = returns.max() - returns.min()
    return dataset.rewards if span == 0 else 1000.0 * dataset.rewards / span


def _minus_one(dataset: Dataset) -> Array:
    return dataset.rewards - 1.0


def _plus_minus_two(dataset: Dataset) -> Array:
    return 4.0 * (dataset.rewards - 0.5)


def _plus_minus_five(dataset: Dataset) -> Array:
    return 10.0 * dataset.rewards - 5.0


# return_range: IQL on locomotion, 1,000 over (best - worst episode return), unless all are equal.
# minus_one: IQL on antmaze, so that every step away from the goal costs 1.
# Source: ikostrikov/implicit_q_learning@09d7002 train_offline.py.
# plus_minus_two: CQL on antmaze, aviralkumar2907/CQL@d67dbe9 d4rl/examples/cql_antmaze_new.py.
# plus_minus_five: Young Geng's CQL on antmaze, young-geng/CQL issue 2; corl-team/CORL@eeeeef2.
REWARD_TRANSFORMS: dict[str, RewardTransform] = {
    "raw": _raw,
    "return_range": _return_range,
    "minus_one": _minus_one,
    "plus_minus_two": _plus_minus_two,
    "plus_minus_five": _plus_minus_five,
}
