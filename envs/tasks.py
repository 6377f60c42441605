"""The tasks, one row each: those of Table 1, a companion family, and those of a user's own data."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from envs.environment import Environment, EnvSpec
from envs.errors import InputError
from envs.scores import REFERENCE_RETURNS
from envs.worlds.antmaze import AntMaze
from envs.worlds.gymnasium_lanes import GymnasiumLanes
from envs.worlds.locomotion import VERSIONS, Locomotion
from envs.worlds.maze import MAPS
from envs.worlds.pointmaze import PointMaze

Entry = TypeVar("Entry")


class World(NamedTuple):
    """An environment to be scored in.

    Attributes:
        gymnasium_id: the gymnasium environment with the same rules.
        make: (number of lanes, threads or None) -> its lanes.
    """

    gymnasium_id: str
    make: Callable[[int, int | None], Environment]

    @property
    def spec(self) -> EnvSpec:
        """Sizes of observations, actions and goals, and the time limit."""
        with contextlib.closing(self.make(1, 1)) as lanes:
            return lanes.spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One row of the table: an environment to be scored in and the data to learn from.

    Attributes:
        environment: name of the robot or of the maze; of own data, gymnasium's of the environment.
        data: which behaviour made the data; of own data, the Minari dataset.
        family: ``locomotion``, ``antmaze``, ``pointmaze`` or ``own``; picks the simulator and a
            method's Config.
        num_rows: rows of D4RL's file, which is what scale 1 regenerates; pointmaze has antmaze's,
            and own data have 0.
        reference_returns: (random, reference) returns, normalized scores 0 and 100.
    """

    environment: str
    data: str
    family: str
    num_rows: int
    reference_returns: tuple[float, float]

    @property
    def name(self) -> str:
        """The task's name, such as ``hopper-medium`` or ``antmaze-umaze``."""
        if self.family == OWN:
            return self.data.rpartition("-v")[0].replace("/", "-").lower()
        if self.is_maze:
            return "-".join(part for part in (self.family, self.environment, self.data) if part)
        return f"{self.environment}-{self.data}"

    @property
    def is_maze(self) -> bool:
        """Whether an episode is a way to a goal, worth 1."""
        return self.environment in MAPS

    @property
    def in_post(self) -> bool:
        """Whether the post's Table 1 has it."""
        return self.family in ("locomotion", "antmaze")

    @property
    def gymnasium_id(self) -> str:
        """The gymnasium environment with the same rules."""
        if self.family == OWN:
            return self.environment
        key = self.family if self.is_maze else self.environment
        return _GYMNASIUM_IDS[key].format(self.environment)

    @property
    def spec(self) -> EnvSpec:
        """Sizes of observations, actions and goals, and the time limit."""
        return _spec(self)

    def make_environment(self, num_envs: int, num_threads: int | None = None) -> Environment:
        """``num_envs`` lanes of the environment that scores this task."""
        if self.family == OWN:
            return GymnasiumLanes(self.environment, num_envs, self.reference_returns)
        return _SIMULATORS[self.family](self.environment, num_envs, num_threads)


def world(task: Task, version: str) -> World:
    """The task's environment by the rules of gymnasium's ``version``, ``v4`` or ``v5``.

    Raises:
        InputError: no such version; a maze, which has none.
    """
    look_up("environment", version, VERSIONS)
    if version == "v4":
        return World(task.gymnasium_id, task.make_environment)
    if task.is_maze:
        raise InputError(f"{task.name} has no environment {version!r}; leave it out")
    make = functools.partial(Locomotion, task.environment, version=version)
    return World(task.gymnasium_id.replace("v4", version), make)


OWN = "own"  # the family of data that users bring
_SIMULATORS: dict[str, Callable[[str, int, int | None], Environment]] = {
    "locomotion": Locomotion,
    "antmaze": AntMaze,
    "pointmaze": PointMaze,
}
# A maze's name goes into the braces.
_GYMNASIUM_IDS = {
    "halfcheetah": "HalfCheetah-v4",
    "hopper": "Hopper-v4",
    "walker2d": "Walker2d-v4",
    "antmaze": "AntMaze-{}-v0",
    "pointmaze": "PointMaze-{}-v0",
}


