"""Regenerated datasets side by side, a process for each: half of making one uses one processor."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing.connection import Connection

from bench.display import Display
from bench.interrupt import asked_to_stop
from bench.processes import SPAWN, Flag, passed_on, settle
from envs.behaviour.recipes import Recipe
from envs.datasets.make import make
from envs.simulate import num_processors


class _Stopped(Exception):
    """Asked to stop between two blocks of episodes."""


def make_all(recipes: Sequence[Recipe], overwrite: bool, display: Display) -> None:
    """Make every dataset of ``recipes`` that is not there.

    Args:
        recipes: what to make.
        overwrite: make datasets again that are there.
        display: is told how it goes.

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
            display.finished(
                name, _outcome(recipe, make(recipe, overwrite=overwrite, progress=progress))
            )
        return
    stop = Flag()
    with asked_to_stop() as asked, passed_on(display) as events:
        pool = ProcessPoolExecutor(num_workers, SPAWN, initializer=_begin, initargs=(stop, events))
        try:
            futures: dict[Future[bool], Recipe] = {
                pool.submit(_make, recipe, overwrite): recipe for recipe in recipes
            }
            while futures:
                if asked():
                    stop.set()
                # Short, because a signal is looked at between two waits.
                done, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    recipe = futures.pop(future)
                    try:
                        made = future.result()
                    except _Stopped:
                        raise KeyboardInterrupt(f"making {recipe.task.name}") from None
                    events.send(("finished", recipe.task.name, _outcome(recipe, made)))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _outcome(recipe: Recipe, made: bool) -> str:
    return f"{recipe.num_rows:,} rows" if made else "there already"


# What a process needs from its start to its end.
_stop: Flag
_events: Connection


def _begin(stop: Flag, events: Connection) -> None:
    global _stop, _events
    settle()
    _stop, _events = stop, events


def _make(recipe: Recipe, overwrite: bool) -> bool:
    def progress(rows: int) -> None:
        if _stop.is_set():
            raise _Stopped
        _events.send(("progress", recipe.task.name, rows, recipe.num_rows))

    progress(0)
    _events.send(("started", recipe.task.name))
    return make(recipe, overwrite=overwrite, num_threads=1, progress=progress)
