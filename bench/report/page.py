"""One page of everything, in one file that opens offline. Imports no JAX.

The page is made of a folder's raw rows and provenance alone and carries no date, so the same
scores give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench import store
from bench.report import audits, compare, package, plots, stats, table
from bench.report.audits import Audited
from bench.report.plots import Figure, Line, Panel, Point
from bench.report.table import Column
from bench.report.text import finish_html
from envs import files
from envs.errors import InputError
from envs.spaces import Array
from envs.tasks import FAMILIES, OWN, TASKS

SEED = 0  # of every bootstrap
LAST_EVALUATIONS = 3  # beside last and best, the mean of so many
PAGE, PICTURE = "report.html", "dichotomy.svg"
# Whose tracks the page shows; those of all mazes would make it slow to open on a phone.
_TRACKS = ("antmaze-medium-play", "pointmaze-medium-play")


class Results(NamedTuple):
    """What a folder holds, read once.

    Attributes:
        summary: what ``table.summarize`` gives.
        columns: algorithm -> what heads its column.
        curves: (task, algorithm) -> what ``stats.evaluations`` gives.
        provenance: cell name -> where its rows come from.
        published: what ``table.read_published`` gives.
        panels: task of a maze -> where a few episodes of each method went.
        audited: what ``audits.read`` gives.
    """

    summary: pd.DataFrame
    columns: dict[str, Column]
    curves: dict[tuple[str, str], pd.DataFrame]
    provenance: dict[str, Any]
    published: table.Published
    panels: dict[str, list[Panel]]
    audited: list[Audited]

    @property
    def constant(self) -> list[str]:
        """Tasks whose rewards prefer no action to another, so that RL does not apply."""
        return [task.name for task, audit, _ in self.audited if audits.rewards_tell_nothing(audit)]


def read(folder: Path) -> Results:
    """The results in ``folder``, ``results/<source>/<profile>``."""
    with store.reading(folder):
        return _read(folder)


def _read(folder: Path) -> Results:
    summary, columns = table.load(folder)
    rows = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
    curves = {
        (str(task), str(algorithm)): stats.evaluations(cell, TASKS[str(task)].reference_returns)
        for (task, algorithm), cell in rows.groupby(["task", "algorithm"], sort=False)
    }
    provenance = store.read_provenance(folder / "provenance.json")
    tracks = store.read_rows(folder / "tracks.csv", store.TRACK_COLUMNS)
    panels = _panels(tracks, rows, columns, curves)
    published, audited = table.read_published(), audits.read(folder)
    return Results(summary, columns, curves, provenance, published, panels, audited)


def _panels(
    tracks: pd.DataFrame,
    rows: pd.DataFrame,
    columns: dict[str, Column],
    curves: dict[tuple[str, str], pd.DataFrame],
) -> dict[str, list[Panel]]:
    keys = ["task", "algorithm", "seed", "episode"]
    ends = rows[rows["step"] == rows.groupby(["task", "algorithm"])["step"].transform("max")]
    reached = ends.set_index(keys)["return"] > 0.0
    if not set(tracks[keys].itertuples(index=False, name=None)) <= set(reached.index):
        raise InputError(
            "tracks.csv has an episode that scores.csv lacks; restore or delete tracks.csv"
        )
    panels: dict[str, list[Panel]] = {}
    for name in dict.fromkeys(zip(tracks["task"], tracks["algorithm"], strict=True)):
        task, algorithm = name
        cell = tracks[(tracks["task"] == task) & (tracks["algorithm"] == algorithm)]
        paths = [
            (path[["x", "y"]].to_numpy(), bool(reached.loc[key]))
            for key, path in cell.groupby(keys)
        ]
        score = f"{stats.last(curves[name]).mean():z.0f}"
        panels.setdefault(task, []).append(Panel(columns[algorithm], score, paths))
    return panels


def matrix(found: Results, tasks: Sequence[str], algorithm: str) -> Array | None:
    """``scores[num_runs, num_tasks]`` of a method's last evaluations.

    None unless it has every task, with the same number of seeds: averages over other tasks compare
    nothing, and a score may not weigh more than another for the seeds that its task lacks.
    """
    curves = [found.curves.get((task, algorithm)) for task in tasks]
    scores = [stats.last(curve) for curve in curves if curve is not None]
    if not scores or len(scores) < len(tasks) or len({len(seeds) for seeds in scores}) > 1:
        return None
    return np.stack(scores, axis=1)


def matrices(found: Results) -> dict[str, dict[str, Array]]:
    """Family -> algorithm -> its ``matrix``, of those that have one."""
    families = {}
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        each = {algorithm: matrix(found, tasks, algorithm) for algorithm in found.columns}
        whole = {algorithm: scores for algorithm, scores in each.items() if scores is not None}
        if whole:
            families[family] = whole
    return families


def figures(found: Results) -> dict[str, Figure]:
    """Name -> picture: the dichotomy, profiles by family, curves by task, tracks by maze task."""
    families = matrices(found)
    looks = plots.looks(found.columns)
    drawn: dict[str, Figure] = {}
    panels = {family: _points(found, family, scores) for family, scores in families.items()}
    if panels:
        drawn["dichotomy"] = plots.dichotomy(panels, key=True)
    for family, points in panels.items():
        drawn[f"dichotomy-{family}"] = plots.dichotomy({family: points})
    for task in own_tasks(found):
        drawn[f"own-{task}"] = plots.dichotomy({task: _own_points(found, task)})
    for family, scores in families.items():
        lines = [_profile(looks[a], matrix) for a, matrix in scores.items()]
        labels = ("score", "share of runs above it")
        drawn[f"profile-{family}"] = plots.curves(family, lines, labels, (-0.02, 1.02))
    for task in TASKS:
        lines = [
            _curve(looks[algorithm], found.curves[task, algorithm])
            for algorithm in found.columns
            if (task, algorithm) in found.curves and found.curves[task, algorithm].shape[1] > 1
        ]
        if lines:
            drawn[f"curve-{task}"] = plots.curves(task, lines, ("step", "score"))
    for task, panels_of_task in found.panels.items():
        drawn[f"tracks-{task}"] = plots.tracks(TASKS[task].environment, panels_of_task)
    return drawn


def _points(found: Results, family: str, scores: dict[str, Array]) -> list[Point]:
    points = []
    for algorithm, matrix in scores.items():
        published = found.published.get((f"{family} average", algorithm))
        value = None if published is None else published[0]
        mean, low, high = _aggregate(stats.mean, matrix, family)
        points.append(Point(found.columns[algorithm], mean, low, high, value))
    return points


def own_tasks(found: Results) -> list[str]:
    """The tasks of own data that have scores."""
    scored = {task for task, _ in found.curves}
    return [name for name, task in TASKS.items() if task.family == OWN and name in scored]


def _own_points(found: Results, task: str) -> list[Point]:
    """Every method's score on one task, and what needs no learning."""
    points = []
    for algorithm, column in found.columns.items():
        if (task, algorithm) in found.curves:
            lasts = stats.last(found.curves[task, algorithm])
            mean = float(lasts.mean())
            ends = _drawn(lasts.mean(), np.array(stats.cell_interval(lasts)))
            # Wider than any score can be, an interval of few seeds would hide the others.
            low, high = np.clip(ends, min(mean, -20.0), max(mean, 140.0)).tolist()
            points.append(Point(column, mean, low, high, None))
    for audited in found.audited:
        if audited.task.name == task:
            for name, score in audits.scores(audited.audit, audited.task).items():
                column = Column(audits.BASELINES[name], "without learning", "nothing")
                points.append(Point(column, score, score, score, None))
    return points


