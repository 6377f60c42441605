"""One page of everything, in one file that opens offline. Imports no JAX.

The page is made of a folder's raw rows and provenance alone and carries no date, so the same
scores give the same bytes.
"""

from __future__ import annotations

import base64
import re
import shlex
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.report import (
    answer,
    audits,
    claims,
    compare,
    figures,
    formats,
    layout,
    notes,
    own,
    package,
    plots,
    stats,
)
from bench.report.plots import Figure, Line
from bench.report.published import Score
from bench.report.scores import (
    OFFLINE_RL,
    SCALED_SOURCE,
    SEED,
    Column,
    Results,
    aggregate,
    interval_text,
    read,
    tasks_of,
)
from bench.report.text import finish_html
from envs.spaces import Array
from envs.tasks import FAMILIES, OWN, TASKS

LAST_EVALUATIONS = 3  # beside last and best, the mean of so many
PAGE = "report.html"
_ADDRESSES = {
    r"arXiv:(\d{4}\.\d{4,5})": "https://arxiv.org/abs/{}",
    r"([\w-]+)/([\w.-]+)#(\d+)": "https://github.com/{}/{}/issues/{}",
}
# Whose tracks the page shows; those of all mazes would make it slow to open on a phone.
_TRACKS = ("antmaze-medium-play", "pointmaze-medium-play")


def build(folder: Path) -> dict[str, str]:
    """The page of what is in ``folder``, ``results/<source>/<profile>``."""
    return {PAGE: render(read(folder))}


def render(results: Results) -> str:
    """The page as HTML."""
    families = results.matrices
    lines = figures.lines(results)
    drawn = figures.figures(results, lines)
    pictures = {name: _inline(name, figure) for name, figure in drawn.items() if _in_page(name)}
    folder = results.folder
    # Claims on own data stand with the task that they are about.
    verdicts = [row for row in claims.texts(results) if not row["task"]]
    in_post = any(TASKS[task].in_post for task in results.summary["task"])
    tracks = [task for task in _TRACKS if task in results.panels]
    own_sections = own.sections(results)
    styles = [column.style for column in results.columns.values()]
    leads = {family: scores for family, scores in families.items() if family != OWN}
    compared = compare.compare(results.summary)
    chapters = {
        "dichotomy": ("The dichotomy", leads),
        "claims": ("The post's claims" if in_post else "Claims", verdicts),
        "own": ("Task by task", own_sections),
        "table": ("Table 1" if in_post else "Scores", True),
        "aggregates": ("Aggregates", families),
        "improvement": ("Probability of improvement", families),
        "profiles": ("Performance profiles", families),
        "curves": ("Learning curves", any(name.startswith("curve-") for name in lines)),
        "tracks": ("Where they go", tracks),
        "methods": ("The methods", True),
        "downloads": ("Downloads", True),
    }
    return package.render(
        "page.html.jinja",
        finish_html,
        title=f"{folder.parent.name}, {folder.name}",
        # An interval is not broken at the end of a line.
        answer=[re.sub(r"(\[[^ ]+,) ", "\\1\u00a0", text) for text in answer.sentences(results)],
        headings={name: heading for name, (heading, there) in chapters.items() if there},
        claims=verdicts,
        downloads=_downloads(results, compared),
        lines=_values(results, lines),
        columns=_columns(results),
        sides=[(side, len(list(group))) for side, group in groupby(styles)],
        families=[_family(results, section) for section in layout.sections(results)],
        leads=[_lead(results, family, scores) for family, scores in leads.items()],
        own=own_sections,
        in_post=in_post,
        aggregates=[_aggregates(results, family, scores) for family, scores in families.items()],
        improvements=[
            _improvements(results, family, scores) for family, scores in families.items()
        ],
        pictures=pictures,
        top=_top(results),
        tracks=tracks,
        description=notes.describe(results),
        notes=[
            *notes.notes(results),
            *audits.all_remarks(results.audited),
            *_notes(results, families),
        ],
        details={name: _details(results, name, compared) for name in results.provenance},
        verdict=compare.summary(compared),
        confidence=stats.CONFIDENCE_TEXT,
        resamples=f"{stats.NUM_RESAMPLES:,}",
        optimal=f"{stats.OPTIMAL:.0f}",
    )


def _notes(results: Results, families: dict[str, dict[str, Array]]) -> list[str]:
    """Says which methods have no aggregate."""
    lines = []
    for family in FAMILIES:
        tasks = tasks_of(family)
        left = [
            column.title
            for name, column in results.columns.items()
            if all((task, name) in results.curves for task in tasks)
            and name not in families.get(family, {})
        ]
        if left:
            lines.append(
                f"Not among the aggregates of {family}, as its tasks have different numbers of "
                f"seeds: {', '.join(left)}."
            )
    return lines


def _top(results: Results) -> int:
    """The score at which bars end: 100, or the next ten above the highest score."""
    return max(100, 10 * int(np.ceil(results.summary["mean"].max() / 10)))


