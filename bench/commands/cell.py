"""``rl-or-bc cell``."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bench import devices
from bench.commands.data import have_data
from bench.commands.grid import prepare
from bench.commands.options import MethodsFile
from bench.commands.showing import fail
from bench.places import LOCAL
from envs.text import for_terminal

if TYPE_CHECKING:
    from bench.run.plan import Cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Run one cell that was planned, as a job of a cluster does."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """one of those that rl-or-bc grid --plan wrote"""
    methods_file: MethodsFile = None
    results: Path = LOCAL
    """root of your results; jobs may share it"""


def run(args: Arguments) -> int:
    """Run the cell of a file."""
    from algos.registry import add_file
    from bench.run.plan import from_json
    from envs.errors import InputError
    from envs.files import read_json

    if args.methods_file:
        add_file(args.methods_file)
    described = read_json(args.file)
    try:
        cell = from_json(described)
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from None
    return run_one(cell, args.results)


def run_one(cell: Cell, results_folder: Path, rerun: bool = False) -> int:
    """Run one cell beside no other, and say where its rows are.

    Args:
        cell: what to run.
        results_folder: root of all results.
        rerun: train again what other code than today's has made of it.
    """
    from bench import grid
    from bench.display import Bars
    from bench.interrupt import asked_to_stop
    from bench.run import cell as cells

    devices.describe()
    if missing := have_data([cell], Bars):
        return fail(missing.values())
    prepare(results_folder)
    with Bars("cells", 1) as bars, asked_to_stop() as asked:
        if rerun:
            cells.forget_other_code(cell, results_folder, bars.note)
        bars.started(cell.title)
        folder = cells.run(
            cell,
            results_folder,
            asked=asked,
            progress=partial(bars.progress, cell.title),
            scored=partial(bars.scored, cell.title),
            report=bars.note,
        )
        rows, _ = cells.read(folder, cell.settings.seeds)
        bars.finished(cell.title, grid.summary_text(cell.task, rows))
    print(for_terminal(f"raw returns and provenance: {folder}"))
    return 0
