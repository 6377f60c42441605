"""The grid: cells = tasks x algorithms; skip what is done, run the rest, report what failed."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from algos.registry import ALGORITHMS, get_algorithm
from bench import cell as cells
from bench import results, table
from bench.cell import Cell, Settings
from bench.profiles import Profile
from envs.registry import TASKS, Task
from envs.scores import normalized_score
from envs.types import InputError


class Display(Protocol):
    """Where a grid tells a person how it goes."""

    def started(self, name: str, number: int, total: int) -> None:
        """A cell starts, the ``number``-th of ``total``."""
        ...

    def progress(self, step: int, total: int) -> None:
        """The running cell has done ``step`` of ``total`` gradient steps."""
        ...

    def finished(self, name: str, score: str) -> None:
        """A cell is done; ``score`` is ready to print."""
        ...

    def note(self, line: str) -> None:
        """Something worth a line."""
        ...


def plan(task: Task, algorithm: str, profile: Profile, source: str, **overrides: Any) -> Cell:
    """The cell of ``task`` and ``algorithm`` as ``profile`` has it.

    Args:
        task: the row.
        algorithm: the column.
        profile: sizes.
        source: where the data come from.
        overrides: ``config`` (a whole Config), ``num_seeds``, ``num_evaluations``,
            ``num_episodes``, ``scale``, each in place of the profile's unless None.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    size = profile.sizes[task.family]
    published = get_algorithm(algorithm).config(task.family)
    config = given["config"] if "config" in given else size.resize(published)
    num_evaluations = given.get("num_evaluations", size.num_evaluations)
    if num_evaluations < 1:
        raise InputError(f"num_evaluations must be at least 1, got {num_evaluations}")
    if config.num_steps % num_evaluations:
        raise InputError(
            f"num_steps {config.num_steps} is not divisible by num_evaluations {num_evaluations}"
        )
    return Cell(
        task=task,
        algorithm=algorithm,
        config=config,
        settings=Settings(
            source=source,
            scale=given.get("scale", size.scale),
            seeds=tuple(range(given.get("num_seeds", profile.num_seeds))),
            eval_interval=config.num_steps // num_evaluations,
            num_episodes=given.get("num_episodes", size.num_episodes),
        ),
    )


def run(
    planned: Sequence[Cell], profile_name: str, results_folder: Path, display: Display
) -> list[str]:
    """Run every cell that is not done and publish the tables.

    A cell that fails leaves its traceback in a file ``FAILED`` and an empty place in the table;
    the others go on.

    Args:
        planned: the cells, those of one task side by side.
        profile_name: names the folder of the tables.
        results_folder: root of all results.
        display: is told how it goes.

    Returns:
        one line per failed cell.

    Raises:
        bench.cell.Interrupted: Ctrl-C.
        OSError: nothing can be written any more.
    """
    rows, provenance, failures = [], {}, []
    for number, cell in enumerate(planned, start=1):
        display.started(cell.name, number, len(planned))
        try:
            folder = cells.run(cell, results_folder, progress=display.progress, report=display.note)
        except (InputError, OSError):
            raise
        except Exception as error:
            failures.append(_record_failure(cell, results_folder, error))
            display.note(failures[-1])
            continue
        cell_rows, facts = cells.read(folder)
        rows.append(cell_rows)
        provenance[cell.name] = facts
        display.finished(cell.name, summary_text(cell.task, cell_rows))
    if provenance:
        publish(
            pd.concat(rows), provenance, results_folder / planned[0].settings.source / profile_name
        )
    return failures


def publish(rows: pd.DataFrame, provenance: dict[str, Any], folder: Path) -> None:
    """Merge finished cells into ``folder`` and write its tables again."""
    order = [f"{task}/{algorithm}" for task in TASKS for algorithm in ALGORITHMS]
    results.publish(folder, rows, provenance, order)
    table.write(folder)


def summary_text(task: Task, rows: pd.DataFrame) -> str:
    """Mean and deviation over seeds of the last evaluation, as the table will show it."""
    last = rows[rows["step"] == rows["step"].max()]
    scores = normalized_score(last["return"].to_numpy(), task.reference_returns)
    by_seed = pd.Series(scores).groupby(last["seed"].to_numpy()).mean()
    deviation = f" ± {by_seed.std(ddof=1):.1f}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():.1f}{deviation}"


def _record_failure(cell: Cell, results_folder: Path, error: Exception) -> str:
    folder = cells.folder_of(cell, results_folder)
    results.write_text(folder / "FAILED", "".join(traceback.format_exception(error)))
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return f"{cell.name} failed: {reason[0][:200]} (traceback: {folder / 'FAILED'})"
