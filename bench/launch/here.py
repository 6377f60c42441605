"""Cells one after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.display import Display
from bench.interrupt import Asked
from bench.launch.launcher import Outcomes
from bench.run import cell as cells
from bench.run.plan import Cell


def run(
    planned: Sequence[Cell],
    display: Display,
    *,
    results_folder: Path,
    asked: Asked,
    num_workers: int,
) -> Outcomes:
    """Run the cells in their order, one at a time; see `bench.launch.launcher.Launcher`."""
    del num_workers  # one
    for cell in planned:
        display.started(cell.title)
        try:
            folder = cells.run(
                cell,
                results_folder,
                asked=asked,
                progress=partial(display.progress, cell.title),
                scored=partial(display.scored, cell.title),
                report=display.note,
            )
        except Exception as error:
            yield cell, error
        else:
            yield cell, folder
