"""The border to files: whatever a file holds or a read raises, a reader gets data or one reason."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.errors import InputError
from envs.text import reason_of

_MOST_JSON = 100_000_000  # bytes; the bounds of an image of 1,000 x 1,000 x 3 pixels are fewer
# Another copy helps where the system gives one of these reasons.
_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


class Unreadable(Exception):
    """The reason why a file gives no data.

    Attributes:
        damaged: whether the content is to blame, so that another copy would help. Nobody is told
            to replace a file that may be sound.
    """

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        """Keep the reason as one line."""
        super().__init__(" ".join(reason.split()))
        self.damaged = damaged

    def with_fix(self, fix: str) -> str:
        """The reason, and ``fix`` where another copy would help."""
        return f"{self}; {fix}" if self.damaged else str(self)


@contextlib.contextmanager
def readable(what: str, fix: str) -> Iterator[None]:
    """Whatever is raised inside becomes one line that names ``what``.

    Args:
        what: the file or dataset that is read.
        fix: how to get another copy, which is said where that would help.

    Raises:
        InputError: with the reason.
    """
    try:
        with reading():
            yield
    except Unreadable as error:
        advice = f"; {fix}" if error.damaged else ""
        raise InputError(f"{what} cannot be read ({error}){advice}") from None


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Whatever is raised inside becomes ``Unreadable``, except what is meant for users already.

    h5py, pyarrow and numpy answer damaged bytes with errors of any type.
    """
    try:
        yield
    except (Unreadable, InputError):
        raise
    except Exception as error:
        raise _explain(error) from None


def file_size(path: Path) -> int:
    """Bytes of a file that can be opened without waiting.

    Raises:
        Unreadable: it is not there, no regular file, or may not be read.
    """
    with reading():
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            raise Unreadable(f"{path.name} is a pipe or a device, not a file")
        with path.open("rb"):
            return status.st_size


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        Unreadable: no file, larger than any metadata, nested too deeply, or not JSON.
    """
    if file_size(path) > _MOST_JSON:
        raise Unreadable(f"{path.name} is too large for metadata", damaged=True)
    with reading():
        return json.loads(path.read_text(encoding="utf-8"))


def require_memory(num_bytes: int) -> None:
    """Refuse data that this machine could not hold, before anything is allocated.

    Raises:
        Unreadable: how much there is, and how much there can be.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > memory:
        raise Unreadable(
            f"it would take {num_bytes / 1e9:,.0f} GB of memory, this machine has "
            f"{memory / 1e9:,.0f} GB"
        )


def _explain(error: Exception) -> Unreadable:
    """The reason behind what h5py, pyarrow, numpy, json or the system raised."""
    text = reason_of(error)
    if isinstance(error, MemoryError):
        return Unreadable("it does not fit into memory")
    if isinstance(error, RecursionError):
        return Unreadable("it is nested too deeply", damaged=True)
    if isinstance(error, OSError):
        number = error.errno or _errno_in(text)
        if "unable to lock file" in text and number in (errno.EAGAIN, errno.EACCES):
            return Unreadable("another program has it open for writing; close that, then try again")
        if number == errno.ENOENT:
            return Unreadable("it is not there", damaged=True)
        if number not in (None, errno.EINVAL):  # HDF5 seeks to where damaged bytes point
            return Unreadable(os.strerror(number), damaged=number in _NO_FILE)
        if "truncated" in text:
            return Unreadable("it was cut short", damaged=True)
        if "signature" in text:
            return Unreadable("it is no HDF5 file", damaged=True)
    return Unreadable(text, damaged=True)


def _errno_in(text: str) -> int | None:
    """HDF5 often has the system's error in its words alone."""
    match = re.search(r"\berrno = (\d+)", text)
    return int(match[1]) if match else None
