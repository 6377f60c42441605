"""Results as pictures: what each of them shows. Imports no JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.report import audits, plots, stats
from bench.report.plots import Figure, Line, Point
from bench.report.scores import Column, Results, aggregate, read, resample
from envs.spaces import Array
from envs.tasks import TASKS

PICTURE = "dichotomy.svg"  # the one that is kept beside the scores


def build(folder: Path) -> dict[str, str]:
    """The picture that is kept beside the scores, if a method has all tasks of a family."""
    panels = dichotomy(read(folder))
    return {PICTURE: plots.svg(plots.dichotomy(panels, key=True), "dichotomy")} if panels else {}


def pictures(results: Results) -> dict[str, str | bytes]:
    """Every picture as SVG and PNG."""
    contents: dict[str, str | bytes] = {}
    for name, figure in figures(results, lines(results)).items():
        contents[f"{name}.svg"] = plots.svg(figure, name)
        contents[f"{name}.png"] = plots.png(figure)
    return contents


def lines(results: Results) -> dict[str, list[Line]]:
    """Name of a picture -> its lines: profiles by family, curves by task."""
    looks = plots.looks(results.columns)
    named = {
        f"profile-{family}": [profile(name, looks[name], of) for name, of in matrices.items()]
        for family, matrices in results.matrices.items()
    }
    for task in TASKS:
        curves = {name: results.curves.get((task, name)) for name in results.columns}
        of_task = [
            curve(name, looks[name], scores)
            for name, scores in curves.items()
            if scores is not None and scores.shape[1] > 1
        ]
        if of_task:
            named[f"curve-{task}"] = of_task
    return named


def figures(results: Results, lines: dict[str, list[Line]]) -> dict[str, Figure]:
    """Name -> picture: the dichotomy, profiles by family, curves by task, tracks by maze task.

    Args:
        results: what is drawn.
        lines: what ``lines`` gives of them.
    """
    drawn: dict[str, Figure] = {}
    panels = dichotomy(results)
    if panels:
        drawn["dichotomy"] = plots.dichotomy(panels, key=True)
    for family, points in panels.items():
        drawn[f"dichotomy-{family}"] = plots.dichotomy({family: points})
    for task in results.own_tasks():
        drawn[f"own-{task}"] = plots.dichotomy({task: _own_points(results, task)})
    for name, of_picture in lines.items():
        kind, _, what = name.partition("-")
        if kind == "profile":
            labels = ("score", "share of runs above it")
            drawn[name] = plots.curves(what, of_picture, labels, (-0.02, 1.02))
        else:
            drawn[name] = plots.curves(what, of_picture, ("step", "score"))
    for task, panels_of_task in results.panels.items():
        drawn[f"tracks-{task}"] = plots.tracks(TASKS[task].environment, panels_of_task)
    return drawn


def dichotomy(results: Results) -> dict[str, list[Point]]:
    """Family -> the mean of each method that has all of its tasks."""
    return {family: points(results, family, of) for family, of in results.matrices.items()}


def points(results: Results, family: str, matrices: dict[str, Array]) -> list[Point]:
    """The mean of each method over ``family``, with its interval, beside the published one.

    Args:
        results: which the methods are part of.
        family: of tasks.
        matrices: algorithm -> ``[num_runs, num_tasks]``.
    """
    drawn = []
    for algorithm, matrix in matrices.items():
        published = results.published.get((f"{family} average", algorithm))
        value = None if published is None else published[0]
        mean, low, high = aggregate(stats.mean, matrix, family)
        drawn.append(Point(results.columns[algorithm], mean, low, high, value))
    return drawn


def _own_points(results: Results, task: str) -> list[Point]:
    """Every method's score on one task, and what needs no learning."""
    points = []
    for algorithm, column in results.columns.items():
        if (task, algorithm) in results.curves:
            lasts = stats.last(results.curves[task, algorithm])
            mean = float(lasts.mean())
            ends = _drawn(lasts.mean(), np.array(stats.cell_interval(lasts)))
            # Wider than any score can be, an interval of few seeds would hide the others.
            low, high = np.clip(ends, min(mean, -20.0), max(mean, 140.0)).tolist()
            points.append(Point(column, mean, low, high, None))
    for audited in results.audited:
        if audited.task.name == task:
            for name, score in audits.scores(audited.audit, audited.task).items():
                column = Column(audits.BASELINES[name], "without learning", "nothing")
                points.append(Point(column, score, score, score, None))
    return points


def profile(algorithm: str, look: plots.Look, matrix: Array) -> Line:
    """The share of runs above each score; the band is its interval."""
    thresholds = np.linspace(0.0, 110.0, 56)
    profile = stats.performance_profile(matrix, thresholds)
    resampled = stats.performance_profile(resample(matrix), thresholds)
    band = np.clip(_drawn(profile, stats.bounds(profile, resampled, matrix)), 0.0, 1.0)
    return Line(algorithm, look, thresholds, *map(stats.rounded, (profile, *band)))


def curve(algorithm: str, look: plots.Look, curve: pd.DataFrame) -> Line:
    """Means over seeds; the band is each evaluation's interval."""
    scores = curve.to_numpy()
    ends = np.array([stats.cell_interval(seeds) for seeds in scores.T]).T
    mean = scores.mean(axis=0)
    # Wider than any score can be, an interval of few seeds would hide all the other curves.
    low, high = np.clip(_drawn(mean, ends), np.minimum(mean, -20.0), np.maximum(mean, 140.0))
    return Line(algorithm, look, curve.columns.to_numpy(), *map(stats.rounded, (mean, low, high)))


def _drawn(values: Array, ends: Any) -> Array:
    """Both ``[2, ...]`` ends of intervals as they are drawn: of no width where there is none."""
    return np.where(np.isfinite(ends), ends, values)
