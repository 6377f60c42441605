"""The tasks, one row each: those of the families, and those of a user's own data."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from envs.environment import Environment, EnvSpec, World
from envs.errors import InputError
from envs.families import antmaze, locomotion, own, pointmaze
from envs.family import Family
from envs.text import reason_of

Entry = TypeVar("Entry")

EVERY_FAMILY: dict[str, Family] = {
    family.name: family
    for family in (locomotion.FAMILY, antmaze.FAMILY, pointmaze.FAMILY, own.FAMILY)
}
OWN = own.FAMILY.name  # the family of data that users bring
# The families that have tasks, in the order of the table; ``register`` adds ``OWN``.
FAMILIES = {name: family for name, family in EVERY_FAMILY.items() if family.rows}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One row of the table: an environment to be scored in and the data to learn from.

    A task is plain data, which goes to other processes and into provenance as it is.

    Attributes:
        environment: name of the robot or of the maze; of own data, gymnasium's of the environment.
        data: which behaviour made the data; of own data, the Minari dataset.
        family: name of its family.
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
    def kind(self) -> Family:
        """Its family."""
        return EVERY_FAMILY[self.family]

    @property
    def name(self) -> str:
        """The task's name, such as ``hopper-medium`` or ``antmaze-umaze``."""
        return self.kind.title(self.environment, self.data)

    @property
    def in_post(self) -> bool:
        """True if the post's Table 1 has it."""
        return self.kind.in_post

    @property
    def world(self) -> World:
        """The environment that scores it, by the rules nearest to D4RL's."""
        return self.kind.world(self, self.kind.versions[0])

    @property
    def gymnasium_id(self) -> str:
        """The gymnasium environment with the same rules."""
        return self.world.gymnasium_id

    @property
    def spec(self) -> EnvSpec:
        """Sizes of observations, actions and goals, and the time limit."""
        return _spec(self)

    def make_environment(self, num_envs: int, num_threads: int | None = None) -> Environment:
        """``num_envs`` lanes of the environment that scores this task."""
        return self.world.make(num_envs, num_threads)


def world(task: Task, version: str) -> World:
    """The task's environment by the rules of gymnasium's ``version``, ``v4`` or ``v5``.

    Raises:
        InputError: no such version; a maze, which has none.
    """
    known = dict.fromkeys(v for family in EVERY_FAMILY.values() for v in family.versions)
    look_up("environment", version, known)
    if version not in task.kind.versions:
        raise InputError(f"{task.name} has no environment {version!r}; leave it out")
    return task.kind.world(task, version)


def own_task(
    dataset_id: str, gymnasium_id: str, reference_returns: tuple[float, float] = (0.0, 1.0)
) -> Task:
    """The task of data that a user brings.

    Args:
        dataset_id: of a Minari dataset.
        gymnasium_id: the environment to score in, which may be ``module:Name-v0``.
        reference_returns: what acting at random gets, and a good return; by default a score is 100
            times the return.

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


def register(task: Task) -> None:
    """Make a user's task known by its name, in place of one of that name that a user had before.

    Raises:
        InputError: another family has a task of that name.
    """
    if task.name in TASKS and TASKS[task.name].family != task.family:
        raise InputError(f"{task.data}: there is a task {task.name}; give the data another name")
    FAMILIES[task.family] = task.kind
    TASKS[task.name] = task


def recall(facts: Mapping[str, Any]) -> None:
    """Make known the task of a cell that was run before, if it is one of a user's own data.

    Args:
        facts: what provenance holds of the cell.

    Raises:
        InputError: what it holds is no row of own data.
    """
    if facts["settings"]["source"] != OWN:
        return
    row = {
        "data": facts["dataset"].get("dataset_id"),
        "environment": facts.get("environment"),
        "reference": facts["task"].get("reference_returns"),
    }
    if None not in row.values():  # a cell of an older version may not say
        register(_of_table(row, f"the row of {facts['task']['name']}"))


def read_tasks_file(path: Path) -> list[Task]:
    """The tasks of own data in a TOML file, each a table ``[[tasks]]``.

    ``data`` is a Minari dataset, ``environment`` gymnasium's name of the one to score in, and
    ``reference`` the returns that score 0 and 100.

    Raises:
        InputError: the file cannot be read, or a table is not of these three; or see ``own_task``.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # of TOML, of UTF-8
        raise InputError(f"{path} is no TOML file: {reason_of(error)}") from None
    tables = rows.get("tasks")
    if set(rows) != {"tasks"} or not isinstance(tables, list) or not tables:
        raise InputError(f"{path}: expected tables [[tasks]] and nothing else")
    tasks = [_of_table(table, f"{path}, row {number}") for number, table in enumerate(tables, 1)]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two tasks are called {name}; give the data another name")
    return tasks


def _of_table(table: Any, where: str) -> Task:
    keys = ("data", "environment", "reference")
    if not isinstance(table, dict) or set(table) != set(keys):
        raise InputError(f"{where}: expected the keys {', '.join(keys)}")
    data, environment, reference = (table[key] for key in keys)
    for key, value in (("data", data), ("environment", environment)):
        if not isinstance(value, str) or not value:
            raise InputError(f"{where}: {key} is {value!r}, expected a name")
    if not isinstance(reference, list) or len(reference) != 2:
        raise InputError(f"{where}: reference is {reference!r}, expected two returns")
    return own_task(data, environment, (reference[0], reference[1]))


TASKS = {
    task.name: task
    for family in FAMILIES.values()
    for task in (Task(family=family.name, **row._asdict()) for row in family.rows)
}


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
    return task.world.spec
