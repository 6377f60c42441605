"""Hopper, HalfCheetah and Walker2d, in the post's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.environment import Environment, World
from envs.family import SMOKE, Collection, Family, MinariData, Row, Size
from envs.scores import REFERENCE_RETURNS

if TYPE_CHECKING:
    from envs.collect.episode import Episode
    from envs.tasks import Task

NUM_REPLAY_SNAPSHOTS = 12
_GYMNASIUM_NAMES = {"halfcheetah": "HalfCheetah", "hopper": "Hopper", "walker2d": "Walker2d"}
# Row counts are those of D4RL's files, rounded to 1,000 (TFDS catalogue pages d4rl_mujoco_*).
_NUM_ROWS = {
    "medium": {"halfcheetah": 1_000_000, "hopper": 1_000_000, "walker2d": 1_000_000},
    "medium-replay": {"halfcheetah": 202_000, "hopper": 402_000, "walker2d": 302_000},
    "medium-expert": {"halfcheetah": 2_000_000, "hopper": 2_000_000, "walker2d": 2_000_000},
}
_MINARI_PARTS = {"medium": ("medium",), "medium-expert": ("medium", "expert")}


def _world(task: Task, version: str) -> World:
    def make(num_envs: int, num_threads: int | None = None) -> Environment:
        from envs.worlds.locomotion import Locomotion

        return Locomotion(task.environment, num_envs, num_threads, version)

    return World(f"{_GYMNASIUM_NAMES[task.environment]}-{version}", make)


def _actors(environment: str, data: str) -> Sequence[str]:
    """The policies of one dataset.

    medium-expert is half and half; medium-replay has an equal share of each of the actor snapshots
    spread evenly over training up to ``medium``, which stand in for SAC's buffer.
    """
    names = {
        "medium": ["medium"],
        "medium-expert": ["medium", "expert"],
        "medium-replay": [f"replay-{i:02d}" for i in range(NUM_REPLAY_SNAPSHOTS)],
    }[data]
    return [f"{environment}-{name}" for name in names]


def _collect(
    task: Task, actor: str | None, seeds: list[np.random.SeedSequence], num_threads: int | None
) -> Sequence[Episode]:
    from envs.collect import behave, policy

    assert actor is not None
    return behave.behave(task, policy.load(actor), seeds, num_threads)


FAMILY = Family(
    name="locomotion",
    title=lambda environment, data: f"{environment}-{data}",
    world=_world,
    sizes={
        "smoke": SMOKE,
        "quick": Size(20_000, 64, (64, 64), scale=0.08, num_evaluations=1, num_episodes=5),
        "cpu": Size(100_000, 64, (128, 128), scale=0.2, num_evaluations=4, num_episodes=10),
        "paper": Size(scale=1.0, num_evaluations=10, num_episodes=10),
    },
    versions=("v4", "v5"),
    rows=tuple(
        Row(environment, data, num_rows, REFERENCE_RETURNS[environment])
        for data, of_robots in _NUM_ROWS.items()
        for environment, num_rows in of_robots.items()
    ),
    in_post=True,
    collection=Collection(version=0, algorithm="SAC", actors=_actors, collect=_collect),
    d4rl_path=lambda environment, data: (
        f"gym_mujoco_v2/{environment}_{data.replace('-', '_')}-v2.hdf5"
    ),
    minari=MinariData(
        ids=lambda environment, data: [
            f"mujoco/{environment}/{part}-v0" for part in _MINARI_PARTS.get(data, ())
        ]
    ),
)
