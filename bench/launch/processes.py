"""Cells side by side: each in a process of its own, on processors of its own.

The networks are small: one cell cannot keep two processors busy, two cells can. Measured on two
cores with IQL, two cells of one thread each against one cell of two: 1.9 times the updates a second
for 3 seeds of 2 x 64, batch 64, and 1.1 times for one seed of 2 x 256, batch 256.

On a GPU they share the device as processes too, not as one program with the seeds of several cells:
another number of seeds may round otherwise, and a cell's numbers must not depend on its company.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import jax
import numpy as np

from bench.display import Display
from bench.interrupt import Asked
from bench.launch.launcher import Outcomes
from bench.launch.pool import SPAWN, Flag, passed_on, settle, side_by_side
from bench.run import cell as cells
from bench.run.plan import Cell
from bench.run.programs import keep_compiled_programs
from envs.worlds.simulate import num_processors

BYTES_PER_WORKER = 2 << 30  # JAX, compiled programs and one dataset

# A process takes this share of a GPU as it starts: today's variable and the former one. Without
# them the first worker would take JAX's 0.75 and leave nothing to the others.
MEMORY_FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


def default_number() -> int:
    """A worker for each processor this process may use, as far as memory goes; 1 on a GPU or TPU.

    Whether cells side by side pay on an accelerator was not measured, and where processes cannot be
    pinned, as on macOS, two of them would only be in each other's way.
    """
    if jax.default_backend() != "cpu" or not hasattr(os, "sched_getaffinity"):
        return 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(num_processors(), memory // BYTES_PER_WORKER))


def run(
    planned: Sequence[Cell],
    display: Display,
    *,
    results_folder: Path,
    asked: Asked,
    num_workers: int,
) -> Outcomes:
    """Run cells on ``num_workers`` processes; see `bench.launch.launcher.Launcher`.

    A worker takes the cells of one task one after the other.
    """
    with passed_on(display, asked) as (events, stopping):
        yield from _run_all(planned, results_folder, display, num_workers, stopping, events)


def _run_all(
    planned: Sequence[Cell],
    results_folder: Path,
    display: Display,
    num_workers: int,
    asked: Asked,
    events: Connection,
) -> Outcomes:
    stop = Flag()
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    shares = [share.tolist() for share in np.array_split(processors, num_workers)]
    shares = [share or processors for share in shares]  # more workers than processors
    todo = _Todo(planned)

    def start(worker: int) -> ProcessPoolExecutor:
        arguments = (shares[worker], num_workers, stop, events)
        return ProcessPoolExecutor(1, SPAWN, initializer=_begin, initargs=arguments)

    def take(last: Cell | None, running: list[Cell]) -> Cell | None:
        if not todo.left:
            return None
        cell = todo.take(last, running)
        display.started(cell.title)
        return cell

    run_one = partial(_run, results_folder=results_folder)
    yield from side_by_side(take, run_one, start, num_workers, asked, stop)
    if todo.left:
        raise cells.Interrupted("between two cells")


class _Todo:
    """Cells that no worker has taken, by task."""

    def __init__(self, planned: Sequence[Cell]) -> None:
        self._tasks: dict[str, deque[Cell]] = {}
        for cell in planned:
            self._tasks.setdefault(cell.task.name, deque()).append(cell)

    @property
    def left(self) -> bool:
        """True if there is a cell to take."""
        return any(self._tasks.values())

    def take(self, last: Cell | None, running: Sequence[Cell]) -> Cell:
        """The next cell for a worker that had ``last``.

        The task it was on, whose data it has read; else a task nobody is on, best in an
        environment nobody is in, so that no two workers compile the same programs; else the task
        that will take longest.
        """
        if last is not None and self._tasks.get(last.task.name):
            return self._tasks[last.task.name].popleft()
        tasks = {cell.task.name for cell in running}
        environments = {cell.task.gymnasium_id for cell in running}
        best = min(
            filter(None, self._tasks.values()),
            key=lambda left: (
                left[0].task.name in tasks,
                left[0].task.gymnasium_id in environments,
                -len(left),
            ),
        )
        return best.popleft()


# A worker process keeps these from its start to its end.
_asked: Asked = lambda: False
_events: Connection


def _begin(processors: list[int], num_workers: int, stop: Flag, events: Connection) -> None:
    """Settle in a new process, before JAX counts the processors and takes a GPU's memory."""
    global _asked, _events
    settle()
    if not any(name in os.environ for name in MEMORY_FRACTIONS):
        os.environ[MEMORY_FRACTIONS[0]] = f"{0.75 / num_workers:.3f}"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)
    keep_compiled_programs()
    _asked, _events = stop.is_set, events


def _run(cell: Cell, results_folder: Path) -> Path:
    return cells.run(
        cell,
        results_folder,
        asked=_asked,
        progress=lambda step, total: _events.send(("progress", cell.title, step, total)),
        scored=lambda score: _events.send(("scored", cell.title, score)),
        report=lambda line: _events.send(("note", line)),
    )
