"""Processes that work for another one, report to it and end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import TypeVar

from bench.display import Display
from bench.interrupt import SIGNALS, Asked

Work = TypeVar("Work")
Result = TypeVar("Result")

SPAWN = get_context("spawn")  # a forked JAX hangs


@contextlib.contextmanager
def passed_on(display: Display, asked: Asked) -> Iterator[tuple[Connection, Asked]]:
    """A pipe from other processes: ``(method, *arguments)`` sent there is called on ``display``.

    All of them write into the one pipe. It needs no lock, which a process that is killed could take
    with it, for what is sent is short: the system writes it whole or not at all.

    Args:
        display: is told what is sent. What it raises, as where its output was closed, is raised at
            the end.
        asked: whether to stop.

    Yields:
        the pipe's end to send to, and whether to stop: ``asked``, or ``display`` has failed.
    """
    received, events = SPAWN.Pipe(duplex=False)
    failures: list[BaseException] = []
    listener = threading.Thread(target=_tell, args=(received, display, failures), daemon=True)
    listener.start()
    try:
        yield events, lambda: bool(failures) or asked()
    finally:
        events.send(None)
        listener.join()
        received.close()
        events.close()
        if failures:
            raise failures[0]


class Flag:
    """Set here, seen in other processes; without a lock as well."""

    def __init__(self) -> None:
        """Not set yet."""
        self._value = SPAWN.RawValue("b", 0)

    def set(self) -> None:
        """Set it, for good."""
        self._value.value = 1

    def is_set(self) -> bool:
        """True if it was set."""
        return bool(self._value.value)


class Killed(Exception):
    """The process of a piece of work was killed; others are not touched by that."""


def side_by_side(
    take: Callable[[Work | None, list[Work]], Work | None],
    run: Callable[[Work], Result],
    start: Callable[[int], ProcessPoolExecutor],
    num_workers: int,
    asked: Asked,
    stop: Flag,
) -> Iterator[tuple[Work, Result | Exception]]:
    """Run pieces of work in processes, one at a time in each, and yield each as it ends.

    Args:
        take: (the last piece of a process that is free, those that run) -> its next one, or None
            if none is left.
        run: called with a piece of work, in a process.
        start: makes the process of that number, as a pool of one; again if it was killed.
        num_workers: processes.
        asked: whether to stop.
        stop: is set if so, and at the end.

    Yields:
        a piece of work, with its result or with what went wrong.

    Raises:
        KeyboardInterrupt: ``run`` raised it, which ``stop`` asks for; nothing runs any more.
    """
    pools = {worker: start(worker) for worker in range(num_workers)}
    running: dict[Future[Result], tuple[int, Work]] = {}
    last: dict[int, Work | None] = dict.fromkeys(pools)
    interrupted: BaseException | None = None
    try:
        while True:
            for worker in sorted(pools.keys() - {worker for worker, _ in running.values()}):
                work = None if asked() else take(last[worker], [w for _, w in running.values()])
                if work is None:
                    break
                last[worker] = work
                running[pools[worker].submit(run, work)] = (worker, work)
            if not running:
                break
            if asked():
                stop.set()
            # Short, because a signal is looked at between two waits.
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                worker, work = running.pop(future)
                error = future.exception()
                if isinstance(error, KeyboardInterrupt):
                    interrupted = error
                elif isinstance(error, BrokenProcessPool):
                    pools[worker].shutdown()
                    pools[worker] = start(worker)
                    yield work, Killed("its process was killed, perhaps for want of memory")
                elif isinstance(error, Exception):
                    yield work, error
                else:
                    yield work, future.result()
    finally:
        stop.set()
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)
    if interrupted:
        raise interrupted


def settle() -> None:
    """Leave signals to stop, which may reach all processes, to the parent, and end when it ends."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _tell(received: Connection, display: Display, failures: list[BaseException]) -> None:
    """Read on where ``display`` fails, for a pipe that is full stops whoever writes into it."""
    while (event := received.recv()) is not None:
        method, *arguments = event
        if not failures:
            try:
                getattr(display, method)(*arguments)
            except BaseException as error:  # rich ends with SystemExit where its output was closed
                failures.append(error)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
