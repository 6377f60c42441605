"""Files that are made from scores: written whole, and compared with what they should be.

Imports no JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench import store
from envs import files

Build = Callable[[Path], Mapping[str, str | bytes]]  # a folder -> file name -> content


def write(folder: Path, build: Build) -> list[Path]:
    """Write what ``build`` makes of ``folder`` into it; returns the paths."""
    with store.writing(folder):
        contents = {folder / name: _bytes(content) for name, content in build(folder).items()}
        for path, content in contents.items():
            files.write_bytes(path, content)
    return list(contents)


def stale(folder: Path, build: Build, *, optional: bool) -> list[Path]:
    """Files in ``folder`` that are not what ``build`` makes of it.

    Args:
        folder: of results.
        build: makes the files.
        optional: whether a file may be missing, as those are that a command was not asked for.
    """
    expected = {folder / name: _bytes(content) for name, content in build(folder).items()}
    return [
        path
        for path, content in expected.items()
        if (path.read_bytes() != content if path.is_file() else not optional)
    ]


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
