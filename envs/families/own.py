"""Data that users bring: a Minari dataset, and the gymnasium environment to score in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.environment import Environment, World
from envs.families import locomotion
from envs.family import Family

if TYPE_CHECKING:
    from envs.tasks import Task


def _title(environment: str, data: str) -> str:
    del environment
    return data.rpartition("-v")[0].replace("/", "-").lower()


def _world(task: Task, version: str) -> World:
    del version

    def make(num_envs: int, num_threads: int | None = None) -> Environment:
        from envs.worlds.gymnasium_lanes import GymnasiumLanes

        del num_threads
        return GymnasiumLanes(task.environment, num_envs, task.reference_returns)

    return World(task.environment, make)


FAMILY = Family(
    name="own",
    title=_title,
    world=_world,
    actions=None,
    sizes=locomotion.FAMILY.sizes,
)