def _profile(look: plots.Look, matrix: Array) -> Line:
    thresholds = np.linspace(0.0, 110.0, 56)
    profile = stats.performance_profile(matrix, thresholds)
    resampled = stats.performance_profile(_resample(matrix), thresholds)
    band = np.clip(_drawn(profile, stats.bounds(profile, resampled, matrix)), 0.0, 1.0)
    return Line(look, thresholds, *map(plots.rounded, (profile, *band)))


def _curve(look: plots.Look, curve: pd.DataFrame) -> Line:
    """Means over seeds; the band is each evaluation's interval."""
    scores = curve.to_numpy()
    ends = np.array([stats.cell_interval(seeds) for seeds in scores.T]).T
    mean = scores.mean(axis=0)
    # Wider than any score can be, an interval of few seeds would hide all the other curves.
    low, high = np.clip(_drawn(mean, ends), np.minimum(mean, -20.0), np.maximum(mean, 140.0))
    return Line(look, curve.columns.to_numpy(), *map(plots.rounded, (mean, low, high)))


def _drawn(values: Array, ends: Any) -> Array:
    """Both ``[2, ...]`` ends of intervals as they are drawn: of no width where there is none."""
    return np.where(np.isfinite(ends), ends, values)


def interval_text(low: float, high: float, digits: int = 1) -> str:
    """An interval in words."""
    return f"{low:z.{digits}f} to {high:z.{digits}f}" if np.isfinite(low) else "one seed"


