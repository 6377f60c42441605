"""Ctrl-C as a question to ask between two pieces of work, so that nothing is cut in half."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

Asked = Callable[[], bool]


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Turn the first Ctrl-C into the answer True; a second one stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: Any) -> None:
        del frame
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        previous = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread: signals go elsewhere
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, previous)
