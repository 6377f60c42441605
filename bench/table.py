"""Tables from raw rows. Imports no JAX, so it is instant and runs anywhere.

A cell is the mean over seeds, and the standard deviation over seeds (ddof 1), of the *last*
evaluation: each return is normalized, then averaged over the seed's episodes. The CSV adds the
95 % interval of that mean (``bench.stats.cell_interval``). Published scores stand under ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.table import Table

from bench import results, stats
from envs import files
from envs.registry import FAMILIES, TASKS, get_task
from envs.types import InputError

TABLE_COLUMNS = (
    "family",
    "task",
    "algorithm",
    "mean",
    "std",
    "low",
    "high",
    "num_seeds",
    "num_episodes",
    "step",
    "source",
    "scale",
    "data_hash",
    "profile",
    "cell_hash",
    "doubts",
)
SCALED_SOURCE = "regenerated"  # the one whose data are collected in the size that is asked for
DOUBT_MARK = "†"  # beside a score whose data the user insisted on

# Kept with the code, not with a user's results.
PUBLISHED = Path(__file__).parent.parent / "results" / "published.csv"
NOT_IN_POST = "not in the post"
# The papers that the post names for its numbers; published.csv holds other reports as well.
POST_SOURCES = ("arXiv:2110.06169 Table 1", "arXiv:2112.10751")

Published = dict[tuple[str, str], tuple[float, str]]


class Column(NamedTuple):
    """A method's heading: title, ``imitation`` or ``offline RL``, what it is told at evaluation."""

    title: str
    style: str
    told: str


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        kind: ``task``, ``average`` of a family, ``published`` under either, or ``note`` above a
            family.
        name: task, family or note; for published scores, the version of D4RL's files.
        family: task family.
        texts: per column; ``-`` for a cell that was not run, empty where nothing is published.
    """

    kind: str
    name: str
    family: str
    texts: tuple[str, ...]

    @property
    def title(self) -> str:
        """What stands before the row."""
        return f"published, {self.name}" if self.kind == "published" else self.name


def summarize(rows: pd.DataFrame, provenance: dict[str, Any], profile: str) -> pd.DataFrame:
    """One row of ``TABLE_COLUMNS`` per cell, in the order of ``provenance``.

    Args:
        rows: raw ``results.SCORE_COLUMNS`` rows.
        provenance: per cell, what ``bench.cell.read`` gives.
        profile: the profile's name.

    Raises:
        InputError: rows without provenance, or cells with missing seeds or episodes.
    """
    summary = []
    groups = dict(list(rows.groupby(results.cell_names(rows), sort=False)))
    strangers = sorted(set(groups) - set(provenance))
    if strangers:
        raise InputError(f"scores of {strangers[0]} have no provenance; run the grid again")
    for name, facts in provenance.items():
        if name not in groups:
            raise InputError(f"{name} has provenance but no scores; run the grid again")
        cell = groups[name]
        try:
            task = get_task(facts["task"]["name"])
        except InputError as error:
            raise InputError(f"{name} has scores, but no row any more: {error}") from None
        settings = facts["settings"]
        last = cell[cell["step"] == cell["step"].max()]
        counts = last.groupby("seed").size()
        expected = (len(settings["seeds"]), settings["num_episodes"])
        if len(counts) != expected[0] or (counts != expected[1]).any():
            raise InputError(f"{name} lacks episodes of its last evaluation; run the grid again")
        by_seed = stats.last(stats.evaluations(last, task.reference_returns))
        summary.append(
            (
                task.family,
                task.name,
                facts["algorithm"],
                by_seed.mean(),
                by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
                *stats.cell_interval(by_seed),
                len(by_seed),
                settings["num_episodes"],
                int(last["step"].iloc[0]),
                settings["source"],
                settings["scale"] if settings["source"] == SCALED_SOURCE else np.nan,
                facts["dataset"]["hash"],
                profile,
                facts["hash"],
                "; ".join(facts.get("dataset_provenance", {}).get("doubts", [])),
            )
        )
    return pd.DataFrame(summary, columns=list(TABLE_COLUMNS))


def layout(summary: pd.DataFrame, columns: dict[str, Column], published: Published) -> list[Row]:
    """The table in the post's arrangement: tasks down, methods across, averages where complete.

    Args:
        summary: what ``summarize`` gives.
        columns: algorithm -> what heads its column.
        published: what ``read_published`` gives.
    """
    cells = {(row.task, row.algorithm): row for row in summary.itertuples()}
    rows = []
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        shown = [task for task in tasks if any((task, a) in cells for a in columns)]
        if shown and not TASKS[shown[0]].in_post:
            rows.append(Row("note", NOT_IN_POST, family, ("",) * len(columns)))
        for task in shown:
            ours = tuple(_text(cells.get((task, a))) for a in columns)
            rows.append(Row("task", task, family, ours))
            rows += _published_rows(task, family, columns, published)
        if shown:
            average = average_name(family)
            ours = tuple(_average(cells.get((task, a)) for task in tasks) for a in columns)
            rows.append(Row("average", average, family, ours))
            rows += _published_rows(average, family, columns, published)
    return rows


def render_markdown(summary: pd.DataFrame, columns: dict[str, Column], published: Published) -> str:
    """The table as Markdown; arguments as of ``layout``."""
    lines = [
        describe(summary),
        "",
        _line("task", [column.title for column in columns.values()]),
        "|---|" + "---:|" * len(columns),
        _line("", [f"*{column.style}*" for column in columns.values()]),
    ]
    marks = {"task": "{}", "average": "**{}**", "published": "*{}*", "note": "*{}*"}
    for row in layout(summary, columns, published):
        mark = lambda text, kind=row.kind: text if text in ("", "-") else marks[kind].format(text)
        lines.append(_line(mark(row.title), [mark(text) for text in row.texts]))
    for note in notes(summary, columns):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def render_csv(summary: pd.DataFrame, published: Published) -> str:
    """One line per cell: ``TABLE_COLUMNS`` and the published score, where there is one."""
    keys = zip(summary["task"], summary["algorithm"], strict=True)
    scores = [published.get(key, (np.nan, ""))[0] for key in keys]
    in_post = [TASKS[task].in_post for task in summary["task"]]
    rows = summary.assign(published=scores, in_post=in_post).replace([np.inf, -np.inf], np.nan)
    return rows.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def render_text(summary: pd.DataFrame, columns: dict[str, Column]) -> Table:
    """The means alone, narrow enough for a terminal of 80 columns."""
    cells = {(row.task, row.algorithm): row for row in summary.itertuples()}
    text = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    text.add_column("task", no_wrap=True)
    for column in columns.values():
        mark = "" if column.style == "imitation" else "*"
        text.add_column(
            f"{column.title}{mark}".replace(" ", "\n").replace("+", "\n+"), justify="right"
        )
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        shown = [task for task in tasks if any((task, a) in cells for a in columns)]
        if shown and not TASKS[shown[0]].in_post:
            text.add_row(f"{NOT_IN_POST}:", style="italic")
        for task in shown:
            row = [cells.get((task, a)) for a in columns]
            text.add_row(
                task,
                *("-" if cell is None else f"{cell.mean:.1f}{_mark(cell)}" for cell in row),
            )
        if shown:
            ours = [_average(cells.get((task, a)) for task in tasks) for a in columns]
            text.add_row(f"{family} average", *ours, style="bold")
    return text


def average_name(family: str) -> str:
    """What the line of a family's average is called."""
    return with_note(family, f"{family} average")


