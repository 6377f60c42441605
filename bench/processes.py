"""What processes that work for another one need: reports to it, and an end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import get_context, parent_process
from typing import Any

from bench.display import Display

SPAWN = get_context("spawn")  # a forked JAX hangs


@contextlib.contextmanager
def passed_on(display: Display) -> Iterator[Any]:
    """A queue for other processes: ``(method, *arguments)`` put there is called on ``display``."""
    events: Any = SPAWN.Queue()
    listener = threading.Thread(target=_tell, args=(events, display), daemon=True)
    listener.start()
    try:
        yield events
    finally:
        events.put(None)
        listener.join()


def settle() -> None:
    """Leave Ctrl-C, which reaches all processes, to the parent, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _tell(events: Any, display: Display) -> None:
    while (event := events.get()) is not None:
        method, *arguments = event
        getattr(display, method)(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
