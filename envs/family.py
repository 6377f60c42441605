"""A family of tasks as one object: all that its tasks share, and how they differ.

Worlds, readers and recipes are imported when they are asked for, so that tables and lists of tasks
need no simulator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from envs.environment import World
from envs.spaces import Array, Box, Space

if TYPE_CHECKING:
    from envs.collect.episode import Episode
    from envs.tasks import Task


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a cell: how much it learns and how often it is scored.

    Attributes:
        num_steps: gradient steps; None keeps the published number, as in the next two.
        batch_size: rows per step.
        hidden_dims: widths of all hidden layers.
        scale: share of D4RL's rows in the regenerated datasets; says nothing of own data.
        num_evaluations: evaluations, spread evenly; the last one is what the table shows.
        num_episodes: episodes per seed in each evaluation.
    """

    num_steps: int | None = None
    batch_size: int | None = None
    hidden_dims: tuple[int, ...] | None = None
    scale: float = 1.0
    num_evaluations: int = 10
    num_episodes: int = 10


# For tests: seconds a cell, whatever the family.
SMOKE = Size(200, 32, (32, 32), scale=0.002, num_evaluations=2, num_episodes=2)


class Row(NamedTuple):
    """The part of a task that its family does not share.

    Attributes:
        environment: name of the robot or of the maze.
        data: which behaviour made the data.
        num_rows: rows of D4RL's file, which is what scale 1 regenerates.
        reference_returns: (random, reference) returns, normalized scores 0 and 100.
    """

    environment: str
    data: str
    num_rows: int
    reference_returns: tuple[float, float]


class Collection(NamedTuple):
    """The collection of the family's data.

    Attributes:
        version: of the code that collects; a change that moves an array raises it.
        algorithm: what acts, for Minari's metadata.
        actors: (environment, data) -> names of the policies that act, in equal shares and in the
            order they stand in the data; None is no policy.
        collect: (task, actor, a seed for each lane, number of threads) -> episodes, lane by lane.
    """

    version: int
    algorithm: str
    actors: Callable[[str, str], Sequence[str | None]]
    collect: Callable[
        [Task, str | None, list[np.random.SeedSequence], int | None], Sequence[Episode]
    ]


class MinariData(NamedTuple):
    """The family's data on Minari's server.

    Attributes:
        ids: (environment, data) -> the datasets that make up a task's data, in this order; none
            where Minari has none.
        collected_in: (environment, whether the goal is shown) -> the world of data that go on at
            the goal and whose observations are in parts; None where it is the family's own ``v5``.
    """

    ids: Callable[[str, str], Sequence[str]]
    collected_in: Callable[[str, bool], World] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """Tasks that share worlds, data and rules.

    Attributes:
        name: the family's name.
        title: (environment, data) -> the task's name.
        world: (task, version) -> the environment that scores it.
        versions: of gymnasium's environments whose rules it can follow; the first is D4RL's
            closest relative.
        sizes: by profile, a key of ``bench.run.profiles.PROFILES``.
        rows: what the tasks differ in; none of data that users bring.
        actions: the kind of their action spaces; None where each task has its own.
        in_post: whether the post's Table 1 has it.
        goal_return: what an episode is worth that reaches its goal, which ends it, while data go
            on there; None where there are no goals.
        maps: environment -> the map that tracks are drawn on, in the marks of ``worlds.maps``.
        collection: how its data are made here, if they are.
        d4rl_path: (environment, data) -> where D4RL's server has the file, if it has one.
        minari: what Minari's server has, if anything.
    """

    name: str
    title: Callable[[str, str], str]
    world: Callable[[Task, str], World]
    sizes: Mapping[str, Size]
    versions: tuple[str, ...] = ("v4",)
    rows: tuple[Row, ...] = ()
    actions: type[Space] | None = Box
    in_post: bool = False
    goal_return: float | None = None
    maps: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    collection: Collection | None = None
    d4rl_path: Callable[[str, str], str] | None = None
    minari: MinariData | None = None

    @property
    def has_goals(self) -> bool:
        """True if an episode is a way to a goal."""
        return self.goal_return is not None

    def worth(self, returns: Array) -> Array:
        """The worth of episodes; being at a goal once is all, where data go on there."""
        return returns if self.goal_return is None else np.minimum(returns, self.goal_return)