def with_note(family: str, text: str) -> str:
    """``text`` about a family, which says so if Table 1 has no such line."""
    in_post = all(task.in_post for task in TASKS.values() if task.family == family)
    return text if in_post else f"{text}, {NOT_IN_POST}"


def read_published() -> Published:
    """(task or family average, algorithm) -> (score, D4RL version), as the post's sources print it.

    Averages are taken where a source has every task of the family.
    """
    rows = results.read_rows(PUBLISHED, ("task", "version", "algorithm", "score", "source"))
    rows = rows[rows["source"].str.startswith(POST_SOURCES)]
    published: Published = {
        (str(task), str(algorithm)): (float(score), str(version))
        for task, version, algorithm, score, _ in rows.to_numpy()
    }
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        for algorithm in rows["algorithm"].unique():
            found = [published[task, algorithm] for task in tasks if (task, algorithm) in published]
            if len(found) == len(tasks):
                mean = float(np.mean([score for score, _ in found]))
                published[f"{family} average", algorithm] = (mean, found[0][1])
    return published


def load(folder: Path) -> tuple[pd.DataFrame, dict[str, Column]]:
    """The summary of ``folder``'s raw rows, and what heads its columns.

    Args:
        folder: ``results/<source>/<profile>`` with ``scores.csv`` and ``provenance.json``.
    """
    with results.reading(folder):
        rows = results.read_rows(folder / "scores.csv", results.SCORE_COLUMNS)
        provenance = results.read_provenance(folder / "provenance.json")
    columns = {
        facts["algorithm"]: Column(facts["title"], facts["style"], facts["told"])
        for facts in provenance.values()
    }
    # In the post's order, also where the first task lacks a method: imitation first.
    columns = dict(sorted(columns.items(), key=lambda item: item[1].style != "imitation"))
    return summarize(rows, provenance, folder.name), columns


def build(folder: Path) -> dict[str, str]:
    """File name -> content of every table that ``folder``'s raw rows give."""
    summary, columns = load(folder)
    published = read_published()
    return {
        "table1.csv": render_csv(summary, published),
        "table1.md": render_markdown(summary, columns, published),
    }


