"""Ctrl-C and SIGTERM as a question between two pieces of work, so that nothing is cut in half."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

Asked = Callable[[], bool]

# SIGTERM is what batch systems and service managers send before they kill.
SIGNALS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Turn the first of these signals into the answer True; a second one stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: Any) -> None:
        del frame
        asked.append(number)
        for name, usual in SIGNALS.items():
            signal.signal(name, usual)

    try:
        previous = {name: signal.signal(name, handle) for name in SIGNALS}
    except ValueError:  # not the main thread: signals go elsewhere
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        for name, usual in previous.items():
            signal.signal(name, usual)
