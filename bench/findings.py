"""What a table says about the post's claims, each with its interval. Imports no JAX.

Where a claim is about the best of several methods, the best is chosen anew in each resample, so
that the interval counts the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from bench import plots, report, results, stats, table
from envs.registry import TASKS, Task
from envs.types import Array, InputError

PAGE = "FINDINGS.md"
# A results folder may have a template of its own, which extends bench/findings.md.jinja.
TEMPLATE = "findings.md.jinja"

PARITY = 15.0  # points that "keeps up" allows
COLLAPSE = 20.0  # points that "breaks down" asks for
SOLVED = 60.0

_PACKAGE = jinja2.FileSystemLoader(report.TEMPLATES)
_VERDICTS = {True: "holds", False: "does not hold", None: "open"}
_OFFLINE_RL = ("td3_bc", "cql", "iql")
_IMITATION = ("bc", "bc_10pct", "onestep", "dt", "rvs_r", "rvs_g")
_WITHOUT_GOALS = ("bc", "bc_10pct", "onestep", "dt", "rvs_r")
_FAMILIES = {
    "locomotion": "locomotion",
    "antmaze": "antmaze",
    "pointmaze": table.with_note("pointmaze", "pointmaze"),
}


class Finding(NamedTuple):
    """A claim of the post beside what was measured.

    Attributes:
        claim: in words.
        family: of tasks.
        measured: what the figure is.
        value: points.
        low: lower end of its interval.
        high: upper end of it.
        holds: whether the claim does; None if the interval leaves it open.
    """

    claim: str
    family: str
    measured: str
    value: float
    low: float
    high: float
    holds: bool | None


class _Scores(NamedTuple):
    """Last evaluations on some tasks.

    Attributes:
        titles: algorithm -> what the table calls it.
        matrices: algorithm -> ``[runs, tasks]``.
        draws: algorithm -> means ``[R]`` of resamples.
    """

    titles: dict[str, str]
    matrices: dict[str, Array]
    draws: dict[str, Array]

    def known(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that were run on all of the tasks."""
        return [name for name in names if name in self.matrices]

    def best(self, names: Sequence[str]) -> tuple[str, float, Array]:
        """The best of ``names`` with its mean, and the best mean of each resample."""
        name = max(names, key=lambda name: float(stats.mean(self.matrices[name])))
        value = float(stats.mean(self.matrices[name]))
        return name, value, np.max([self.draws[name] for name in names], axis=0)

    def gap(self, ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, float, float, float]:
        """Best of ``ours`` less best of ``theirs``: in words, its value, its interval."""
        (one, value, draws), (two, other, others) = self.best(ours), self.best(theirs)
        low, high = stats.bounds(draws - others)
        text = f"{self.titles[one]} {value:.1f}, {self.titles[two]} {other:.1f}"
        return text, value - other, float(low), float(high)


def find(found: report.Results) -> list[Finding]:
    """Every claim that the results of a folder can answer, in the post's order."""
    findings = []
    for family in _FAMILIES:
        tasks = [task for task in TASKS.values() if task.family == family]
        near = _scores(found, [task for task in tasks if task.environment == "umaze"])
        far = _scores(found, [task for task in tasks if task.environment != "umaze"])
        if family == "locomotion":
            findings += _of_locomotion(far)
        else:
            findings += _of_umaze(family, near) + _of_far_mazes(family, far)
    return findings


def _of_locomotion(scores: _Scores) -> list[Finding]:
    ours, theirs = scores.known(_IMITATION), scores.known(_OFFLINE_RL)
    if not ours or not theirs:
        return []
    text, value, low, high = scores.gap(ours, theirs)
    claim = f"imitation keeps up with offline RL, within {PARITY:.0f} points"
    return [Finding(claim, "locomotion", text, value, low, high, abs(value) <= PARITY)]


def _of_umaze(family: str, scores: _Scores) -> list[Finding]:
    names = scores.known(_OFFLINE_RL)
    if not names:
        return []
    name, value, draws = scores.best(names)
    low, high = map(float, stats.bounds(draws))
    claim = f"some offline RL method solves umaze, at least {SOLVED:.0f}"
    return [Finding(claim, family, scores.titles[name], value, low, high, value >= SOLVED)]


