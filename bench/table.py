"""Tables from raw rows. Imports no JAX, so it is instant and runs anywhere.

A cell is the mean over seeds, and the standard deviation over seeds (ddof 1), of the *last*
evaluation: each return is normalized, then averaged over the seed's episodes. Published scores
stand under ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.table import Table

from bench import results
from envs.registry import FAMILIES, TASKS
from envs.scores import normalized_score
from envs.types import InputError

TABLE_COLUMNS = (
    "family",
    "task",
    "algorithm",
    "mean",
    "std",
    "num_seeds",
    "num_episodes",
    "step",
    "source",
    "profile",
    "cell_hash",
)

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
        task = TASKS[facts["task"]["name"]]
        settings = facts["settings"]
        last = cell[cell["step"] == cell["step"].max()]
        counts = last.groupby("seed").size()
        expected = (len(settings["seeds"]), settings["num_episodes"])
        if len(counts) != expected[0] or (counts != expected[1]).any():
            raise InputError(f"{name} lacks episodes of its last evaluation; run the grid again")
        scores = normalized_score(last["return"].to_numpy(), task.reference_returns)
        by_seed = pd.Series(scores).groupby(last["seed"].to_numpy()).mean()
        summary.append(
            (
                task.family,
                task.name,
                facts["algorithm"],
                by_seed.mean(),
                by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
                len(by_seed),
                settings["num_episodes"],
                int(last["step"].iloc[0]),
                settings["source"],
                profile,
                facts["hash"],
            )
        )
    return pd.DataFrame(summary, columns=list(TABLE_COLUMNS))


def render_markdown(summary: pd.DataFrame, columns: dict[str, Column], published: Published) -> str:
    """The table as Markdown: tasks down, methods across, family averages where complete.

    Args:
        summary: what ``summarize`` gives.
        columns: algorithm -> what heads its column.
        published: what ``read_published`` gives.
    """
    cells = {(row.task, row.algorithm): row for row in summary.itertuples()}
    styles = [column.style for column in columns.values()]
    lines = [
        f"Normalized scores (0 random, 100 reference): {_describe(summary)}",
        "",
        _line("task", [column.title for column in columns.values()]),
        "|---|" + "---:|" * len(columns),
        _line("", [f"*{style}*" for style in styles]),
    ]
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        shown = [task for task in tasks if any((task, a) in cells for a in columns)]
        if shown and not TASKS[shown[0]].in_post:
            lines.append(_line(f"*{NOT_IN_POST}*", [""] * len(columns)))
        for task in shown:
            lines.append(_line(task, [_text(cells.get((task, a))) for a in columns]))
            lines += _published_lines(task, columns, published)
        if shown:
            average = average_name(family)
            ours = [_average(cells.get((task, a)) for task in tasks) for a in columns]
            lines.append(
                _line(f"**{average}**", [text if text == "-" else f"**{text}**" for text in ours])
            )
            lines += _published_lines(average, columns, published)
    lines += ["", *_notes(summary, columns)]
    return "\n".join(lines) + "\n"


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
            text.add_row(task, *("-" if cell is None else f"{cell.mean:.1f}" for cell in row))
        if shown:
            ours = [_average(cells.get((task, a)) for task in tasks) for a in columns]
            text.add_row(f"{family} average", *ours, style="bold")
    return text


def average_name(family: str) -> str:
    """What the line of a family's average is called; Table 1 has no line for pointmaze."""
    in_post = all(task.in_post for task in TASKS.values() if task.family == family)
    return f"{family} average" if in_post else f"{family} average, {NOT_IN_POST}"


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
    rows = results.read_rows(folder / "scores.csv", results.SCORE_COLUMNS)
    provenance = results.read_json(folder / "provenance.json")
    columns = {
        facts["algorithm"]: Column(facts["title"], facts["style"], facts["told"])
        for facts in provenance.values()
    }
    return summarize(rows, provenance, folder.name), columns


def build(folder: Path) -> dict[str, str]:
    """File name -> content of every table that ``folder``'s raw rows give."""
    summary, columns = load(folder)
    published = read_published()
    keys = zip(summary["task"], summary["algorithm"], strict=True)
    scores = [published.get(key, (np.nan, ""))[0] for key in keys]
    in_post = [TASKS[task].in_post for task in summary["task"]]
    with_published = summary.assign(published=scores, in_post=in_post)
    return {
        "table1.csv": with_published.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
        "table1.md": render_markdown(summary, columns, published),
    }


def write(folder: Path) -> None:
    """Write the tables of ``folder``."""
    for name, text in build(folder).items():
        results.write_text(folder / name, text)


def stale(folder: Path) -> list[Path]:
    """Tables of ``folder`` that are not what its scores give."""
    return [
        folder / name
        for name, text in build(folder).items()
        if not (folder / name).exists() or (folder / name).read_bytes() != text.encode()
    ]


def find(results_folder: Path) -> list[Path]:
    """Every ``<source>/<profile>`` folder with scores."""
    return sorted(path.parent for path in results_folder.glob("*/*/scores.csv"))


def _line(name: str, texts: Iterable[str]) -> str:
    return f"| {name} | " + " | ".join(texts) + " |"


def _published_lines(name: str, columns: dict[str, Column], published: Published) -> list[str]:
    """One line, or none where nothing is published; a score of another version says so itself."""
    found = [published.get((name, algorithm)) for algorithm in columns]
    versions = [score[1] for score in found if score]
    if not versions:
        return []
    row_version = versions[0]
    texts = []
    for score in found:
        suffix = f" ({score[1]})" if score and score[1] != row_version else ""
        texts.append(f"*{score[0]:.1f}{suffix}*" if score else "")
    return [_line(f"*published, {row_version}*", texts)]


def _average(row: Iterable[Any]) -> str:
    cells = list(row)
    return "-" if None in cells else f"{np.mean([cell.mean for cell in cells]):.1f}"


def _notes(summary: pd.DataFrame, columns: dict[str, Column]) -> list[str]:
    """What must be known to read the columns and the published rows."""
    ours = set(summary["source"]) == {"regenerated"}
    other = ", which are other data than ours" if ours else ""
    published = (
        f"Published: the scores that the post's table goes back to ({' and '.join(POST_SOURCES)}), "
        f"on D4RL's files of the version named{other}."
    )
    lines = [published]
    told = [f"{c.title} {c.told}" for c in columns.values() if c.told != "nothing"]
    if told:
        lines += ["", f"Told at evaluation: {'; '.join(told)}; the other methods nothing."]
    return lines


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell.mean:.1f}" if np.isnan(cell.std) else f"{cell.mean:.1f} ± {cell.std:.1f}"


def _describe(summary: pd.DataFrame) -> str:
    """Profile, source, seeds, steps and episodes, without which no number may be shown."""
    parts = [f"profile {_join(summary['profile'])}", f"source {_join(summary['source'])}"]
    parts.append(f"{_join(summary['num_seeds'])} seeds")
    for family, rows in summary.groupby("family", sort=False):
        steps = _join(f"{step:,}" for step in rows["step"])
        parts.append(f"{family}: {steps} steps, {_join(rows['num_episodes'])} episodes a seed")
    return ", ".join(parts[:3]) + "; " + "; ".join(parts[3:]) + ". Mean ± std over seeds."


def _join(values: Any) -> str:
    return " or ".join(dict.fromkeys(str(value) for value in values))
