"""Compiled programs in a folder that all processes of a machine share.

JAX writes and reads it, and leaves two things to us. An entry that a kill or a full disk has cut
stays there for ever, a warning in every run, for JAX replaces no entry. And its own bound,
``jax_compilation_cache_max_size``, wants a second file beside each entry and keeps nothing any more
once one of them is missing, as after a kill between the two.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import jax

from bench import terminal

MAX_BYTES = 1_000_000_000  # a thousand times what the smoke profile's programs take

_FOLDER_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
_SECONDS_VARIABLE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_JAX_WARNING = re.compile("Error (reading|writing) persistent compilation cache entry .*?: (.*)")
_CHECKED = ".checked"  # a file as old as the last check
_ZSTANDARD = b"\x28\xb5\x2f\xfd"  # with which JAX compresses if that is installed, else zlib


def keep_compiled_programs() -> None:
    """Compile each program once on this machine, where there is a place to keep it.

    A folder that the user has chosen for all programs of JAX (``JAX_COMPILATION_CACHE_DIR``) is
    taken as it is.
    """
    if not os.environ.get(_FOLDER_VARIABLE):
        folder = default_folder()
        if folder is None:
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if not os.environ.get(_SECONDS_VARIABLE):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    _warn_once()


def default_folder() -> Path | None:
    """Our own folder, made if it is not there; None where there is no place for it."""
    # A relative path is to be ignored: XDG Base Directory Specification 0.8.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if not base.is_absolute():
            home = os.environ.get("HOME")
            base = (Path.home() if home is None else Path(home)) / ".cache"
        if not base.is_absolute():
            return None
        folder = base / "rl-or-bc" / "xla"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: nobody knows where home is
        return None
    return folder


def tidy() -> None:
    """Remove what was cut from our own folder, and the longest unused beyond ``MAX_BYTES``.

    Only entries that are newer than the last check are read.
    """
    folder = None if os.environ.get(_FOLDER_VARIABLE) else default_folder()
    if folder is None:
        return
    now = time.time()
    with contextlib.suppress(OSError):  # another process may be at it, or the folder be read-only
        cut = _remove_cut(folder, _last_check(folder, now))
        if cut:
            terminal.say(f"{cut} compiled programs in {folder} were cut, and are made again")
        _remove_unused(folder)
        (folder / _CHECKED).touch()
        os.utime(folder / _CHECKED, (now, now))


def _last_check(folder: Path, now: float) -> float:
    checked = folder / _CHECKED
    last = checked.stat().st_mtime if checked.exists() else 0.0
    return last if last <= now else 0.0  # the clock may have gone back


def _remove_cut(folder: Path, since: float) -> int:
    cut = 0
    for path in folder.glob("*-cache"):
        # A second for clocks of file systems that are coarser than ours.
        if path.stat().st_mtime >= since - 1.0 and not _is_whole(path.read_bytes()):
            path.unlink(missing_ok=True)
            cut += 1
    return cut


def _is_whole(content: bytes) -> bool:
    if content.startswith(_ZSTANDARD):
        return True  # without that package nobody can tell
    reader = zlib.decompressobj()
    try:
        reader.decompress(content)
    except zlib.error:
        return False
    return reader.eof


def _remove_unused(folder: Path) -> None:
    entries = [(path, path.stat()) for path in folder.glob("*-cache")]
    # Reading moves the first time at least once a day, unless the file system keeps none.
    entries.sort(key=lambda entry: max(entry[1].st_atime, entry[1].st_mtime))
    excess = sum(facts.st_size for _, facts in entries) - MAX_BYTES
    for path, facts in entries:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= facts.st_size


def _warn_once() -> None:
    """One line in place of JAX's warning for every program that it cannot read or write."""
    usual = warnings.showwarning
    said = False

    def show(message: Warning | str, *details: Any, **more: Any) -> None:
        nonlocal said
        failed = _JAX_WARNING.match(str(message))
        if failed is None:
            usual(message, *details, **more)
        elif not said:
            said = True
            reason = " ".join(failed[2].split())[:200]
            terminal.say(
                f"compiled programs in {jax.config.jax_compilation_cache_dir} cannot be used "  # type: ignore[attr-defined]
                f"({reason}): programs are compiled again; mend that, or delete the folder"
            )

    warnings.showwarning = show
