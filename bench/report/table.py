"""Tables from raw rows. Imports no JAX, so it is instant and runs anywhere.

A cell is the mean over seeds, and the standard deviation over seeds (ddof 1), of the *last*
evaluation: each return is normalized, then averaged over the seed's episodes. The CSV adds the
95 % interval of that mean (``bench.report.stats.cell_interval``). Published scores stand under
ours.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Group

from bench import screen, store
from bench.places import LOCAL
from bench.report import audits, package, stats
from bench.report.audits import Audited
from bench.report.text import escape_markdown
from envs import files
from envs.errors import InputError
from envs.tasks import FAMILIES, OWN, TASKS, get_task
from envs.text import for_terminal, printable

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
# What the summary has beside them: where a cell was scored, and its 0 and 100 when it was.
SCORED_COLUMNS = (
    *("environment", "reference_returns"),
    *("class", "arguments", "wrappers", "time_limit"),  # see ``envs.sources.collected_in``
)
# Columns of a task that differ in one of these are not to be compared; how a sentence says it.
_DIFFERENCES = {
    "data_hash": "learned from different data",
    "environment": "were scored in different environments",
    "reference_returns": "were run with different reference returns",
    "class": "were scored in environments of different classes",
    "arguments": "were scored in environments with different arguments",
    "wrappers": "were scored in different wrappers",
    "time_limit": "were scored with different time limits",
}
SCALED_SOURCE = "regenerated"  # the one whose data are collected in the size that is asked for
DOUBT_MARK = "†"  # beside a score whose data the user insisted on

PUBLISHED = package.REFERENCE / "published.csv"
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
    """One row of ``TABLE_COLUMNS`` and ``SCORED_COLUMNS`` per cell, in ``provenance``'s order.

    Args:
        rows: raw ``results.SCORE_COLUMNS`` rows.
        provenance: per cell, what ``bench.run.cell.read`` gives.
        profile: the profile's name.

    Raises:
        InputError: rows without provenance, or cells with missing seeds or episodes.
    """
    summary = []
    groups = dict(list(rows.groupby(store.cell_names(rows), sort=False)))
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
        about_data = facts.get("dataset_provenance", {})
        scored_in = about_data.get("scored_in", {})
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
                "; ".join(about_data.get("doubts", [])),
                *(
                    # A cell of an older version may not say, which is no difference.
                    str(part[key]) if key in part else None
                    for part, key in zip(
                        (facts, facts["task"], *[scored_in] * 4), SCORED_COLUMNS, strict=True
                    )
                ),
            )
        )
    return pd.DataFrame(summary, columns=[*TABLE_COLUMNS, *SCORED_COLUMNS])


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
        if shown and not TASKS[shown[0]].in_post and family != OWN:
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


def render_markdown(
    summary: pd.DataFrame,
    columns: dict[str, Column],
    published: Published,
    audited: Sequence[Audited] = (),
) -> str:
    """The table as Markdown; arguments as of ``layout``, and the audits of the data."""
    lines = [
        escape_markdown(describe(summary)),
        "",
        _line("task", [escape_markdown(column.title) for column in columns.values()]),
        "|---|" + "---:|" * len(columns),
        _line("", [f"*{column.style}*" for column in columns.values()]),
    ]
    marks = {"task": "{}", "average": "**{}**", "published": "*{}*", "note": "*{}*"}
    for row in layout(summary, columns, published):
        mark = lambda text, kind=row.kind: (
            text if text in ("", "-") else marks[kind].format(escape_markdown(text))
        )
        lines.append(_line(mark(row.title), [mark(text) for text in row.texts]))
    if audits.beside(audited):
        lines += ["", _line("without learning", audits.BASELINES.values())]
        lines += ["|---|" + "---:|" * len(audits.BASELINES)]
        lines += [_line(escape_markdown(task), texts) for task, texts in audits.beside(audited)]
    for note in [*notes(summary, columns), *audits.all_remarks(audited)]:
        lines += ["", escape_markdown(note)]
    return "\n".join(lines) + "\n"


def render_csv(summary: pd.DataFrame, published: Published, audited: Sequence[Audited] = ()) -> str:
    """One line per cell: ``TABLE_COLUMNS`` and the published score, where there is one.

    Own data have a line more for each of ``audits.BASELINES``, its name in ``algorithm``.
    """
    keys = zip(summary["task"], summary["algorithm"], strict=True)
    scores = [published.get(key, (np.nan, ""))[0] for key in keys]
    in_post = [TASKS[task].in_post for task in summary["task"]]
    rows = summary[list(TABLE_COLUMNS)].assign(published=scores, in_post=in_post)
    rows = rows.replace([np.inf, -np.inf], np.nan)
    more = audits.rows(audited).assign(profile=_join(summary["profile"]), in_post=False)
    _, _, lines = csv(more.reindex(columns=rows.columns), "%.4f").partition("\n")
    return csv(rows, "%.4f") + lines


def csv(rows: pd.DataFrame, float_format: str) -> str:
    """``rows`` as CSV, a line each."""
    foreign = rows.select_dtypes(["object", "str"])
    shown = foreign.map(lambda value: printable(value) if isinstance(value, str) else value)
    return rows.assign(**shown).to_csv(index=False, float_format=float_format, lineterminator="\n")


def render_text(
    summary: pd.DataFrame, columns: dict[str, Column], width: int | None = None
) -> Group:
    """The means alone, for a terminal.

    Args:
        summary: what ``summarize`` gives.
        columns: algorithm -> what heads its column, in the order to show.
        width: of the terminal; by default that of the one that there is.
    """
    cells = {(row.task, row.algorithm): row for row in summary.itertuples()}
    header = ["task"]
    for column in columns.values():
        mark = "" if column.style == "imitation" else "*"
        header.append(f"{for_terminal(column.title)}{mark}".replace(" ", "\n").replace("+", "\n+"))
    rows, styles = [], []
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        shown = [task for task in tasks if any((task, a) in cells for a in columns)]
        if shown and not TASKS[shown[0]].in_post and family != OWN:
            rows.append([f"{NOT_IN_POST}:", *("" for _ in columns)])
            styles.append("italic")
        for task in shown:
            ours = [cells.get((task, a)) for a in columns]
            texts = ("-" if cell is None else f"{cell.mean:z.1f}{_mark(cell)}" for cell in ours)
            rows.append([task, *texts])
            styles.append("")
        if shown:
            averages = (_average(cells.get((task, a)) for task in tasks) for a in columns)
            rows.append([f"{family} average", *averages])
            styles.append("bold")
    return screen.in_blocks(header, rows, right=range(1, len(header)), styles=styles, columns=width)


def in_order(summary: pd.DataFrame) -> list[str]:
    """The algorithms in the registry's order, as far as the rows tell.

    The rows of a task are in that order. Where one task lacks a method, another may have it.
    """
    before: dict[str, list[str]] = {}
    for _, names in summary.groupby("task", sort=False)["algorithm"]:
        for previous, name in zip([None, *names], names, strict=False):
            before.setdefault(name, []).extend([previous] if previous else [])
    try:
        return list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError:  # rows in an order that no grid writes
        return list(before)


def average_name(family: str) -> str:
    """What the line of a family's average is called."""
    return with_note(family, f"{family} average")


