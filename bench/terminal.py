"""The border to the terminal: output that is closed, knows few characters or is a program's own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from envs.text import for_terminal

_STREAMS = {"stdout": 1, "stderr": 2}  # name in sys -> file descriptor


def prepare() -> None:
    """Let standard output and error take whatever is written to them.

    A closed one (``>&-``) loses what is written. One that cannot show a character, as under
    ``LANG=C``, shows its number.
    """
    for name, number in _STREAMS.items():
        stream = getattr(sys, name)
        if stream is None:
            try:
                os.fstat(number)
            except OSError:  # or the next file that is opened would get what C code prints
                _point_to_nothing(number)
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """Print ``line`` to standard error, fit for a terminal, if anybody still reads it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{for_terminal(line)}\n")


def leave() -> None:
    """Write what is still in memory, or drop it: Python would report what fails as it ends."""
    for name in _STREAMS:
        stream = getattr(sys, name)
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                _point_to_nothing(stream.fileno())


def forget_closed() -> None:
    """Drop what is written from now on to a terminal that was closed."""
    for number in _STREAMS.values():
        poll = select.poll()
        poll.register(number)
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            _point_to_nothing(number)


@contextlib.contextmanager
def reserved_output() -> Iterator[TextIO]:
    """Standard output for the caller alone, as a stream.

    What others print, such as the environments of users, goes to standard error: from Python, from
    C, and from processes that are started meanwhile.
    """
    usual = sys.stdout
    usual.flush()
    saved = os.dup(1)
    stream = os.fdopen(saved, "w", encoding="utf-8", closefd=False) if _is_file(usual, 1) else usual
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield stream
    finally:
        sys.stdout = usual
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).fflush(None)  # what C code has printed may still be in memory
        os.dup2(saved, 1)
        try:
            stream.flush()
        finally:
            os.close(saved)


def _is_file(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):  # a stream in memory
        return False


def _point_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.set_inheritable(number, True)
    if nothing != number:
        os.close(nothing)
