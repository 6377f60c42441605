"""The data and the environment of a cell; data are read and audited once."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from bench.run import baselines
from bench.run.evaluate import describe
from bench.run.plan import Cell
from envs.dataset import Dataset
from envs.environment import Environment
from envs.errors import Fault, InputError
from envs.sources.registry import environment, load
from envs.spaces import Space
from envs.tasks import Task


def load_once(cell: Cell) -> Dataset:
    """The cell's data, read once for all cells that follow each other on them."""
    settings = cell.settings
    return _load_once(cell.task, settings.source, settings.scale, cell.data["hash"])[0]


def audit_once(cell: Cell) -> dict[str, Any]:
    """The audit of the cell's data by ``bench.run.baselines.audited``, made once for many cells."""
    settings = cell.settings
    made_of = (cell.task, settings.source, settings.scale, cell.version)
    return _audit_once(*made_of, cell.data["hash"])


def kind_of_actions(task: Task, source: str) -> type[Space] | None:
    """The kind of a task's action space.

    None where its environment cannot be made. What is wrong is said when the lanes are made.
    """
    if task.kind.actions is not None:
        return task.kind.actions
    with contextlib.suppress(Exception, SystemExit):
        return type(environment(task, source).spec.action)
    return None


def make_lanes(cell: Cell, num_envs: int) -> Environment:
    """``num_envs`` lanes of the environment that scores the cell, to be closed after use.

    Raises:
        Fault: it cannot be made, for whatever reason of its own.
    """
    try:
        return cell.world.make(num_envs, None)
    except (Exception, SystemExit) as error:
        made = f"environment {cell.world.gymnasium_id} cannot be made: {describe(error)}"
        reason = str(error) if isinstance(error, InputError) else made
        raise Fault(f"{cell.task.name} cannot be scored: {reason}") from error


@functools.lru_cache(maxsize=1)
def _load_once(
    task: Task, source: str, scale: float, dataset_hash: str
) -> tuple[Dataset, dict[str, Any]]:
    del dataset_hash  # of files that may change while this process lives
    return load(task, source, scale)


@functools.lru_cache(maxsize=1)
def _audit_once(
    task: Task, source: str, scale: float, version: str | None, dataset_hash: str
) -> dict[str, Any]:
    loaded = _load_once(task, source, scale, dataset_hash)
    return baselines.audited(task, source, scale, version, loaded)
