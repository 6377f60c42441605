"""HDF5 files, each array of which lies in the file itself, whole.

HDF5 lets an array be another file's: by a link, as raw bytes, or put together of several. A file
from elsewhere could then show any file of this machine, and its checksum would not cover what is
read. Nothing of that kind is followed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py

from envs.files import NO_LOCKS
from envs.sources.reading import Unreadable, file_size, reading, require_memory
from envs.spaces import Array

NUMBERS = "bfiu"  # kinds of numpy types: boolean, floating, signed, unsigned


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises:
        Unreadable: missing, no regular file, empty, cut or damaged, open for writing elsewhere; or
            any other error that is raised while it is open.
    """
    if file_size(path) == 0:
        raise Unreadable("it is empty", damaged=True)
    with reading(), _opened(path) as file:
        yield file


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        # A file system without locks is no reason not to read.
        if error.errno not in NO_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)


def find(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """The member ``name`` of ``group`` itself, one level down; None if there is none.

    Raises:
        Unreadable: it is a link to elsewhere, or has a second name.
    """
    if not isinstance(name, str):
        raise Unreadable(f"it has a name that is no text in UTF-8: {name!r}", damaged=True)
    links, key = group.id.links, name.encode()
    if not links.exists(key):
        return None
    if links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise Unreadable(f"{name} is a link to elsewhere, which is not followed; store the data")
    child = group[name]
    if not isinstance(child, (h5py.Group, h5py.Dataset)):
        return None
    if h5py.h5o.get_info(child.id).rc != 1:
        raise Unreadable(f"{name} is a second name of other data; store each array once")
    return child


def require_numbers(array: h5py.Dataset, name: str) -> None:
    """Refuse an array that is not numbers, not in the file, or not all there.

    Raises:
        Unreadable: naming the array and what is wrong.
    """
    shape, kind, chunks = array.shape, array.dtype, array.chunks
    if kind.kind not in NUMBERS or not shape:
        raise Unreadable(f"{name} holds {kind} of shape {shape}, expected numbers")
    num_bytes = math.prod(shape) * kind.itemsize
    layout = array.id.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise Unreadable(
            f"{name} is kept in other files, which are not read; store its values in this one"
        )
    for position in range(layout.get_nfilters()):
        code, _, _, title = layout.get_filter(position)
        if not h5py.h5z.filter_avail(code):
            filter_name = title.decode(errors="replace") or code
            raise Unreadable(
                f"{name} is compressed by {filter_name}, which is not installed; use gzip"
            )
    if chunks:
        sizes = zip(shape, chunks, strict=True)
        whole = array.id.get_num_chunks() == math.prod([-(-n // chunk) for n, chunk in sizes])
    else:
        whole = array.id.get_storage_size() >= num_bytes
    if not whole:
        raise Unreadable(
            f"{name} has {shape[0]:,} rows by its header, but the file does not hold them all",
            damaged=True,
        )
    require_memory(num_bytes)


def read(array: h5py.Dataset, name: str) -> Array:
    """The array's values in their own type; see ``require_numbers`` for errors."""
    require_numbers(array, name)
    values: Array = array[()]
    return values