def _locomotion(environment: str, data: str, num_rows: int) -> Task:
    return Task(
        environment=environment,
        data=data,
        family="locomotion",
        num_rows=num_rows,
        reference_returns=REFERENCE_RETURNS[environment],
    )


def _maze(family: str, environment: str, data: str) -> Task:
    return Task(
        environment=environment,
        data=data,
        family=family,
        num_rows=1_000_000,
        reference_returns=REFERENCE_RETURNS[family],
    )


def _own(dataset_id: str, gymnasium_id: str, reference_returns: tuple[float, float]) -> Task:
    """Data that a user brings: a Minari dataset, the environment to score in, scores 0 and 100.

    Raises:
        InputError: the dataset's name has no version, the returns are no numbers, or the second is
            not above the first.
    """
    if not re.fullmatch(r".+-v\d+", dataset_id):
        raise InputError(
            f"{dataset_id} is no name of a Minari dataset: it ends in a version, as me/logs-v0 does"
        )
    low, high = reference_returns
    numbers = all(isinstance(value, (int, float)) for value in reference_returns)
    if not numbers or not -math.inf < low < high < math.inf:
        raise InputError(
            f"the row of {dataset_id} has reference returns {reference_returns}: the first is what "
            "acting at random gets, the second, a good return, must be above it"
        )
    return Task(
        environment=gymnasium_id,
        data=dataset_id,
        family=OWN,
        num_rows=0,
        reference_returns=reference_returns,
    )


def own_task(dataset_id: str, gymnasium_id: str) -> Task:
    """A user's Minari dataset that has no row yet; a score is 100 times the return."""
    return _own(dataset_id, gymnasium_id, (0.0, 1.0))


def _by_name(*tasks: Task) -> dict[str, Task]:
    named: dict[str, Task] = {}
    for task in tasks:
        if task.name in named:
            raise InputError(f"two rows are called {task.name}; give the data another name")
        named[task.name] = task
    return named


# Row counts: D4RL's files (TFDS catalogue pages d4rl_mujoco_* and d4rl_antmaze), rounded to 1,000.
TASKS = _by_name(
    _locomotion("halfcheetah", "medium", 1_000_000),
    _locomotion("hopper", "medium", 1_000_000),
    _locomotion("walker2d", "medium", 1_000_000),
    _locomotion("halfcheetah", "medium-replay", 202_000),
    _locomotion("hopper", "medium-replay", 402_000),
    _locomotion("walker2d", "medium-replay", 302_000),
    _locomotion("halfcheetah", "medium-expert", 2_000_000),
    _locomotion("hopper", "medium-expert", 2_000_000),
    _locomotion("walker2d", "medium-expert", 2_000_000),
    *(
        _maze(family, environment, data)
        for family in ("antmaze", "pointmaze")
        for environment, data in (
            ("umaze", ""),
            ("umaze", "diverse"),
            ("medium", "play"),
            ("medium", "diverse"),
            ("large", "play"),
            ("large", "diverse"),
        )
    ),
    # Data of your own, a line each; CONTRIBUTING.md has an example.
)
FAMILIES = tuple(dict.fromkeys(task.family for task in TASKS.values()))


def get_task(name: str) -> Task:
    """The task called ``name``.

    Raises:
        InputError: no such task; the nearest name is in the message.
    """
    return look_up("task", name, TASKS)


def look_up(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """The entry of ``table`` called ``name``; ``kind`` is what the message calls it.

    Raises:
        InputError: no such entry; the nearest name is in the message.
    """
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not among ``known``, with the near miss or the whole list."""
    known = list(known)
    near = [other for other in known if other.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}; {hint}")


@functools.cache
def _spec(task: Task) -> EnvSpec:
    with contextlib.closing(task.make_environment(num_envs=1, num_threads=1)) as lanes:
        return lanes.spec
