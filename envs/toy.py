"""Tiny datasets whose values and best actions are known in closed form, to probe methods with.

Each function gives a ``Dataset`` and its ``EnvSpec``; there is no simulator behind them. All
probes have 20 rows of one-hot observations over five states and one action, so that a method
compiled for one of them serves them all.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from envs.dataset import Dataset
from envs.environment import EnvSpec
from envs.spaces import Array, Box, Discrete

BAD_ACTION, GOOD_ACTION = -0.5, 0.8  # of mixed_quality and stitching
START, OTHER_START, CROSSING, DEAD_END, GOAL = np.eye(5, dtype=np.float32)


def constant_reward(*, terminated: bool = False) -> tuple[Dataset, EnvSpec]:
    """One state, ``START``, and reward 1 at each step, for ever, or only once if ``terminated``.

    V = 1 / (1 - discount), or 1 if ``terminated``. Episodes have one row, which leads back to the
    state; those that are not terminated are truncated there.
    """
    return _join([_episode([START, START], [0.0], [1.0], terminated)] * 20)


def two_step() -> tuple[Dataset, EnvSpec]:
    """From ``START`` over ``CROSSING`` to the end at ``GOAL``; the last step alone has reward 1.

    V = discount at ``START`` and 1 at ``CROSSING``.
    """
    return _join([_episode([START, CROSSING, GOAL], [0.0, 0.0], [0.0, 1.0], True)] * 10)


def mixed_quality() -> tuple[Dataset, EnvSpec]:
    """90 % of the episodes take ``BAD_ACTION`` at ``START`` for reward 0, 10 % the good one for 1.

    All terminate after one step. The mean action is -0.37; the value at expectile tau solves
    tau 0.1 (1 - V) = (1 - tau) 0.9 V.
    """
    bad = _episode([START, START], [BAD_ACTION], [0.0], True)
    good = _episode([START, START], [GOOD_ACTION], [1.0], True)
    return _join([bad] * 4 + [good] + [bad] * 10 + [good] + [bad] * 4)


def stitching() -> tuple[Dataset, EnvSpec]:
    """Two paths that cross: no episode goes from ``START`` to ``GOAL``, though one could.

    START -> CROSSING -> DEAD_END takes ``BAD_ACTION`` at the crossing and has return 0;
    OTHER_START -> CROSSING -> GOAL takes ``GOOD_ACTION`` there, for reward 1 after -2, and so has
    return -1. The episode of higher return is thus the wrong one to follow at the crossing, where
    Q is 0 for the bad action and 1 for the good one.
    """
    better = _episode([START, CROSSING, DEAD_END], [0.0, BAD_ACTION], [0.0, 0.0], True)
    worse = _episode([OTHER_START, CROSSING, GOAL], [0.0, GOOD_ACTION], [-2.0, 1.0], True)
    return _join([better, worse] * 5)


def decoy() -> tuple[Dataset, EnvSpec]:
    """An action that is best only as long as the behaviour policy goes on afterwards.

    At ``START``, ``BAD_ACTION`` ends the episode with reward 0.6 (8 episodes) and ``GOOD_ACTION``
    leads to ``CROSSING`` (6 episodes), where ``GOOD_ACTION`` has reward 1 but is taken twice out of
    six times, and ``BAD_ACTION`` has 0. Q of ``GOOD_ACTION`` at ``START`` is discount / 3 under the
    behaviour policy, below 0.6, and discount under the best one.
    """
    sure = _episode([START, DEAD_END], [BAD_ACTION], [0.6], True)
    missed = _episode([START, CROSSING, DEAD_END], [GOOD_ACTION, BAD_ACTION], [0.0, 0.0], True)
    reached = _episode([START, CROSSING, GOAL], [GOOD_ACTION, GOOD_ACTION], [0.0, 1.0], True)
    return _join([sure] * 4 + [missed, missed, reached] * 2 + [sure] * 4)


def goals() -> tuple[Dataset, EnvSpec]:
    """From ``START`` to ``DEAD_END`` or to ``GOAL``, equally often and each for a return of 1.

    ``BAD_ACTION`` leads to the one and ``GOOD_ACTION`` to the other, so that only who knows the
    goal, which is the whole observation, knows the action. Without it the mean action is 0.15,
    whatever the return; with ``START`` as the goal as well, for both kinds of episode were there.
    """
    dead_end = _episode([START, DEAD_END, DEAD_END], [BAD_ACTION, 0.0], [0.0, 1.0], True)
    goal = _episode([START, GOAL, GOAL], [GOOD_ACTION, 0.0], [0.0, 1.0], True)
    return _join([dead_end, goal] * 5, goal=Box(START.shape))


def choices(probe: tuple[Dataset, EnvSpec]) -> tuple[Dataset, EnvSpec]:
    """``probe`` with two choices for its one action: 1 where that is above 0, and 0 elsewhere.

    So ``GOOD_ACTION`` is choice 1, and ``BAD_ACTION`` choice 0; values stay as they are.
    """
    dataset, spec = probe
    actions = (dataset.actions[:, 0] > 0.0).astype(np.int32)
    return dataclasses.replace(dataset, actions=actions), dataclasses.replace(
        spec, action=Discrete(2)
    )


def random_episodes() -> tuple[Dataset, EnvSpec]:
    """Noise in the shape of data: 8 episodes of 3 to 10 steps, every other one terminated."""
    generator = np.random.default_rng(0)
    episodes = []
    for length in range(3, 11):
        observations = generator.standard_normal((length + 1, 3))
        actions = generator.uniform(-1.0, 1.0, (length, 2))
        rewards = generator.standard_normal(length)
        episodes.append(_episode(observations, actions, rewards, length % 2 == 1))
    return _join(episodes)


def _episode(
    observations: Array | list[Array],
    actions: Array | list[float],
    rewards: Array | list[float],
    terminated: bool,
) -> tuple[Array, Array, Array, Array, Array]:
    """One episode as ``flatten`` takes it; unless ``terminated`` it ends by truncation."""
    last = np.arange(len(rewards)) == len(rewards) - 1
    actions = np.asarray(actions).reshape(len(rewards), -1)
    ends = last & terminated, last & (not terminated)
    return np.asarray(observations), actions, np.asarray(rewards), *ends


def _join(
    episodes: list[tuple[Array, Array, Array, Array, Array]], goal: Box | None = None
) -> tuple[Dataset, EnvSpec]:
    dataset = Dataset.from_episodes(episodes)
    spec = EnvSpec(
        observation=Box(dataset.observations.shape[1:]),
        action=Box(dataset.actions.shape[1:], limit=1.0),
        max_episode_steps=int(dataset.episode_lengths.max()),
        goal=goal,
    )
    return dataset, spec