def with_note(family: str, text: str) -> str:
    """``text`` about a family, which says so if Table 1 has no such line; own data need not."""
    in_post = all(task.in_post for task in TASKS.values() if task.family == family)
    return text if in_post or family == OWN else f"{text}, {NOT_IN_POST}"


def read_published() -> Published:
    """(task or family average, algorithm) -> (score, D4RL version), as the post's sources print it.

    Averages are taken where a source has every task of the family.
    """
    rows = package.read_rows(PUBLISHED, ("task", "version", "algorithm", "score", "source"))
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
    with store.reading(folder):
        rows = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
        provenance = store.read_provenance(folder / "provenance.json")
    summary = summarize(rows, provenance, folder.name)
    columns = {
        facts["algorithm"]: Column(facts["title"], facts["style"], facts["told"])
        for facts in provenance.values()
    }
    # In the post's order, also where the first task lacks a method: imitation first.
    order = sorted(in_order(summary), key=lambda name: columns[name].style != "imitation")
    return summary, {name: columns[name] for name in order}


def build(folder: Path) -> dict[str, str]:
    """File name -> content of every table that ``folder``'s raw rows give."""
    summary, columns = load(folder)
    published = read_published()
    audited = audits.read(folder)
    return {
        "table1.csv": render_csv(summary, published, audited),
        "table1.md": render_markdown(summary, columns, published, audited),
    }


