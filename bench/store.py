"""Result files: the one door between what runs and what reports. Imports no JAX.

A folder of results, ``<source>/<profile>``, has raw rows (``scores.csv``, and ``tracks.csv`` of
mazes), where each cell's rows come from (``provenance.json``) and audits of the data
(``audit.json``). All else in it is made from these.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.places import LOCAL
from envs.errors import InputError
from envs.files import Report, locked, open_regular, read_json, write_json, write_text
from envs.tasks import recall

# With pyarrow pandas would keep text in Arrow's form, which refuses half a surrogate pair.
pd.set_option("mode.string_storage", "python")

# One row per episode played.
SCORE_COLUMNS = ("task", "algorithm", "seed", "step", "episode", "return", "length")
# Where a maze's episode went: one row per point of it that is kept, x and y in metres.
TRACK_COLUMNS = ("task", "algorithm", "seed", "episode", "step", "x", "y")
_NUMBERS = ("seed", "step", "episode", "return", "length", "value", "x", "y")
# Keys of an audit's ``baselines``, the data's own first; the rest is played.
BASELINES = ("logs", "best_tenth", "mean_action", "no_action", "random")
PLAYED = BASELINES[2:]
_LONGEST_LINE = 4096  # bytes; ours have a few hundred at most
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


class Stored(NamedTuple):
    """What a folder of results holds.

    Attributes:
        folder: ``results/<source>/<profile>``.
        rows: ``SCORE_COLUMNS``.
        tracks: ``TRACK_COLUMNS``; no rows where no maze was run.
        provenance: cell name -> where its rows come from.
        audits: by ``data_name``; cells that are older than audits have none.
    """

    folder: Path
    rows: pd.DataFrame
    tracks: pd.DataFrame
    provenance: dict[str, Any]
    audits: dict[str, Any]


def read(folder: Path) -> Stored:
    """All of ``folder`` as it belongs together.

    Raises:
        InputError: a file is not what a grid writes.
    """
    with reading(folder):
        return Stored(
            folder,
            read_rows(folder / "scores.csv", SCORE_COLUMNS),
            read_rows(folder / "tracks.csv", TRACK_COLUMNS),
            read_provenance(folder / "provenance.json"),
            _read_audits(folder / "audit.json"),
        )


def find(root: Path, source: str | None = None, profile: str | None = None) -> list[Path]:
    """Every ``<source>/<profile>`` folder with scores, sorted.

    Args:
        root: of results; those of ``places.LOCAL`` below it are not its own.
        source: only tables of this source, if named.
        profile: only tables of this profile, if named.
    """
    folders = sorted(path.parent for path in root.glob("*/*/scores.csv"))
    return [
        folder
        for folder in folders
        if folder.parent.name != LOCAL.name
        and source in (None, folder.parent.name)
        and profile in (None, folder.name)
    ]


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
        with open_regular(path) as file:
            # Before pandas sees them, which takes memory for every column of any of them.
            lines = iter(partial(file.readline, _LONGEST_LINE + 1), b"")
            if any(len(line) > _LONGEST_LINE for line in lines):
                raise InputError(
                    f"{path} has a line of more than {_LONGEST_LINE:,} bytes; "
                    "restore or delete the file"
                )
            file.seek(0)
            rows = pd.read_csv(file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
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
    """Where the rows of each cell, ``task/algorithm``, come from; their tasks are known then.

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
        if not _is_sound(facts.get("dataset_provenance", {})):
            raise InputError(f"{path} has no sound dataset_provenance for {name!r}; {fix}")
        recall(facts)
    return provenance


def _is_sound(about_data: Any) -> bool:
    """Whether what is read of data's provenance, where there is some, is of the types written."""
    if not isinstance(about_data, dict) or not isinstance(about_data.get("scored_in", {}), dict):
        return False
    doubts = about_data.get("doubts", [])
    return isinstance(doubts, list) and all(isinstance(doubt, str) for doubt in doubts)


def _read_audits(path: Path) -> dict[str, Any]:
    audits = read_json(path) if path.exists() else {}
    if not isinstance(audits, dict):
        raise InputError(f"{path} is no file of audits; restore it, or run the grid again")
    return audits


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


def writing(folder: Path, report: Report = lambda line: None) -> AbstractContextManager[None]:
    """Hold the lock that every writer of ``folder``, a table's or all results', holds."""
    return locked(folder / ".lock", str(folder), report)


def reading(folder: Path) -> AbstractContextManager[None]:
    """See the files of ``folder`` as they belong together, not between two writes of one writer."""
    return locked(folder / ".lock", str(folder), lambda line: None, shared=True)


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
    with writing(folder):
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
    with writing(folder):
        path = folder / "audit.json"
        known = _read_audits(path) | audits
        used = {data_name(facts) for facts in read_provenance(folder / "provenance.json").values()}
        write_json(path, {name: known[name] for name in sorted(known) if name in used})


def data_name(facts: dict[str, Any]) -> str:
    """Names a cell's data and where they are scored, as there may be several of both to a task."""
    return f"{facts['task']['name']} {facts['dataset']['hash'][:8]} {facts['environment']}"


def cell_names(rows: pd.DataFrame) -> pd.Series:
    """``task/algorithm`` of each row."""
    return rows["task"].astype(str) + "/" + rows["algorithm"].astype(str)
