"""Signals to stop as a question between two pieces of work, so that nothing is cut in half."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from bench import terminal

Asked = Callable[[], bool]

# SIGTERM is what batch systems and service managers send before they kill, SIGHUP what a terminal
# sends that is closed.
SIGNALS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}

_first: list[int] = []  # the signal that asked first, since `asked_to_stop` began


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Turn the first of these signals into the answer True; a second one stops at once.

    SIGHUP stays ignored where it was, as ``nohup`` has it.
    """
    _first.clear()

    def handle(number: int, frame: Any) -> None:
        del frame
        _first.append(number)
        if number == signal.SIGHUP:
            terminal.forget_closed()
        for name in previous:
            signal.signal(name, SIGNALS[name])

    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [name for name in SIGNALS if not (ignored and name == signal.SIGHUP)]
    try:
        previous = {name: signal.signal(name, handle) for name in heard}
    except ValueError:  # not the main thread: signals go elsewhere
        yield lambda: False
        return
    try:
        yield lambda: bool(_first)
    finally:
        for name, usual in previous.items():
            signal.signal(name, usual)


def status() -> int:
    """The exit status of a program that was asked to stop, 128 and the signal, as shells have it.

    That of Ctrl-C where no `asked_to_stop` heard a signal.
    """
    return 128 + (_first[0] if _first else signal.SIGINT)