def _of_far_mazes(family: str, scores: _Scores) -> list[Finding]:
    where = "in medium and large mazes"
    claims = (
        (
            f"{where} offline RL is {COLLAPSE:.0f} points above imitation that is told no goal",
            _OFFLINE_RL,
            _WITHOUT_GOALS,
            COLLAPSE,
        ),
        (f"{where} IQL is above one step of improvement", ("iql",), ("onestep",), 0.0),
        (f"{where} goals help conditional cloning", ("rvs_g",), ("rvs_r",), 0.0),
        (f"{where} IQL is above CQL", ("iql",), ("cql",), 0.0),
        (f"{where} CQL is above TD3+BC", ("cql",), ("td3_bc",), 0.0),
    )
    findings = []
    for claim, *sides, least in claims:
        ours, theirs = map(scores.known, sides)
        if not ours or not theirs:
            continue
        text, value, low, high = scores.gap(ours, theirs)
        holds = True if value >= least and low > 0.0 else None
        if high < least or high <= 0.0:
            holds = False
        findings.append(Finding(claim, family, text, value, low, high, holds))
    return findings


def _scores(found: report.Results, tasks: Sequence[Task]) -> _Scores:
    """Scores of the methods that have all of ``tasks``, with as many seeds on each."""
    matrices, draws = {}, {}
    for index, algorithm in enumerate((*_IMITATION, *_OFFLINE_RL)):
        curves = [found.curves.get((task.name, algorithm)) for task in tasks]
        scores = [stats.last(curve) for curve in curves if curve is not None]
        if not scores or len(scores) < len(tasks) or len({len(seeds) for seeds in scores}) > 1:
            continue
        matrix = np.stack(scores, axis=1)
        generator = np.random.default_rng([report.SEED, index])
        matrices[algorithm] = matrix
        draws[algorithm] = stats.mean(stats.resample(matrix, generator))
    titles = {name: column.title for name, column in found.columns.items()}
    return _Scores(titles, matrices, draws)


def build(results_folder: Path) -> str:
    """The page on everything under ``results_folder``."""
    folders = {folder: report.read(folder) for folder in table.find(results_folder)}
    own = [results_folder] if (results_folder / TEMPLATE).exists() else []
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(own), jinja2.PrefixLoader({"bench": _PACKAGE}), _PACKAGE]
        ),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )

    def score(profile: str, algorithm: str, *tasks: str) -> str:
        """Mean of a method over tasks, in points."""
        curves = [
            c
            for folder, found in folders.items()
            if folder.name == profile
            for task in tasks
            if (c := found.curves.get((task, algorithm))) is not None
        ]
        if len(curves) != len(tasks):
            raise InputError(
                f"{TEMPLATE} wants scores of {algorithm} on {', '.join(tasks)} in profile "
                f"{profile}, which are not there"
            )
        return f"{np.mean([stats.last(curve).mean() for curve in curves]):.0f}"

    return environment.get_template(TEMPLATE).render(
        sections=[_section(folder, found) for folder, found in folders.items()],
        confidence=f"{100 * stats.CONFIDENCE:.0f} %",
        resamples=f"{stats.NUM_RESAMPLES:,}",
        score=score,
    )


def _section(folder: Path, found: report.Results) -> dict[str, object]:
    rows = []
    for finding in find(found):
        value, low, high = plots.rounded(np.array([finding.value, finding.low, finding.high]))
        rows.append(
            {
                "claim": finding.claim,
                "family": _FAMILIES[finding.family],
                "measured": finding.measured,
                "value": f"{value:+.1f}" if "," in finding.measured else f"{value:.1f}",
                "interval": f"{low:.1f} to {high:.1f}",
                "holds": _VERDICTS[finding.holds],
            }
        )
    return {
        "title": f"{folder.parent.name}, {folder.name}",
        "profile": folder.name,
        "description": table.describe(found.summary),
        "rows": rows,
    }


def write(results_folder: Path) -> Path:
    """Write the page; returns its path."""
    results.write_text(results_folder / PAGE, build(results_folder))
    return results_folder / PAGE


def stale(results_folder: Path) -> list[Path]:
    """The page, where there is one and it is not what the scores give."""
    if not (results_folder / PAGE).exists():
        return []
    return results.differing(results_folder, {PAGE: build(results_folder)})
