"""A ball in antmaze's mazes, which is not in the post: nets learn it in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.environment import Environment, World
from envs.family import SMOKE, Collection, Family, Row, Size
from envs.worlds.maps import MAPS, MAZE_DATA

if TYPE_CHECKING:
    from envs.collect.episode import Episode
    from envs.tasks import Task


def _title(environment: str, data: str) -> str:
    return "-".join(filter(None, ("pointmaze", environment, data)))


def _world(task: Task, version: str) -> World:
    del version

    def make(num_envs: int, num_threads: int | None = None) -> Environment:
        from envs.worlds.pointmaze import PointMaze

        return PointMaze(task.environment, num_envs, num_threads)

    return World(f"PointMaze-{task.environment}-v0", make)


def _collect(
    task: Task, actor: str | None, seeds: list[np.random.SeedSequence], num_threads: int | None
) -> Sequence[Episode]:
    from envs.collect import tours

    assert actor is None
    return tours.tour_with_point(task, seeds, num_threads)


FAMILY = Family(
    name="pointmaze",
    title=_title,
    world=_world,
    sizes={
        "smoke": SMOKE,
        "quick": Size(20_000, 64, (64, 64), scale=0.1, num_evaluations=1, num_episodes=20),
        "cpu": Size(20_000, 64, (128, 128), scale=0.1, num_evaluations=4, num_episodes=50),
        "paper": Size(scale=1.0, num_evaluations=10, num_episodes=100),
    },
    # The number of rows is antmaze's.
    rows=tuple(Row(environment, data, 1_000_000, (0.0, 1.0)) for environment, data in MAZE_DATA),
    goal_return=1.0,
    maps=MAPS,
    collection=Collection(
        version=0,
        algorithm="waypoints",
        actors=lambda environment, data: [None],
        collect=_collect,
    ),
)
