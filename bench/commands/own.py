"""Data of a user's own: what commands take to know them without a row in the package."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from bench.commands.options import Folder
from envs.errors import InputError

if TYPE_CHECKING:
    from envs.tasks import Task

Returns = Annotated[
    tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH", help_behavior_hint="")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnTasks:
    """Options of every command that takes tasks of a user's own."""

    reference: Returns = None
    """for a Minari dataset of your own: the returns that score 0 and 100"""
    tasks_file: Folder = None
    """a TOML file of your own tasks, which are then known by their names"""


def read_file(args: OwnTasks) -> list[str]:
    """Make known the tasks of ``--tasks-file``, if there is one; returns their names."""
    from envs.tasks import read_tasks_file, register

    tasks = [] if args.tasks_file is None else read_tasks_file(args.tasks_file)
    for task in tasks:
        register(task)
    return [task.name for task in tasks]


def is_dataset(name: str, environment: str | None) -> bool:
    """True if ``name`` is a Minari dataset such as ``me/logs-v0``, and no task.

    A name without a namespace, such as ``logs-v0``, is one where an environment is named, for
    D4RL's files are called like that too.
    """
    from envs.tasks import TASKS

    published = name.rpartition("-v")[0] in TASKS
    return "/" in name or (environment is not None and "-v" in environment and not published)


def draft(dataset: str, environment: str | None, args: OwnTasks) -> Task:
    """The task of a Minari dataset; without ``--reference`` a score is 100 times the return.

    Raises:
        InputError: the environment to score in is not named; or see ``envs.tasks.own_task``.
    """
    from envs.tasks import own_task

    if environment is None:
        raise InputError(
            f"name the gymnasium environment that is to score {dataset}: --environment NAME"
        )
    return own_task(dataset, environment, args.reference or (0.0, 1.0))


def add(dataset: str, environment: str | None, args: OwnTasks) -> Task:
    """`draft`, on the scale of ``--reference``, and known by its name from here on."""
    from envs.tasks import register

    task = draft(dataset, environment, args)
    if args.reference is None:
        raise InputError(
            "name the returns that score 0 and 100: --reference LOW HIGH; to have them proposed, "
            f"run: rl-or-bc audit {dataset} --environment {environment}"
        )
    register(task)
    return task


def resolve(name: str, args: Any) -> tuple[Task, str, str | None]:
    """The task that ``name`` says, its source, and the version of its environment, if asked for.

    Args:
        name: a task, or a Minari dataset of a user's own.
        args: `OwnTasks` with ``source`` and ``environment``.
    """
    from envs.sources import registry

    read_file(args)
    version = args.environment
    if is_dataset(name, args.environment):
        name, version = add(name, args.environment, args).name, None
    else:
        refuse_reference(args)
    return *registry.resolve(name, args.source), version


def refuse_reference(args: OwnTasks) -> None:
    """Refuse ``--reference`` of tasks that have theirs."""
    if args.reference is not None:
        raise InputError("--reference is for a Minari dataset of your own; leave it out")
