"""Result files: raw rows and provenance, written whole or not at all. Imports no JAX."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from envs.types import InputError

# One row per episode played.
SCORE_COLUMNS = ("task", "algorithm", "seed", "step", "episode", "return", "length")
# Where a maze's episode went: one row per point of it that is kept, x and y in metres.
TRACK_COLUMNS = ("task", "algorithm", "seed", "episode", "step", "x", "y")
_NUMBERS = ("seed", "step", "episode", "return", "length", "value", "x", "y")
LARGEST = 1e12  # no return, step or length comes near it; a loss ("value") may be NaN

# What every cell's provenance must have, whoever wrote it: types, or the words allowed.
_FACTS = {
    "task": {"name": str},
    "algorithm": str,
    "title": str,
    "style": ("imitation", "offline RL"),
    "told": str,
    "settings": {"seeds": list, "num_episodes": int, "source": str, "scale": float},
    "dataset": {"hash": str},
    "hash": str,
}

# No room (on the disk, in a quota, under a limit), no permission, a name that is no folder's, or
# a disk that fails.
CANNOT_WRITE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG),
    errno.EIO,
)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one move."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def differing(folder: Path, files: dict[str, str]) -> list[Path]:
    """Those of ``files``, name -> content, that ``folder`` lacks or has otherwise."""
    return [
        folder / name
        for name, text in files.items()
        if not (folder / name).exists() or (folder / name).read_bytes() != text.encode()
    ]


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Replace ``path`` by ``rows`` as CSV; floats in their shortest exact form."""
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))


def read_rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """The CSV at ``path``; no rows if there is no such file.

    Raises:
        InputError: the file cannot be parsed, lacks a column or holds what is no number.
    """
    columns = list(columns)
    if not path.exists():
        return pd.DataFrame(columns=columns)
    try:
        rows = pd.read_csv(path)
    except (ValueError, OverflowError) as error:  # of parsing, of UTF-8, of an empty file
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a CSV file of results: {reason}") from None
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}; restore or delete the file")
    for column in set(columns) & set(_NUMBERS):
        sound = rows[column].dtype.kind in "if" and (
            column == "value" or (rows[column].abs() < LARGEST).all()
        )
        if len(rows) and not sound:
            raise InputError(f"{path} holds no numbers in {column!r}; restore or delete the file")
    return rows[columns]


def read_provenance(path: Path) -> dict[str, Any]:
    """Where the rows of each cell, ``task/algorithm``, come from.

    Raises:
        InputError: not JSON, or not what ``publish`` writes.
    """
    provenance = read_json(path)
    fix = "restore it, or delete its folder and run the grid again"
    if not isinstance(provenance, dict):
        raise InputError(f"{path} is no provenance of cells; {fix}")
    for name, facts in provenance.items():
        wrong = _mismatch(facts, _FACTS)
        if wrong:
            raise InputError(f"{path} has no sound {wrong} for {name!r}; {fix}")
        if name != f"{facts['task']['name']}/{facts['algorithm']}":
            raise InputError(f"{path} has another cell's provenance for {name!r}; {fix}")
    return provenance


def _mismatch(value: Any, expected: Any) -> str:
    """The first key under which ``value`` is not as ``expected``; empty if there is none."""
    if not isinstance(value, dict):
        return "entry"
    for key, kind in expected.items():
        found = value.get(key)
        if isinstance(kind, dict):
            inner = _mismatch(found, kind)
            if inner:
                return f"{key}.{inner}"
        elif isinstance(kind, tuple):
            if found not in kind:
                return key
        elif not isinstance(found, kind):
            return key
    return ""


def read_json(path: Path) -> Any:
    """The JSON at ``path``.

    Raises:
        InputError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; restore or delete the file") from None


@contextlib.contextmanager
def locked(path: Path, name: str, report: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time go on; the system frees the lock however it ends.

    Args:
        path: the file that is locked; it stays, for removing it would let two in.
        name: what is written, for people.
        report: told if another process has to be waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"{name} is being written by another process; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(
    folder: Path,
    rows: pd.DataFrame,
    provenance: dict[str, Any],
    order: list[str],
    tracks: pd.DataFrame | None = None,
) -> None:
    """Merge finished cells into ``scores.csv``, ``tracks.csv`` and ``provenance.json``.

    Cells are replaced whole; those of earlier runs that are not among ``provenance`` stay.

    Args:
        folder: ``results/<source>/<profile>``.
        rows: ``SCORE_COLUMNS`` of the finished cells.
        provenance: per cell, ``task/algorithm``: where its rows come from.
        order: every cell name in the order of the table.
        tracks: ``TRACK_COLUMNS`` of the finished cells of mazes.
    """
    path = folder / "provenance.json"
    known = read_provenance(path) if path.exists() else {}
    rank = {name: i for i, name in enumerate(order)}
    tables = {"scores.csv": (SCORE_COLUMNS, rows), "tracks.csv": (TRACK_COLUMNS, tracks)}
    for name, (columns, new) in tables.items():
        old = read_rows(folder / name, columns)
        kept = old[~cell_names(old).isin(list(provenance))]
        parts = [part[list(columns)] for part in (kept, new) if part is not None and len(part)]
        if parts or (folder / name).exists():
            merged = pd.concat(parts) if parts else old.head(0)
            place = cell_names(merged).map(rank).fillna(len(rank)).astype(int)
            merged = merged.assign(rank=place)
            merged = merged.sort_values(["rank", *columns[2:5]], kind="stable")
            write_rows(folder / name, merged[list(columns)])
    known |= provenance
    names = sorted(known, key=lambda name: rank.get(name, len(rank)))
    write_json(path, {name: known[name] for name in names})


def publish_audits(folder: Path, audits: dict[str, Any]) -> None:
    """Merge audits into ``folder/audit.json`` and drop those of data that no cell has any more.

    Args:
        folder: ``results/<source>/<profile>``, with the cells published.
        audits: by ``data_name``.
    """
    path = folder / "audit.json"
    known = (read_json(path) if path.exists() else {}) | audits
    used = {data_name(facts) for facts in read_json(folder / "provenance.json").values()}
    write_json(path, {name: known[name] for name in sorted(known) if name in used})


def data_name(facts: dict[str, Any]) -> str:
    """Names a cell's data and where they are scored, as there may be several of both to a task."""
    return f"{facts['task']['name']} {facts['dataset']['hash'][:8]} {facts['environment']}"


def cell_names(rows: pd.DataFrame) -> pd.Series:
    """``task/algorithm`` of each row."""
    return rows["task"].astype(str) + "/" + rows["algorithm"].astype(str)
