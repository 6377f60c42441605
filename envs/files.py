"""Files that appear whole or not at all, and locks; the one place that knows how.

Whatever is written goes into a folder of a random name that nobody else can enter, beside its
place, and from there to its place in one move. So two writers never share a name, and a symbolic
link that waits at a name is never written through: at the last move a link is replaced, and the
file that it points to, which is not ours, stays as it is. Links among the folders above are
followed, for users keep data and results on other disks that way. A write that changes nothing
writes nothing, so that what is finished can be looked at on a disk that is read-only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from envs.errors import InputError
from envs.spaces import Array

# No room (on the disk, in a quota, under a limit), no permission, a name that is no folder's or no
# file's, a disk that fails or is gone, or too many open files.
CANNOT_WRITE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE),
)
_NO_PERMISSION = (errno.EACCES, errno.EROFS, errno.EPERM)
# flock says this on a file system that has no locks, such as Lustre or NFS without a lock service.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

Report = Callable[[str], None]


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one move; nothing is written if that is there already."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    with replacing(path) as new, new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one move."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Replace ``path`` by ``arrays`` as ``.npz``."""
    # In memory first, for on a full disk zipfile raises and then complains once more.
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write a file or a folder, which takes the place of ``path`` at the end.

    A folder that is there goes away as the new one comes. Nothing is left if that fails.

    Raises:
        OSError: naming ``path``.
    """
    try:
        make_folder(path.parent)
        # A name is at most 255 bytes; eight more are drawn.
        prefix = f".{path.name}."[:200]
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=path.parent))
        try:
            new = folder / "new"  # no name that a search for files of its kind would find
            yield new
            if path.is_symlink() or path.is_dir():
                os.replace(path, folder / "old")
            os.replace(new, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        error.filename = str(path)
        raise


def make_folder(path: Path) -> None:
    """Make ``path`` and the folders above it, where they are not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # as below /proc, whose folders the kernel makes
        raise NotADirectoryError(errno.ENOTDIR, error.strerror, str(path)) from None


def remove(path: Path) -> None:
    """Remove what is at ``path``, a file, a folder, a link (but not its target) or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left in ``folder`` of what should have become ``name``.

    No other process may be writing there now.
    """
    for path in folder.glob(f".{name}.*tmp"):
        with contextlib.suppress(OSError):
            remove(path)


def ask_for_room(path: Path, num_bytes: int) -> None:
    """Refuse to begin what will not fit.

    Args:
        path: what is to be written; it or the nearest folder above it exists.
        num_bytes: what it takes at least.

    Raises:
        OSError: ``ENOSPC``, with both sizes.
    """
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < num_bytes:
        text = f"it takes {num_bytes / 1e3:,.0f} kB and {free / 1e3:,.0f} kB are free"
        raise OSError(errno.ENOSPC, text, str(path))
    # A quota or a limit on the size of files shows only where the room is taken.
    if existing.is_dir() and os.access(existing, os.W_OK) and hasattr(os, "posix_fallocate"):
        with tempfile.TemporaryFile(dir=existing) as taken:
            os.posix_fallocate(taken.fileno(), 0, num_bytes)


def open_regular(path: Path) -> BinaryIO:
    """Open ``path`` to read, never to wait.

    Raises:
        InputError: it is a pipe, a folder or a device.
        OSError: it cannot be opened.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{path} is not a file; remove what is there")
    return file


def read_json(path: Path) -> Any:
    """The JSON at ``path``.

    Raises:
        InputError: missing, not a file or not JSON.
    """
    try:
        with open_regular(path) as file:
            return json.loads(file.read())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of UTF-8, of JSON, of lists in lists in lists
        raise InputError(f"{path} is not JSON: {error}; restore or delete the file") from None


_held = threading.local()  # paths of the locks that this thread has
_noted: set[int] = set()  # file systems without locks that were reported


@contextlib.contextmanager
def locked(
    path: Path,
    name: str,
    report: Report,
    *,
    shared: bool = False,
    leftovers: str = "*",
) -> Iterator[None]:
    """Let one process at a time go on; the system frees the lock however it ends.

    Inside, the same thread may take it again. What killed processes left unfinished is removed.
    Where nothing can be written no lock is needed. Where the file system has no locks a note says
    so: names are unique there as well, but two runs may do the same work twice.

    Args:
        path: the file that is locked; it stays, for removing it would let two in.
        name: what is written, for people.
        report: told if another process has to be waited for.
        shared: whether others may read at the same time; no file is made then.
        leftovers: the name in the lock's folder whose leftovers are removed, or a pattern of names.

    Raises:
        InputError: a symbolic link is in its place.
        OSError: it cannot be made.
    """
    held: set[str] = _held.__dict__.setdefault("paths", set())
    key = os.path.abspath(path)
    if key in held:
        yield
        return
    with contextlib.ExitStack() as stack:
        opened = _open_shared(path) if shared else _open_lock(path)
        if opened is not None:
            number, how = opened
            stack.callback(os.close, number)
            if acquire(number, name, report, how) and how == fcntl.LOCK_EX:
                remove_leftovers(path.parent, leftovers)
        held.add(key)
        stack.callback(held.discard, key)
        yield


def acquire(
    number: int, name: str, report: Report = lambda line: None, how: int = fcntl.LOCK_EX
) -> bool:
    """Lock an open file, until it is closed.

    Args:
        number: of the file, as ``os.open`` gives it.
        name: what is written, for people.
        report: told if another process has to be waited for, or if there are no locks.
        how: ``fcntl.LOCK_EX`` to write, ``fcntl.LOCK_SH`` to read.

    Returns:
        whether it is locked; False where the file system has no locks.
    """
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
    except BlockingIOError:
        report(f"{name} is being written by another process; waiting for it")
        fcntl.flock(number, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        device = os.fstat(number).st_dev
        if device not in _noted and how == fcntl.LOCK_EX:
            report(f"no locks on the file system of {name}: run one command at a time there")
            _noted.add(device)
        return False
    return True


def open_own(path: Path) -> int:
    """Open ``path`` to read and append, made if it is not there and never emptied.

    Returns:
        its number, as ``os.open``.

    Raises:
        InputError: a symbolic link is in its place, or what is not a file.
        OSError: it cannot be made.
    """
    make_folder(path.parent)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        number = os.open(path, flags, 0o666)
    except OSError:
        if path.is_symlink():
            raise InputError(f"{path} is a symbolic link, which is not ours; remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise InputError(f"{path} is not a file; remove what is there")
    return number


def _open_lock(path: Path) -> tuple[int, int] | None:
    """The file to lock and how; None where nothing can be written and nobody has done so."""
    try:
        return open_own(path), fcntl.LOCK_EX
    except OSError as error:
        if error.errno not in _NO_PERMISSION:
            raise
    return _open_shared(path)


def _open_shared(path: Path) -> tuple[int, int] | None:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    return number, fcntl.LOCK_SH
