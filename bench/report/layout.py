"""The table in the post's arrangement, once for every format. Imports no JAX.

Tasks stand below each other, methods beside each other. Each family ends with its average, and
published scores stand under ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.report.notes import DOUBT_MARK
from bench.report.published import Score
from bench.report.scores import Results, tasks_of
from envs.tasks import FAMILIES, OWN, TASKS

NOT_IN_POST = "not in the post"


class Cell(NamedTuple):
    """A score of ours.

    Attributes:
        mean: over seeds, or over the tasks of a family.
        std: over seeds; NaN where there is one seed, and of averages.
        low: lower end of the mean's interval; infinite where there is one seed, and of averages.
        high: upper end of it.
        doubted: whether the user insisted on the data.
    """

    mean: float
    std: float = np.nan
    low: float = -np.inf
    high: float = np.inf
    doubted: bool = False

    @property
    def text(self) -> str:
        """The mean alone, with a mark if it is doubted."""
        return f"{self.mean:z.1f}{f' {DOUBT_MARK}' if self.doubted else ''}"

    @property
    def long_text(self) -> str:
        """The mean with its deviation, where there is one."""
        deviation = "" if np.isnan(self.std) else f" ± {self.std:z.1f}"
        return f"{self.mean:z.1f}{deviation}{f' {DOUBT_MARK}' if self.doubted else ''}"


class Row(NamedTuple):
    """A task, or the average of a family.

    Attributes:
        kind: ``task`` or ``average``.
        name: of the task, or what the average is called.
        cells: per column; None where it was not run, and where an average lacks a task.
        published: per column; None where nothing is published.
    """

    kind: str
    name: str
    cells: tuple[Cell | None, ...]
    published: tuple[Score | None, ...]

    def near_best(self) -> list[bool]:
        """Per column, whether its mean lies within the interval of the row's best.

        No cell does where all of them do, for then the row tells nothing apart, nor where the best
        has no interval.
        """
        cells = [cell for cell in self.cells if cell is not None]
        best = max(cells, key=lambda cell: cell.mean, default=None)
        if best is None or np.isinf(best.low) or all(cell.mean >= best.low for cell in cells):
            return [False] * len(self.cells)
        return [cell is not None and cell.mean >= best.low for cell in self.cells]


class Section(NamedTuple):
    """A family of tasks; ``note`` stands above it, and is empty if there is none."""

    family: str
    note: str
    rows: list[Row]


class Line(NamedTuple):
    """One line of a table that has a line for published scores too.

    Attributes:
        kind: ``task``, ``average`` of a family, ``published`` under either, or ``note`` above a
            family.
        title: stands before the line.
        family: task family.
        texts: per column; ``-`` for a cell that was not run, empty where nothing is published.
    """

    kind: str
    title: str
    family: str
    texts: tuple[str, ...]


def sections(results: Results) -> list[Section]:
    """The families that have scores, each with its tasks and its average."""
    known = {
        (row.task, row.algorithm): Cell(row.mean, row.std, row.low, row.high, bool(row.doubts))
        for row in _rows(results)
    }
    laid_out = []
    for family in FAMILIES:
        tasks = tasks_of(family)
        rows = []
        for task in tasks:
            cells = tuple(known.get((task, algorithm)) for algorithm in results.columns)
            if any(cells):
                rows.append(Row("task", task, cells, _published(results, task)))
        if rows:
            columns = ([known.get((task, a)) for task in tasks] for a in results.columns)
            name = f"{family} average"
            averages = tuple(_average(cells) for cells in columns)
            rows.append(Row("average", name, averages, _published(results, name)))
            laid_out.append(Section(family, _note(family), rows))
    return laid_out


def lines(results: Results) -> list[Line]:
    """The sections one line below the other, as texts."""
    flat = []
    for section in sections(results):
        family = section.family
        if section.note:
            flat.append(Line("note", section.note, family, ("",) * len(results.columns)))
        for row in section.rows:
            texts = tuple("-" if cell is None else cell.long_text for cell in row.cells)
            title = with_note(family, row.name) if row.kind == "average" else row.name
            flat.append(Line(row.kind, title, family, texts))
            flat += _published_lines(row, family)
    return flat


def with_note(family: str, text: str) -> str:
    """``text`` about a family, which says so if Table 1 has no such line; own data need not."""
    note = _note(family)
    return f"{text}, {note}" if note else text


def _note(family: str) -> str:
    in_post = all(TASKS[task].in_post for task in tasks_of(family))
    return "" if in_post or family == OWN else NOT_IN_POST


def _rows(results: Results) -> Any:
    return results.summary.itertuples()


def _published(results: Results, name: str) -> tuple[Score | None, ...]:
    return tuple(results.published.get((name, algorithm)) for algorithm in results.columns)


def _average(cells: Sequence[Cell | None]) -> Cell | None:
    means = [cell.mean for cell in cells if cell is not None]
    return Cell(float(np.mean(means))) if len(means) == len(cells) else None


def _published_lines(row: Row, family: str) -> list[Line]:
    """One line, or none where nothing is published; a score of another version says so itself."""
    versions = [score[1] for score in row.published if score]
    if not versions:
        return []
    texts = []
    for score in row.published:
        suffix = f" ({score[1]})" if score and score[1] != versions[0] else ""
        texts.append(f"{score[0]:z.1f}{suffix}" if score else "")
    return [Line("published", f"published, {versions[0]}", family, tuple(texts))]
