"""Views: what one phase of training draws its batches from, made in numpy once per task.

Every view is a NamedTuple of float32 or int32 arrays with rows first, so that a batch is the same
NamedTuple with rows picked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envs.types import Array, Dataset

Leaf = Any  # numpy in a view, jax.Array in a batch


class Statistics(NamedTuple):
    """What a method may keep of the dataset in its state.

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


class Demonstrations(NamedTuple):
    """Rows to imitate: observations ``[N, O]`` and actions ``[N, A]``."""

    observations: Leaf
    actions: Leaf


def statistics(dataset: Dataset) -> Statistics:
    """Mean and deviation of every observation dimension over all rows."""
    observations = dataset.observations
    return Statistics(
        observation_mean=observations.mean(0, dtype=np.float64).astype(np.float32),
        observation_std=observations.std(0, dtype=np.float64).astype(np.float32),
    )


def transitions(dataset: Dataset, reward_transform: str) -> Transitions:
    """All rows, with rewards transformed by ``REWARD_TRANSFORMS[reward_transform]``."""
    rewards = REWARD_TRANSFORMS[reward_transform](dataset)
    return Transitions(
        observations=dataset.observations,
        actions=dataset.actions,
        rewards=rewards.astype(np.float32),
        terminations=dataset.terminations.astype(np.float32),
        next_observations=dataset.next_observations,
    )


def top_episodes(dataset: Dataset, fraction: float) -> Demonstrations:
    """The rows of the best episodes: those of highest return that make up ``fraction`` of all rows.

    Whole episodes ranked by undiscounted return, ties in the order they stand; the episode that
    crosses the share is kept, so at least one is.

    Args:
        dataset: whole episodes.
        fraction: share of rows in (0, 1]; 1 keeps all.

    Source: the share is one of timesteps, not of episodes, in the authors' %BC,
    kzl/decision-transformer@e2d82e6 ``gym/experiment.py``.
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


# return_range: IQL on locomotion, 1,000 over (best - worst episode return), unless all are equal.
# minus_one: IQL on antmaze, so that every step away from the goal costs 1.
# Source: ikostrikov/implicit_q_learning@09d7002 train_offline.py.
REWARD_TRANSFORMS: dict[str, Callable[[Dataset], Array]] = {
    "raw": _raw,
    "return_range": _return_range,
    "minus_one": _minus_one,
}
