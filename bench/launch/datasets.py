"""Regenerated datasets side by side, a process for each: half of making one uses one processor."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import Connection

from bench.display import Display
from bench.interrupt import asked_to_stop
from bench.launch.pool import SPAWN, Flag, Killed, passed_on, settle, side_by_side
from envs.collect.make import make
from envs.recipes import Recipe
from envs.worlds.simulate import num_processors


def make_all(recipes: Sequence[Recipe], overwrite: bool, display: Display) -> dict[str, str]:
    """Make every dataset of ``recipes`` that is not there.

    A process that is killed takes its own dataset alone with it.

    Args:
        recipes: what to make.
        overwrite: make datasets again that are there.
        display: is told how it goes.

    Returns:
        task -> a line, of each dataset that could not be made.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was collected is kept for the next time.
        InputError: a dataset is half written or of another recipe.
        OSError: it cannot be written.
    """
    num_workers = min(num_processors(), len(recipes))
    if num_workers == 1:
        for recipe in recipes:
            name = recipe.task.name
            display.started(name)
            progress = partial(display.progress, name, total=recipe.num_rows)
            made = make(recipe, overwrite=overwrite, progress=progress, report=display.note)
            display.finished(name, _outcome(recipe, made))
        return {}
    with asked_to_stop() as heard, passed_on(display, heard) as (events, asked):
        stop, todo = Flag(), list(recipes)
        failures: dict[str, str] = {}

        def start(worker: int) -> ProcessPoolExecutor:
            del worker  # all are alike
            return ProcessPoolExecutor(1, SPAWN, initializer=_begin, initargs=(stop, events))

        def take(last: Recipe | None, running: list[Recipe]) -> Recipe | None:
            del last, running  # any will do
            if not todo:
                return None
            display.started(todo[0].task.name)
            return todo.pop(0)

        make_one = partial(_make, overwrite=overwrite)
        for recipe, outcome in side_by_side(take, make_one, start, num_workers, asked, stop):
            name = recipe.task.name
            if isinstance(outcome, Killed):
                failures[name] = f"the dataset of {name} was not made: {outcome}"
                display.failed(name, failures[name])
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                display.finished(name, _outcome(recipe, outcome))
        if todo:
            raise KeyboardInterrupt("between two datasets")
    return failures


def _outcome(recipe: Recipe, made: bool) -> str:
    return f"{recipe.num_rows:,} rows" if made else "there already"


# A process keeps these from its start to its end.
_stop: Flag
_events: Connection


def _begin(stop: Flag, events: Connection) -> None:
    global _stop, _events
    settle()
    _stop, _events = stop, events


def _make(recipe: Recipe, overwrite: bool) -> bool:
    def progress(rows: int) -> None:
        if _stop.is_set():
            raise KeyboardInterrupt(f"making {recipe.task.name}")
        _events.send(("progress", recipe.task.name, rows, recipe.num_rows))

    progress(0)
    report = lambda line: _events.send(("note", line))
    return make(recipe, overwrite=overwrite, num_threads=1, progress=progress, report=report)