def _resample(matrix: Array) -> Array:
    return stats.resample(matrix, np.random.default_rng(SEED))


def _aggregate(
    statistic: stats.Statistic, matrix: Array, family: str
) -> tuple[float, float, float]:
    """The statistic with the ends of its interval, which are infinite for a single seed.

    Rates of success, which mazes have, keep to 0 and 100, and an optimality gap is never negative.
    """
    value = statistic(matrix)
    ends = np.array(stats.bounds(value, statistic(_resample(matrix)), matrix))
    if np.isfinite(ends).all():
        rates = all(task.is_maze for task in TASKS.values() if task.family == family)
        least = 0.0 if rates or statistic is stats.optimality_gap else -np.inf
        ends = np.clip(ends, least, 100.0 if rates else np.inf)
    rounded = plots.rounded(np.array([value, *ends]))
    return float(rounded[0]), float(rounded[1]), float(rounded[2])


def build(folder: Path) -> dict[str, str]:
    """File name -> content of what this module makes of ``folder``'s raw rows."""
    found = read(folder)
    drawn = figures(found)
    files = {PAGE: _render(found, drawn, folder)}
    if "dichotomy" in drawn:
        files[PICTURE] = plots.svg(drawn["dichotomy"], "dichotomy")
    return files


def write(folder: Path) -> Path:
    """Write the page and the picture of ``folder``; returns the page's path."""
    with store.writing(folder):
        for name, text in build(folder).items():
            files.write_text(folder / name, text)
    return folder / PAGE


def write_plots(folder: Path, target: Path) -> list[Path]:
    """Write every picture of ``folder`` into ``target`` as SVG and PNG."""
    written = []
    with store.writing(target):
        for name, figure in figures(read(folder)).items():
            files.write_text(target / f"{name}.svg", plots.svg(figure, name))
            files.write_bytes(target / f"{name}.png", plots.png(figure))
            written += [target / f"{name}.svg", target / f"{name}.png"]
    return written


def stale(folder: Path) -> list[Path]:
    """The page and the picture of ``folder``, where a page was made and is not what they give."""
    if not (folder / PAGE).exists():
        return []
    return files.differing(folder, build(folder))


def _render(found: Results, drawn: dict[str, Figure], folder: Path) -> str:
    from bench.report import own  # it quotes findings, which are made of what this module reads

    families = matrices(found)
    leads = {family: scores for family, scores in families.items() if family != OWN}
    compared = compare.compare(found.summary)
    several = any(curve.shape[1] > 1 for curve in found.curves.values())
    return package.render(
        "page.html.jinja",
        finish_html,
        title=f"{folder.parent.name}, {folder.name}",
        columns=_columns(found),
        sides=[
            (side, len(list(g))) for side, g in groupby(c.style for c in found.columns.values())
        ],
        families=[_family(found, family) for family in FAMILIES],
        leads=[_lead(found, family, scores) for family, scores in leads.items()],
        own=own.sections(found),
        in_post=any(TASKS[task].in_post for task in found.summary["task"]),
        aggregates=[_aggregates(found, family, scores) for family, scores in families.items()],
        improvements=[_improvements(found, family, scores) for family, scores in families.items()],
        pictures={name: _inline(name, f) for name, f in drawn.items() if _in_page(name)},
        several=several,
        top=_top(found),
        tracks=[task for task in _TRACKS if task in found.panels],
        description=table.describe(found.summary),
        notes=[
            *table.notes(found.summary, found.columns),
            *audits.all_remarks(found.audited),
            *_notes(found, families),
        ],
        details={name: _details(found, name, compared) for name in found.provenance},
        verdict=compare.summary(compared),
        confidence=stats.CONFIDENCE_TEXT,
        resamples=f"{stats.NUM_RESAMPLES:,}",
        optimal=f"{stats.OPTIMAL:.0f}",
    )


def _notes(found: Results, families: dict[str, dict[str, Array]]) -> list[str]:
    """Says which methods have no aggregate."""
    lines = []
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        left = [
            column.title
            for name, column in found.columns.items()
            if all((task, name) in found.curves for task in tasks)
            and name not in families.get(family, {})
        ]
        if left:
            lines.append(
                f"Not among the aggregates of {family}, as its tasks have different numbers of "
                f"seeds: {', '.join(left)}."
            )
    return lines


def _top(found: Results) -> int:
    """Where the bars under scores end: 100, or the next ten above the highest score."""
    return max(100, 10 * int(np.ceil(found.summary["mean"].max() / 10)))