def _columns(results: Results) -> list[dict[str, Any]]:
    looks = plots.looks(results.columns)
    return [
        {
            "name": name,
            "title": column.title,
            "side": _side(column),
            "look": looks[name],
            "style": column.style,
            "told": column.told,
            "paper": column.paper,
            "link": _link(column.paper),
        }
        for name, column in results.columns.items()
    ]


def _link(paper: str) -> str:
    """The address of a paper or of an issue; empty if its name does not say."""
    for pattern, address in _ADDRESSES.items():
        if match := re.fullmatch(pattern, paper):
            return address.format(*match.groups())
    return ""


def _side(column: Column) -> str:
    """The column's class in the page."""
    return "rl" if column.style == OFFLINE_RL else "bc"


def _family(results: Results, section: layout.Section) -> dict[str, Any]:
    """The rows of one family: a cell is its texts, or None where it was not run."""
    *tasks, average = section.rows
    return {
        "average": layout.with_note(section.family, average.name),
        "rows": [{"task": row.name, "cells": _cells(row)} for row in tasks],
        "averages": _cells(average),
    }


def _cells(row: layout.Row) -> list[dict[str, Any]]:
    best = row.near_best()
    return [
        {"ours": None if cell is None else _ours(cell, near), "published": _published(score)}
        for cell, near, score in zip(row.cells, best, row.published, strict=True)
    ]


def _ours(cell: layout.Cell, near: bool) -> dict[str, Any]:
    deviation = "" if np.isnan(cell.std) else f"{cell.std:z.1f}"
    mean, score = f"{cell.mean:z.1f}", f"{cell.mean:.3f}"
    return {"mean": mean, "std": deviation, "score": score, "best": near}


def _published(score: Score | None) -> dict[str, str] | None:
    return None if score is None else {"score": f"{score[0]:z.1f}", "version": score[1]}


