"""An ant that has to find its way through D4RL's mazes, in the post's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.environment import Environment, World
from envs.family import SMOKE, Collection, Family, MinariData, Row, Size
from envs.worlds.maps import MAPS, MAZE_DATA

if TYPE_CHECKING:
    from envs.collect.episode import Episode
    from envs.tasks import Task

_D4RL_MAZES = {"umaze": "u-maze", "medium": "big-maze", "large": "hardest-maze"}
_ROBOTICS_MAZES = {"umaze": "UMaze", "medium": "Medium", "large": "Large"}


def _title(environment: str, data: str) -> str:
    return "-".join(filter(None, ("antmaze", environment, data)))


def _world(task: Task, version: str) -> World:
    del version

    def make(num_envs: int, num_threads: int | None = None) -> Environment:
        from envs.worlds.antmaze import AntMaze

        return AntMaze(task.environment, num_envs, num_threads)

    return World(f"AntMaze-{task.environment}-v0", make)


def _robotics_world(environment: str, show_goal: bool) -> World:
    def make(num_envs: int, num_threads: int | None = None) -> Environment:
        from envs.worlds.antmaze_robotics import RoboticsAntMaze

        return RoboticsAntMaze(environment, num_envs, num_threads, show_goal=show_goal)

    return World(f"AntMaze_{_ROBOTICS_MAZES[environment]}-v4", make)


def _collect(
    task: Task, actor: str | None, seeds: list[np.random.SeedSequence], num_threads: int | None
) -> Sequence[Episode]:
    from envs.collect import policy, tours

    assert actor is not None
    return tours.tour_with_ant(task, policy.load(actor), seeds, num_threads)


def _d4rl_path(environment: str, data: str) -> str:
    starts, goals = data != "", data == "diverse"
    return (
        f"ant_maze_v2/Ant_maze_{_D4RL_MAZES[environment]}_noisy_multistart_{starts}"
        f"_multigoal_{goals}_sparse_fixed.hdf5"
    )


FAMILY = Family(
    name="antmaze",
    title=_title,
    world=_world,
    sizes={
        "smoke": SMOKE,
        "quick": Size(10_000, 64, (64, 64), scale=0.04, num_evaluations=1, num_episodes=5),
        "cpu": Size(150_000, 64, (256, 256), scale=1.0, num_evaluations=1, num_episodes=50),
        "paper": Size(scale=1.0, num_evaluations=10, num_episodes=100),
    },
    # Row counts are those of D4RL's files, rounded to 1,000 (TFDS catalogue page d4rl_antmaze).
    rows=tuple(Row(environment, data, 1_000_000, (0.0, 1.0)) for environment, data in MAZE_DATA),
    in_post=True,
    goal_return=1.0,
    maps=MAPS,
    collection=Collection(
        version=1,
        algorithm="PPO and waypoints",
        actors=lambda environment, data: ["ant"],
        collect=_collect,
    ),
    d4rl_path=_d4rl_path,
    minari=MinariData(
        ids=lambda environment, data: [
            f"D4RL/antmaze/{'-'.join(filter(None, (environment, data)))}-v1"
        ],
        collected_in=_robotics_world,
    ),
)