def _columns(found: Results) -> list[dict[str, Any]]:
    looks = plots.looks(found.columns)
    return [
        {
            "name": name,
            "title": column.title,
            "side": _side(column),
            "look": looks[name],
        }
        for name, column in found.columns.items()
    ]


def _side(column: Column) -> str:
    """The column's class in the page."""
    return "rl" if column.style == "offline RL" else "bc"


def _family(found: Results, family: str) -> dict[str, Any]:
    """The rows of one family: a cell is its texts, or None where it was not run."""
    cells = {(row.task, row.algorithm): row for row in found.summary.itertuples()}
    tasks = [name for name, task in TASKS.items() if task.family == family]
    shown = [task for task in tasks if any((task, a) in cells for a in found.columns)]
    rows = []
    for task in shown:
        row = []
        for algorithm in found.columns:
            cell: Any = cells.get((task, algorithm))
            ours = None
            if cell is not None:
                deviation = "" if np.isnan(cell.std) else f"{cell.std:z.1f}"
                ours = {"mean": f"{cell.mean:z.1f}", "std": deviation, "score": f"{cell.mean:.3f}"}
            row.append({"ours": ours, "published": _published(found, task, algorithm)})
        rows.append({"task": task, "cells": row})
    averages = []
    for algorithm in found.columns:
        means: Any = [cells[task, algorithm].mean for task in tasks if (task, algorithm) in cells]
        complete = len(means) == len(tasks)
        averages.append(
            {
                "mean": f"{np.mean(means):z.1f}" if complete else "",
                "published": _published(found, f"{family} average", algorithm),
            }
        )
    return {"average": table.average_name(family), "rows": rows, "averages": averages}


def _published(found: Results, name: str, algorithm: str) -> dict[str, str] | None:
    score = found.published.get((name, algorithm))
    return None if score is None else {"score": f"{score[0]:z.1f}", "version": score[1]}


def _lead(found: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
    """The best of either side on ``family``, with its interval."""
    sides = []
    for style in dict.fromkeys(column.style for column in found.columns.values()):
        names = [a for a in scores if found.columns[a].style == style]
        if names:
            best = max(names, key=lambda name: float(stats.mean(scores[name])))
            mean, low, high = _aggregate(stats.mean, scores[best], family)
            column = found.columns[best]
            sides.append(
                {
                    "style": style,
                    "side": _side(column),
                    "title": column.title,
                    "mean": f"{mean:z.1f}",
                    "interval": interval_text(low, high),
                }
            )
    return {"family": family, "heading": table.with_note(family, family), "sides": sides}


def _aggregates(found: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
    rows = []
    for algorithm, matrix in scores.items():
        cells = [_aggregate(statistic, matrix, family) for statistic in stats.AGGREGATES.values()]
        texts = [
            {"value": f"{v:z.1f}", "interval": interval_text(low, high)} for v, low, high in cells
        ]
        column = found.columns[algorithm]
        rows.append({"title": column.title, "side": _side(column), "cells": texts})
    return {"family": family, "statistics": list(stats.AGGREGATES), "rows": rows}


def _improvements(found: Results, family: str, scores: dict[str, Array]) -> dict[str, Any]:
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
            low, high = plots.rounded(np.array(ends)).tolist()
            cells.append(
                {
                    "value": f"{value:.2f}",
                    "interval": interval_text(low, high, 2),
                    "sure": not low <= 0.5 <= high,
                }
            )
        column = found.columns[ours]
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


def _details(found: Results, name: str, compared: pd.DataFrame) -> list[Any]:
    """What a cell opens: (heading, rows of texts) each, the first of them its title."""
    facts = found.provenance[name]
    task, algorithm = facts["task"]["name"], facts["algorithm"]
    curve = found.curves[task, algorithm]
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
    part = lambda key: found_part if isinstance(found_part := facts.get(key), dict) else {}
    dataset = part("dataset") | {"source": facts["settings"]["source"]}
    run = {key: facts[key] for key in ("environment", "device", "commit") if key in facts}
    return [
        [f"{task}, {facts['title']}", [["folder", f"{task}/{algorithm}/{facts['hash']}"]]],
        ["Scores", scores],
        *([["Published", printed]] if printed else []),
        ["Data", _texts(dataset)],
        ["Settings", _texts(facts["settings"] | part("config"))],
        ["Run", _texts(run | part("versions"))],
    ]


def _texts(values: dict[str, Any]) -> list[list[str]]:
    join = lambda value: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return [[key.replace("_", " "), join(value)] for key, value in values.items()]
