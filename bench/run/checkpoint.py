"""Checkpoints: (states, phase, step) is all a resume needs, since no random state is carried.

``<phase>-<step>/`` holds the states, and ``<phase>-<step>.json``, written after them, the SHA-256
of every file: orbax finds a file that is cut, but not always one whose bytes have changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as orbax

from algos import core
from envs import files
from envs.errors import InputError

KEPT = 2  # the newest, and the one before in case the newest cannot be read
FORMAT = 1  # rises when older checkpoints can no longer be gone on from

# Room that is asked for before orbax writes: what the arrays take, and what it adds to each and to
# all of them.
_BYTES_PER_ARRAY, _BYTES_MORE = 1 << 10, 64 << 10
# tensorstore and Python give the system's reason in these forms.
_REASON = re.compile(r"os_error_code='(\d+)'|\[Errno (\d+)\]")

# Orbax reports every file it writes, and each of its threads reports what `save` raises.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Unusable(Exception):
    """A checkpoint cannot be used; the message says why."""


def save(folder: Path, states: core.State, phase: int, step: int) -> None:
    """Write ``folder/<phase>-<step>``, whole or not at all, and keep the newest ``KEPT`` only."""
    files.remove_leftovers(folder)
    write(folder / f"{phase}-{step}", states)
    for _, _, old in _list(folder)[KEPT:]:
        _remove(old)


def load(
    folder: Path, like: core.State, report: Callable[[str], None]
) -> tuple[core.State, int, int] | None:
    """(states, phase, step) of the newest checkpoint that can be used; None if there is none.

    Those that cannot are removed.

    Args:
        folder: where ``save`` wrote.
        like: states of the same structure, for shapes, dtypes and devices.
        report: told which checkpoints could not be used, why, and what is done instead.
    """
    if folder.is_symlink():
        folder.unlink()  # we make folders, and what a link leads to is not ours to change
    found = _list(folder)
    for index, (phase, step, path) in enumerate(found):
        try:
            return read(path, like), phase, step
        except Unusable as error:
            older = index + 1 < len(found)
            instead = "going back to the one before" if older else "the cell starts from nothing"
            report(f"checkpoint {path} cannot be used ({error}); {instead}")
            _remove(path)
    return None


def write(path: Path, states: core.State) -> None:
    """Write ``states`` to the folder ``path`` and their digests beside it, whole or not at all."""
    leaves = jax.tree.leaves(states)
    with files.replacing(path) as new:
        size = sum(leaf.nbytes + _BYTES_PER_ARRAY for leaf in leaves) + _BYTES_MORE
        files.ask_for_room(new, size)
        _write(new, states)
    files.write_json(_manifest(path), _written_by(states) | {"files": _digests(path)})


def read(path: Path, like: core.State) -> core.State:
    """The states that `write` wrote.

    Args:
        path: the folder.
        like: states of the same structure, for shapes, dtypes and devices.

    Raises:
        Unusable: they cannot be read, or are not what was written.
    """
    reason = _defect(path, _written_by(like))
    if reason:
        raise Unusable(reason)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
    )
    try:
        return orbax.load(path.absolute(), abstract)
    except Exception as error:  # orbax, tensorstore and files each raise their own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Unusable(lines[0][:200]) from error


def keep(folder: Path, copy: Path) -> None:
    """Copy the checkpoints of ``folder`` to ``copy``, unless older ones are there, or none here."""
    if folder.exists() and not copy.exists():
        with files.replacing(copy) as new:
            for path in filter(Path.is_file, folder.rglob("*")):
                files.write_bytes(new / path.relative_to(folder), path.read_bytes())


def _write(path: Path, states: core.State) -> None:
    """Write ``states`` to the folder ``path``.

    Raises:
        OSError: it cannot be written, although there was room for it before.
    """
    usual = sys.unraisablehook
    # After a failure tensorstore's threads end later than orbax and print an error each.
    sys.unraisablehook = lambda error: usual(error) if _is_main_thread() else None
    try:
        orbax.save(path.absolute(), states)  # it takes absolute paths only
        sys.unraisablehook = usual
    except Exception as error:  # orbax and tensorstore each raise their own
        # One of its threads may have met the reason, and another no more than its consequences.
        text = "".join(traceback.format_exception(error))
        numbers = [int(one or other) for one, other in _REASON.findall(text)]
        for number in filter(files.CANNOT_WRITE.__contains__, numbers):
            raise OSError(number, os.strerror(number)) from error
        raise


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _defect(path: Path, written_by: dict[str, Any]) -> str:
    """Why the checkpoint is not one that ``written_by`` wrote; empty if it is."""
    try:
        manifest = files.read_json(_manifest(path))
    except InputError:
        return "its list of files is missing or damaged"
    if not isinstance(manifest, dict):
        return "its list of files is damaged"
    for name, ours in written_by.items():
        if manifest.get(name) != ours:
            return f"written with {name} {manifest.get(name)}, this is {ours}"
    expected, found = manifest.get("files"), _digests(path)
    if expected == found or not isinstance(expected, dict):
        return "" if expected == found else "its list of files is damaged"
    names = sorted(expected.keys() | found.keys())
    wrong = next(name for name in names if expected.get(name) != found.get(name))
    return f"{wrong} is not what was written"


def _written_by(states: core.State) -> dict[str, Any]:
    leaves, _ = jax.tree.flatten_with_path(states)
    arrays = [f"{jax.tree_util.keystr(path)} {x.dtype}{list(x.shape)}" for path, x in leaves]
    digest = hashlib.sha256("\n".join(arrays).encode()).hexdigest()[:12]
    return {"format": FORMAT, "orbax": version("orbax-checkpoint"), "arrays": digest}


def _digests(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    digest = lambda file: hashlib.sha256(file.read_bytes()).hexdigest()
    return {file.relative_to(path).as_posix(): digest(file) for file in files}


def _manifest(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _remove(path: Path) -> None:
    files.remove(_manifest(path))
    files.remove(path)


def _list(folder: Path) -> list[tuple[int, int, Path]]:
    """(phase, step, path), newest first; unfinished writes have other names."""
    found = []
    for path in folder.glob("*-*"):
        phase, _, step = path.name.partition("-")
        if phase.isdigit() and step.isdigit():
            found.append((int(phase), int(step), path))
    return sorted(found, reverse=True)


def clear(folder: Path) -> None:
    """Remove all checkpoints, as far as that can be done."""
    with contextlib.suppress(OSError):
        files.remove(folder)
