"""What processes that work for another one need: reports to it, and an end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection

from bench.display import Display
from bench.interrupt import SIGNALS

SPAWN = get_context("spawn")  # a forked JAX hangs


@contextlib.contextmanager
def passed_on(display: Display) -> Iterator[Connection]:
    """A pipe from other processes: ``(method, *arguments)`` sent there is called on ``display``.

    All of them write into the one pipe. It needs no lock, which a process that is killed could take
    with it, for what is sent is short: the system writes it whole or not at all.
    """
    received, events = SPAWN.Pipe(duplex=False)
    listener = threading.Thread(target=_tell, args=(received, display), daemon=True)
    listener.start()
    try:
        yield events
    finally:
        events.send(None)
        listener.join()
        received.close()
        events.close()


class Flag:
    """Set here, seen in other processes; without a lock as well."""

    def __init__(self) -> None:
        """Not set yet."""
        self._value = SPAWN.RawValue("b", 0)

    def set(self) -> None:
        """Set it, for good."""
        self._value.value = 1

    def is_set(self) -> bool:
        """Whether it was set."""
        return bool(self._value.value)


def settle() -> None:
    """Leave signals to stop, which may reach all processes, to the parent, and end when it ends."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _tell(received: Connection, display: Display) -> None:
    while (event := received.recv()) is not None:
        method, *arguments = event
        getattr(display, method)(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
