"""The grid: plan cells, launch those that are not done, publish all of them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from algos.registry import ALGORITHMS
from bench import store
from bench.display import Display
from bench.interrupt import asked_to_stop
from bench.launch import here, processes
from bench.launch.launcher import Launcher
from bench.report import artifacts, formats, stats
from bench.run import cell as cells
from bench.run.plan import Cell, folder_of
from envs import files
from envs.errors import InputError
from envs.tasks import TASKS, Task

LAUNCHERS: dict[str, Launcher] = {"here": here.run, "processes": processes.run}


def run(
    planned: Sequence[Cell],
    profile_name: str,
    results_folder: Path,
    display: Display,
    num_workers: int = 1,
    keep: bool = False,
    rerun: bool = False,
) -> list[str]:
    """Run every cell that is not done and publish the tables.

    A cell that fails leaves its traceback in a file ``FAILED`` and an empty place in the table;
    the others go on.

    Args:
        planned: the cells, those of one task side by side.
        profile_name: names the folder of the tables.
        results_folder: root of all results.
        display: is told how it goes.
        num_workers: cells that run at a time; 1 runs them in this process.
        keep: leave out cells that the table has, of the same settings, data and versions.
        rerun: run again what other code than today's has made of these cells.

    Returns:
        one line per failed cell.

    Raises:
        bench.run.cell.Interrupted: Ctrl-C, after running cells were checkpointed.
        OSError: nothing can be written any more.
        InputError: a cell's data or files cannot be used.
    """
    folder = results_folder / planned[0].settings.source / profile_name
    rows, tracks, provenance, failures, stale = [], [], {}, [], []
    kept = _published(planned, folder, results_folder) if keep else []
    for cell in kept:
        display.started(cell.title)
        display.finished(cell.title, "in the table")
    planned = [cell for cell in planned if cell not in kept]
    try:
        # Closed, so that workers end before the tables are written.
        with contextlib.closing(
            launch(planned, results_folder, display, num_workers, rerun)
        ) as ended:
            for cell, outcome in ended:
                if isinstance(outcome, str):
                    failures.append(outcome)
                    continue
                seeds = cell.settings.seeds
                cell_rows, provenance[cell.name] = cells.read(outcome, seeds)
                rows.append(cell_rows)
                tracks += [cells.read_tracks(outcome, seeds)] if cell.task.kind.has_goals else []
                if not cells.is_of_todays_code(outcome, seeds):
                    stale.append(outcome)
    finally:
        # Whatever ended the grid, cells that are done are in its tables.
        if provenance:
            # Another grid may publish other cells of the same table: neither may undo the other's.
            with store.writing(folder, display.note):
                publish(pd.concat(rows), provenance, folder, pd.concat(tracks) if tracks else None)
    if stale:
        display.note(
            f"cells of other code than today's: {len(stale)}, such as {stale[0]}; they stay as "
            "they are, and --rerun trains them again"
        )
    return failures


def launch(
    planned: Sequence[Cell],
    results_folder: Path,
    display: Display,
    num_workers: int = 1,
    rerun: bool = False,
) -> Generator[tuple[Cell, Path | str], None, None]:
    """Run every cell that is not done, and tell ``display`` how each ended.

    Args:
        planned: as of `run`.
        results_folder: as of `run`.
        display: as of `run`.
        num_workers: as of `run`.
        rerun: as of `run`.

    Yields:
        a cell that has ended, with its folder, or with a line where it failed.

    Raises:
        bench.run.cell.Interrupted: as `run`.
        OSError: as `run`.
        InputError: as `run`.
    """
    for cell in planned if rerun else ():
        cells.forget_other_code(cell, results_folder, display.note)
    num_workers = min(num_workers, len(planned))
    with asked_to_stop() as asked:
        outcomes = LAUNCHERS["processes" if num_workers > 1 else "here"](
            planned, display, results_folder=results_folder, asked=asked, num_workers=num_workers
        )
        with contextlib.closing(outcomes):
            for cell, outcome in outcomes:
                if isinstance(outcome, InputError):
                    raise outcome
                if isinstance(outcome, OSError) and outcome.errno in files.CANNOT_WRITE:
                    raise outcome
                if isinstance(outcome, Exception):
                    failure = _record_failure(cell, results_folder, outcome)
                    display.failed(cell.title, failure)
                    yield cell, failure
                else:
                    rows, _ = cells.read(outcome, cell.settings.seeds)
                    display.finished(cell.title, summary_text(cell.task, rows))
                    yield cell, outcome


def _published(planned: Sequence[Cell], folder: Path, results_folder: Path) -> list[Cell]:
    """The cells of ``planned`` whose rows, of all their seeds, are in the table of ``folder``."""
    path = folder / "provenance.json"
    known = store.read_provenance(path) if path.exists() else {}
    return [
        cell
        for cell in planned
        if cell.name in known
        and known[cell.name]["hash"] == folder_of(cell, results_folder).name
        and set(cell.settings.seeds) <= set(known[cell.name]["settings"]["seeds"])
    ]


def publish(
    rows: pd.DataFrame, provenance: dict[str, Any], folder: Path, tracks: pd.DataFrame | None
) -> None:
    """Merge finished cells and the audits of their data into ``folder``, and write its tables."""
    order = [f"{task}/{algorithm}" for task in TASKS for algorithm in ALGORITHMS]
    facts = {name: dict(cell) for name, cell in provenance.items()}
    audits = {store.data_name(cell): cell.pop("audit", None) for cell in facts.values()}
    store.publish(folder, rows, facts, order, tracks)
    store.publish_audits(folder, {name: found for name, found in audits.items() if found})
    artifacts.write(folder, formats.build)


def summary_text(task: Task, rows: pd.DataFrame) -> str:
    """Mean and deviation over seeds of the last evaluation, as the table will show it."""
    by_seed = stats.last(stats.evaluations(rows, task.reference_returns))
    deviation = f" ± {by_seed.std(ddof=1):.1f}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():z.1f}{deviation}"


def _record_failure(cell: Cell, results_folder: Path, error: Exception) -> str:
    folder = cells.failed_in(cell, results_folder)
    files.write_text(folder / "FAILED", "".join(traceback.format_exception(error)))
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return f"{cell.title} failed: {reason[0][:500]} (traceback: {folder / 'FAILED'})"
