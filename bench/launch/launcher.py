"""The interface of launchers, a file of this package each; ``bench.grid`` has their table.

A launcher is called with planned cells and a display, and yields each cell as it ends with its
outcome: its folder below the results, or what went wrong. What else it is called with is in
`Launcher`. One that starts jobs elsewhere can send a cell as JSON: see ``bench.run.plan.to_json``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

from bench.display import Display
from bench.interrupt import Asked
from bench.run.plan import Cell

Outcomes = Generator[tuple[Cell, Path | Exception], None, None]


class Launcher(Protocol):
    """Runs cells, here or elsewhere."""

    def __call__(
        self,
        planned: Sequence[Cell],
        display: Display,
        *,
        results_folder: Path,
        asked: Asked,
        num_workers: int,
    ) -> Outcomes:
        """Run ``planned``, those of one task side by side, and yield each as it ends.

        Args:
            planned: the cells.
            display: is told how it goes; the caller tells it how each cell ended.
            results_folder: root of all results, where each cell's folder is written.
            asked: whether to stop; running cells are then checkpointed.
            num_workers: cells at a time.

        Yields:
            a cell, with its finished folder or with what went wrong.

        Raises:
            bench.run.cell.Interrupted: ``asked`` said so; no cell is running any more.
        """
        ...