def write(folder: Path) -> None:
    """Write the tables of ``folder``."""
    with store.writing(folder):
        for name, text in build(folder).items():
            files.write_text(folder / name, text)


def stale(folder: Path) -> list[Path]:
    """Tables of ``folder`` that are not what its scores give."""
    return files.differing(folder, build(folder))


def find(results_folder: Path, source: str | None = None, profile: str | None = None) -> list[Path]:
    """Every ``<source>/<profile>`` folder with scores, sorted.

    Args:
        results_folder: root of results; those of ``places.LOCAL`` below it are not its own.
        source: only tables of this source, if named.
        profile: only tables of this profile, if named.
    """
    folders = sorted(path.parent for path in results_folder.glob("*/*/scores.csv"))
    return [
        folder
        for folder in folders
        if folder.parent.name != LOCAL.name
        and source in (None, folder.parent.name)
        and profile in (None, folder.name)
    ]


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
        texts.append(f"{score[0]:z.1f}{suffix}" if score else "")
    return [Row("published", versions[0], family, tuple(texts))]


def _average(row: Iterable[Any]) -> str:
    cells = list(row)
    return "-" if None in cells else f"{np.mean([cell.mean for cell in cells]):z.1f}"


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
    lines = [f"Not to be compared: {difference}." for difference in differences(summary)]
    doubts = dict.fromkeys(filter(None, summary["doubts"]))
    return lines + [f"{DOUBT_MARK} Insisted on: {doubt}." for doubt in doubts]


def differences(summary: pd.DataFrame) -> list[str]:
    """Why columns of one task cannot be compared, a clause each."""
    return [
        f"columns of {task} {text}"
        for task, rows in summary.groupby("task", sort=False)
        for key, text in _DIFFERENCES.items()
        if key in rows and rows[key].nunique() > 1
    ]


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    deviation = "" if np.isnan(cell.std) else f" ± {cell.std:z.1f}"
    return f"{cell.mean:z.1f}{deviation}{_mark(cell)}"


def _mark(cell: Any) -> str:
    return f" {DOUBT_MARK}" if cell.doubts else ""


def describe(summary: pd.DataFrame) -> str:
    """What is shown: profile, source, seeds, steps, episodes, without which no number may stand."""
    parts = [f"profile {_join(summary['profile'])}", f"source {_join(summary['source'])}"]
    one = (summary["num_seeds"] == 1).all()
    parts.append("1 seed" if one else f"{_join(summary['num_seeds'])} seeds")
    for family, rows in summary.groupby("family", sort=False):
        steps = " to ".join(
            f"{step:,}" for step in sorted({rows["step"].min(), rows["step"].max()})
        )
        shares = " or ".join(_percent(share) for share in _shares(rows))
        data = f"{shares} of the rows, " if shares else ""
        episodes = f"{_join(rows['num_episodes'])} episodes a seed"
        parts.append(f"{family}: {data}{steps} steps, {episodes}")
    size = ", ".join(parts[:3]) + "; " + "; ".join(parts[3:])
    spread = "" if one else " Mean ± std over seeds."
    return f"Normalized scores (0 random, 100 reference): {size}.{spread}"


def _shares(summary: pd.DataFrame) -> list[float]:
    """Shares of D4RL's rows that regenerated data have, the smallest first."""
    return sorted(summary["scale"].dropna().unique())


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _join(values: Any) -> str:
    return " or ".join(dict.fromkeys(str(value) for value in values))
