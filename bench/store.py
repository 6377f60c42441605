"""Result files: the one door between what runs and what reports. Imports no JAX.

A folder of results, ``<source>/<profile>``, has raw rows (``scores.csv``, and ``tracks.csv`` of
mazes), where each cell's rows come from (``provenance.json``) and audits of the data
(``audit.json``). All else in it is made from these.
"""

from __future__ import annotations

import copy
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

# pandas would keep text in pyarrow's form, which refuses half a surrogate pair.
pd.set_option("mode.string_storage", "python")

# One row per episode played.
SCORE_COLUMNS = ("task", "algorithm", "seed", "step", "episode", "return", "length")
# A track has one row per point of an episode that is kept, x and y in metres.
_EPISODE, _POINT = ("task", "algorithm", "seed", "episode"), ("step", "x", "y")
TRACK_COLUMNS = (*_EPISODE, *_POINT)
_NUMBERS = ("seed", "step", "episode", "return", "length", "value", "x", "y")
_LONGEST_LINE = 4096  # bytes; ours have a few hundred at most
LARGEST = 1e12  # no return, step or length comes near it; a loss ("value") may be NaN

_PARTS = ("shared", "tasks", "algorithms", "cells")  # of the file of provenance
# Every cell's provenance must have these types, or one of these words.
_FACTS = {
    "task": {"name": str},
    "algorithm": str,
    "title": str,
    "style": ("imitation", "offline RL"),
    "told": str,
    "paper": str,
    "settings": {"seeds": list, "num_episodes": int, "source": str, "scale": float},
    "dataset": {"hash": str},
    "hash": str,
}


class Stored(NamedTuple):
    """The contents of a folder of results.

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
            read_tracks(folder / "tracks.csv"),
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
    rows = _read_csv(path, columns)
    _check_numbers(rows, path)
    return rows


def _read_csv(path: Path, columns: Iterable[str], text: Iterable[str] = ()) -> pd.DataFrame:
    """The ``columns`` of a CSV; those of ``text`` stay as they are written."""
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
            rows = pd.read_csv(file, dtype=dict.fromkeys(text, str))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, OverflowError) as error:  # of parsing, of UTF-8, of an empty file
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a CSV file of results: {reason}") from None
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}; restore or delete the file")
    return rows[columns]


def _check_numbers(rows: pd.DataFrame, path: Path) -> None:
    for column in set(rows.columns) & set(_NUMBERS):
        sound = rows[column].dtype.kind in "if" and (
            column == "value" or (rows[column].abs() < LARGEST).all()
        )
        if len(rows) and not sound:
            raise InputError(f"{path} holds no numbers in {column!r}; restore or delete the file")


def write_tracks(path: Path, tracks: pd.DataFrame) -> None:
    """Replace ``path`` by ``TRACK_COLUMNS``, a line an episode, its points with spaces between."""
    episodes = tracks.groupby(list(_EPISODE), sort=False)[list(_POINT)]
    write_rows(path, episodes.agg(_joined).reset_index())


def _joined(values: pd.Series) -> str:
    return " ".join(map(str, values))


def read_tracks(path: Path) -> pd.DataFrame:
    """``TRACK_COLUMNS`` of ``path``, one row a point; no rows if there is no such file.

    Raises:
        InputError: the file is not what ``write_tracks`` writes.
    """
    episodes = _read_csv(path, TRACK_COLUMNS, text=_POINT)
    points = {column: episodes[column].astype(str).str.split(" ") for column in _POINT}
    try:
        tracks = episodes.assign(**points).explode(list(_POINT), ignore_index=True)
        tracks = tracks.astype({"step": int, "x": float, "y": float})
    except (ValueError, OverflowError):
        raise InputError(
            f"{path} has an episode whose points are no numbers; restore or delete the file"
        ) from None
    _check_numbers(tracks, path)
    return tracks


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance of each cell, by ``task/algorithm``, whose task is known afterwards.

    Raises:
        InputError: not JSON, or not what ``write_provenance`` writes.
    """
    parts = read_json(path)
    fix = "restore it, or delete its folder and run the grid again"
    if not isinstance(parts, dict) or set(parts) != set(_PARTS):
        raise InputError(f"{path} is no provenance of cells as this version writes it; {fix}")
    for part in _PARTS:
        if not isinstance(parts[part], dict):
            raise InputError(f"{path} has no sound {part!r}; {fix}")
    provenance = {name: _whole(parts, name) for name in parts["cells"]}
    for name, facts in provenance.items():
        wrong = _mismatch(facts, _FACTS)
        if wrong:
            raise InputError(f"{path} has no sound {wrong} for {name!r}; {fix}")
        if name != f"{facts['task']['name']}/{facts['algorithm']}":
            raise InputError(f"{path} has another cell's provenance for {name!r}; {fix}")
        if not _is_sound(facts.get("dataset_provenance", {})):
            raise InputError(f"{path} has no sound dataset_provenance for {name!r}; {fix}")
        recall(facts)
        recall(facts)
    return provenance