def write(folder: Path) -> None:
    """Write the tables of ``folder``."""
    with results.writing(folder):
        for name, text in build(folder).items():
            files.write_text(folder / name, text)


def stale(folder: Path) -> list[Path]:
    """Tables of ``folder`` that are not what its scores give."""
    return files.differing(folder, build(folder))


def find(results_folder: Path) -> list[Path]:
    """Every ``<source>/<profile>`` folder with scores."""
    return sorted(path.parent for path in results_folder.glob("*/*/scores.csv"))


def _line(name: str, texts: Iterable[str]) -> str:
    return f"| {name} | " + " | ".join(texts) + " |"


def _published_rows(
    name: str, family: str, columns: dict[str, Column], published: Published
) -> list[Row]:
    """One row, or none where nothing is published; a score of another version says so itself."""
    found = [published.get((name, algorithm)) for algorithm in columns]
    versions = [score[1] for score in found if score]
    if not versions:
        return []
    texts = []
    for score in found:
        suffix = f" ({score[1]})" if score and score[1] != versions[0] else ""
        texts.append(f"{score[0]:.1f}{suffix}" if score else "")
    return [Row("published", versions[0], family, tuple(texts))]


def _average(row: Iterable[Any]) -> str:
    cells = list(row)
    return "-" if None in cells else f"{np.mean([cell.mean for cell in cells]):.1f}"


def notes(summary: pd.DataFrame, columns: dict[str, Column]) -> list[str]:
    """What must be known to read the columns and the published rows, a sentence or two each."""
    sources = summary["source"]
    other = "" if sources.str.startswith("d4rl").all() else ", which are other data than ours"
    lines = []
    if any(TASKS[task].in_post for task in summary["task"]):
        papers = " and ".join(POST_SOURCES)
        versions = f"on D4RL's files of the version named{other}"
        lines += [
            f"Published: the scores that the post's table goes back to ({papers}), {versions}."
        ]
    if sources.str.startswith("minari").any():
        lines += ["Minari's data: normalized by D4RL's reference returns; antmaze, successes."]
    told = [f"{c.title} {c.told}" for c in columns.values() if c.told != "nothing"]
    if told:
        lines += [f"Told at evaluation: {'; '.join(told)}; the other methods nothing."]
    for family, rows in summary.groupby("family", sort=False):
        # Some methods take a share of the steps, on all tasks alike.
        steps = rows.groupby("task")["step"].transform("max")
        differing = {
            "Share of the rows": (rows["scale"].dropna(), _percent),
            "Steps of most methods": (steps, lambda step: f"{step:,}"),
        }
        for what, (values, text) in differing.items():
            where = [
                f"{text(value)} in {', '.join(rows['task'][of_task.index].unique())}"
                for value, of_task in values.groupby(values)
            ]
            if len(where) > 1:
                lines += [f"{what} in {family}: {'; '.join(where)}."]
    return lines + warnings(summary)


def warnings(summary: pd.DataFrame) -> list[str]:
    """What makes scores less than they look, a sentence each."""
    lines = [
        f"Not to be compared: columns of {task} learned from different data."
        for task, rows in summary.groupby("task", sort=False)
        if rows["data_hash"].nunique() > 1
    ]
    doubts = dict.fromkeys(filter(None, summary["doubts"]))
    return lines + [f"{DOUBT_MARK} Insisted on: {doubt}." for doubt in doubts]


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    deviation = "" if np.isnan(cell.std) else f" ± {cell.std:.1f}"
    return f"{cell.mean:.1f}{deviation}{_mark(cell)}"


def _mark(cell: Any) -> str:
    return f" {DOUBT_MARK}" if cell.doubts else ""


def describe(summary: pd.DataFrame) -> str:
    """What is shown: profile, source, seeds, steps, episodes, without which no number may stand."""
    parts = [f"profile {_join(summary['profile'])}", f"source {_join(summary['source'])}"]
    parts.append(f"{_join(summary['num_seeds'])} seeds")
    for family, rows in summary.groupby("family", sort=False):
        steps = " to ".join(
            f"{step:,}" for step in sorted({rows["step"].min(), rows["step"].max()})
        )
        shares = " or ".join(_percent(share) for share in _shares(rows))
        data = f"{shares} of the rows, " if shares else ""
        episodes = f"{_join(rows['num_episodes'])} episodes a seed"
        parts.append(f"{family}: {data}{steps} steps, {episodes}")
    size = ", ".join(parts[:3]) + "; " + "; ".join(parts[3:])
    return f"Normalized scores (0 random, 100 reference): {size}. Mean ± std over seeds."


def _shares(summary: pd.DataFrame) -> list[float]:
    """Shares of D4RL's rows that regenerated data have, the smallest first."""
    return sorted(summary["scale"].dropna().unique())


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _join(values: Any) -> str:
    return " or ".join(dict.fromkeys(str(value) for value in values))