def _lead(results: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
    """The best of either side on ``family``, with its interval."""
    sides = []
    for style in dict.fromkeys(column.style for column in results.columns.values()):
        names = [a for a in scores if results.columns[a].style == style]
        if names:
            best = max(names, key=lambda name: float(stats.mean(scores[name])))
            mean, low, high = aggregate(stats.mean, scores[best], family)
            column = results.columns[best]
            sides.append(
                {
                    "style": style,
                    "side": _side(column),
                    "title": column.title,
                    "mean": f"{mean:z.1f}",
                    "interval": interval_text(low, high),
                }
            )
    return {"family": family, "heading": layout.with_note(family, family), "sides": sides}


def _aggregates(results: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
    rows = []
    for algorithm, matrix in scores.items():
        cells = [aggregate(statistic, matrix, family) for statistic in stats.AGGREGATES.values()]
        texts = [
            {"value": f"{v:z.1f}", "interval": interval_text(low, high)} for v, low, high in cells
        ]
        column = results.columns[algorithm]
        rows.append({"title": column.title, "side": _side(column), "cells": texts})
    return {"family": family, "statistics": list(stats.AGGREGATES), "rows": rows}


def _improvements(results: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
    """Probability that a run of the row's method beats one of the column's, for every pair."""
    resampled = {
        # Two methods' seeds are drawn apart from each other.
        name: stats.resample(matrix, np.random.default_rng([SEED, index]))
        for index, (name, matrix) in enumerate(scores.items())
    }
    rows = []
    for ours, matrix in scores.items():
        cells: list[dict[str, Any] | None] = []
        for theirs, other in scores.items():
            if ours == theirs:
                cells.append(None)
                continue
            value = float(stats.probability_of_improvement(matrix, other))
            draws = stats.probability_of_improvement(resampled[ours], resampled[theirs])
            ends = stats.improvement_bounds(value, draws, matrix, other)
            low, high = stats.rounded(np.array(ends)).tolist()
            cells.append(
                {
                    "value": f"{value:.2f}",
                    "interval": interval_text(low, high, 2),
                    "sure": not low <= 0.5 <= high,
                }
            )
        column = results.columns[ours]
        rows.append({"title": column.title, "side": _side(column), "cells": cells})
    return {"family": family, "rows": rows}


def _in_page(name: str) -> bool:
    """All but the dichotomy as a whole and that of own data, which are shown part by part."""
    kind, _, what = name.partition("-")
    return what in _TRACKS if kind == "tracks" else what not in ("", OWN) or kind == "profile"


def _inline(name: str, figure: Figure) -> str:
    kind, _, what = name.partition("-")
    labels = {
        "dichotomy": f"Mean score of each method on {what}; the numbers are under Aggregates.",
        "own": f"Score of each method on {what}, and of what needs no learning; a table follows.",
        "profile": f"Share of runs on {what} above each score, a line for each method.",
        "curve": f"Score on {what} over training steps, a line for each method.",
        "tracks": f"Where episodes went in {what}, a map of the maze for each method.",
    }
    return plots.inline(figure, name, labels[kind])


def _details(results: Results, name: str, compared: pd.DataFrame) -> list[Any]:
    """The parts that a cell opens, (heading, rows of texts) each; the first is its title."""
    facts = results.provenance[name]
    task, algorithm = facts["task"]["name"], facts["algorithm"]
    curve = results.curves[task, algorithm]
    lasts = stats.last(curve)
    low, high = stats.cell_interval(lasts)
    scores = [["mean of the last evaluation", f"{lasts.mean():.2f}"]]
    if len(lasts) > 1:
        heading = f"{stats.CONFIDENCE_TEXT} interval (Student's t)"
        scores.append([heading, f"{low:.2f} to {high:.2f}"])
    if curve.shape[1] > 1:
        few = min(LAST_EVALUATIONS, curve.shape[1])
        text = f"{stats.mean_of_last(curve, few).mean():.2f}"
        scores.append([f"mean of the last {few} evaluations", text])
        text = f"{stats.best(curve).mean():.2f}, picked by the score itself: biased upwards"
        scores.append(["best evaluation of each seed", text])
    seeds = zip(curve.index, lasts, strict=True)
    scores += [[f"seed {seed}", f"{score:.2f}"] for seed, score in seeds]
    mine = compared[(compared["task"] == task) & (compared["algorithm"] == algorithm)]
    printed = [
        [row.source, f"{row.published:z.1f}, {row.relation}, ours {row.difference:+z.1f}"]
        for row in mine.itertuples()
    ]
    part = lambda key: value if isinstance(value := facts.get(key), dict) else {}
    dataset = part("dataset") | {"source": facts["settings"]["source"]}
    run = {key: facts[key] for key in ("environment", "device", "commit") if key in facts}
    head = {"folder": f"{task}/{algorithm}/{facts['hash']}"}
    head |= {"run it again": _command(results, facts)}
    return [
        [f"{task}, {facts['title']}", _texts(head)],
        ["Scores", scores],
        *([["Published", printed]] if printed else []),
        ["Data", _texts(dataset)],
        ["Settings", _texts(facts["settings"] | part("config"))],
        ["Run", _texts(run | part("versions"))],
    ]


def _command(results: Results, facts: dict[str, Any]) -> str:
    """The command that runs a cell again, with settings that can be given beside its profile."""
    settings, task = facts["settings"], TASKS[facts["task"]["name"]]
    words = ["rl-or-bc", "train", facts["algorithm"]]
    if task.family == OWN:
        references = [f"{value!r}" for value in task.reference_returns]
        words += [task.data, "--environment", task.environment, "--reference", *references]
    else:
        words += [task.name]
    words += ["--profile", results.folder.name, "--source", settings["source"]]
    if settings["source"] == SCALED_SOURCE:
        words += ["--scale", f"{settings['scale']:g}"]
    words += ["--num-seeds", str(len(settings["seeds"]))]
    words += ["--num-episodes", str(settings["num_episodes"])]
    if "eval_interval" in settings and "num_steps" in facts.get("config", {}):
        number = facts["config"]["num_steps"] // settings["eval_interval"]
        words += ["--num-evaluations", str(number)]
    version = str(facts.get("environment", "")).rpartition("-")[2]
    if version in task.kind.versions[1:]:
        words += ["--environment", version]
    if facts.get("dataset_provenance", {}).get("doubts"):
        words.append("--insist")
    return shlex.join(words)


def _downloads(results: Results, compared: pd.DataFrame) -> list[dict[str, str]]:
    """Files that the page carries, by name, as addresses that need no net."""
    rows = [
        (task, algorithm, step, scores.mean(), *stats.cell_interval(scores.to_numpy()))
        for (task, algorithm), curve in results.curves.items()
        for step, scores in curve.items()
    ]
    columns = ["task", "algorithm", "step", "mean", "low", "high"]
    curves = pd.DataFrame(rows, columns=columns).replace([np.inf, -np.inf], np.nan)
    contents = {
        "table1.csv": ("every cell of the table with its interval", formats.csv(results)),
        "curves.csv": ("every evaluation with its interval", formats.to_csv(curves, "%.3f")),
        "claims.csv": (
            "every claim with its figure, interval and verdict",
            formats.to_csv(pd.DataFrame(claims.texts(results)), "%.3f"),
        ),
        "published.csv": ("each published score beside ours", compare.to_csv(compared)),
    }
    return [
        {"name": name, "about": about, "address": _address(text)}
        for name, (about, text) in contents.items()
        if text.count("\n") > 1
    ]


def _address(text: str) -> str:
    return f"data:text/csv;base64,{base64.b64encode(text.encode()).decode()}"


def _values(results: Results, lines: dict[str, list[Line]]) -> dict[str, list[dict[str, Any]]]:
    """The lines of each picture that has some: their names and values."""
    return {
        name: [
            {
                "method": line.algorithm,
                "title": results.columns[line.algorithm].title,
                **{key: getattr(line, key).tolist() for key in ("x", "y", "low", "high")},
            }
            for line in of_picture
        ]
        for name, of_picture in lines.items()
    }


def _texts(values: dict[str, Any]) -> list[list[str]]:
    join = lambda value: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return [[key.replace("_", " "), join(value)] for key, value in values.items()]