def write_provenance(path: Path, provenance: dict[str, Any]) -> None:
    """Replace ``path`` by the facts of each cell; what cells have in common is written once.

    ``shared`` has the facts that are alike in all cells, ``tasks`` and ``algorithms`` those that
    are alike in all cells of one, and ``cells`` what is left.
    """
    left = {name: dict(facts) for name, facts in provenance.items()}
    parts: dict[str, dict[str, Any]] = {"shared": _take_common(list(left.values()))}
    for part, place in (("tasks", 0), ("algorithms", 1)):
        groups: dict[str, list[dict[str, Any]]] = {}
        for name, facts in left.items():
            groups.setdefault(name.split("/")[place], []).append(facts)
        parts[part] = {group: _take_common(cells) for group, cells in groups.items()}
    write_json(path, parts | {"cells": left})


def _take_common(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the facts out of ``cells`` that are alike in all of them."""
    common = {
        key: value
        for key, value in (cells[0].items() if cells else ())
        if all(key in cell and cell[key] == value for cell in cells)
    }
    for cell in cells:
        for key in common:
            del cell[key]
    return common


def _whole(parts: dict[str, Any], name: str) -> Any:
    """All facts of the cell called ``name``; None where a part is no group of facts."""
    task, _, algorithm = name.partition("/")
    found = [
        parts["shared"],
        parts["tasks"].get(task, {}),
        parts["algorithms"].get(algorithm, {}),
        parts["cells"][name],
    ]
    if not all(isinstance(facts, dict) for facts in found):
        return None
    return {key: copy.deepcopy(value) for facts in found for key, value in facts.items()}


def _is_sound(about_data: Any) -> bool:
    """True if what is read of data's provenance, where there is some, is of the types written."""
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
        old = read_rows(folder / "scores.csv", SCORE_COLUMNS)
        write_rows(folder / "scores.csv", _merged(old, rows, provenance, rank))
        old = read_tracks(folder / "tracks.csv")
        merged = _merged(old, old.head(0) if tracks is None else tracks, provenance, rank)
        if len(merged) or (folder / "tracks.csv").exists():
            write_tracks(folder / "tracks.csv", merged)
        known |= provenance
        names = sorted(known, key=lambda name: rank.get(name, len(rank)))
        write_provenance(path, {name: known[name] for name in names})


def _merged(
    old: pd.DataFrame, new: pd.DataFrame, replaced: Iterable[str], rank: dict[str, int]
) -> pd.DataFrame:
    """``old`` without the cells that are ``replaced``, and ``new``, in the order of the table."""
    columns = list(old.columns)
    kept = old[~cell_names(old).isin(list(replaced))]
    parts = [part[columns] for part in (kept, new) if len(part)]
    if not parts:
        return old.head(0)
    merged = pd.concat(parts)
    place = cell_names(merged).map(rank).fillna(len(rank)).astype(int)
    merged = merged.assign(rank=place).sort_values(["rank", *columns[2:5]], kind="stable")
    return merged[columns]


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
