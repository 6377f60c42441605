"""What a table says about the post's claims, each with its interval. Imports no JAX.

Where a claim is about the best of several methods, the best is chosen anew in each resample, so
that the interval counts the choice. On a single task Student's t takes the place of resamples
(``bench.stats`` says why).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from bench import plots, report, results, stats, table
from bench.table import Column
from envs import files
from envs.datasets import DEFAULT_SOURCE
from envs.registry import FAMILIES, OWN, TASKS, Task
from envs.types import Array, InputError

PAGE = "FINDINGS.md"
# A results folder may have a template of its own, which extends bench/findings.md.jinja.
TEMPLATE = "findings.md.jinja"

# What the post says of one method beside another in the mazes; kept with the code.
CLAIMS = Path(__file__).parent.parent / "results" / "claims.csv"

PARITY = 15.0  # points behind that "keeps up" allows
COLLAPSE = 20.0  # points that "breaks down" asks for
SOLVED = 60.0

_PACKAGE = jinja2.FileSystemLoader(report.TEMPLATES)
_VERDICTS = {True: "holds", False: "does not hold", None: "open"}


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
    """Last evaluations on some tasks, of the methods that have all of them.

    Attributes:
        columns: algorithm -> what heads its column.
        matrices: algorithm -> ``[runs, tasks]``.
        draws: algorithm -> means ``[R]`` of resamples; of a single task, Student's.
    """

    columns: dict[str, Column]
    matrices: dict[str, Array]
    draws: dict[str, Array]

    def side(self, style: str, *, told_goals: bool = True) -> list[str]:
        """Methods of one style, with or without those that are told the goal."""
        styles = {name: self.columns[name] for name in self.matrices}
        return [
            name
            for name, column in styles.items()
            if column.style == style and (told_goals or column.told != "the goal")
        ]

    def best(self, names: Sequence[str]) -> tuple[str, float, Array]:
        """The best of ``names`` with its mean, and the best mean of each resample."""
        name = max(names, key=lambda name: float(stats.mean(self.matrices[name])))
        value = float(stats.mean(self.matrices[name]))
        return name, value, np.max([self.draws[name] for name in names], axis=0)

    def gap(self, ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, float, float, float]:
        """Best of ``ours`` less best of ``theirs``: in words, its value, its interval."""
        (one, value, draws), (two, other, others) = self.best(ours), self.best(theirs)
        low, high = stats.bounds(draws - others)
        text = f"{self.columns[one].title} {value:.1f}, {self.columns[two].title} {other:.1f}"
        return text, value - other, float(low), float(high)


def find(found: report.Results) -> list[Finding]:
    """Every claim that the results of a folder can answer, in the post's order."""
    findings = []
    for family in FAMILIES:
        tasks = [task for task in TASKS.values() if task.family == family]
        near = [task for task in tasks if task.environment == "umaze"]
        far = _scores(found, [task for task in tasks if task.environment != "umaze"])
        if family == OWN:
            for task in tasks:
                findings += _of_parity(family, _scores(found, [task]), f" on {task.name}")
        elif tasks[0].is_maze:
            for task in near:
                findings += _of_umaze(task, _scores(found, [task]))
            findings += _of_far_mazes(family, far)
        else:
            findings += _of_parity(family, far)
    return findings


def _of_parity(family: str, scores: _Scores, where: str = "") -> list[Finding]:
    ours, theirs = scores.side("imitation"), scores.side("offline RL")
    if not ours or not theirs:
        return []
    text, value, low, high = scores.gap(ours, theirs)
    claim = f"imitation keeps up with offline RL{where}, at most {PARITY:.0f} points behind"
    return [Finding(claim, family, text, value, low, high, _at_least(low, high, -PARITY))]


def _of_umaze(task: Task, scores: _Scores) -> list[Finding]:
    names = scores.side("offline RL")
    if not names:
        return []
    best = max(names, key=lambda name: float(scores.matrices[name].mean()))
    # Of all methods at once: the best may owe its place to luck, and another be as good.
    ends = [stats.cell_interval(scores.matrices[name][:, 0], len(names)) for name in names]
    low, high = np.clip(np.max(ends, axis=0), 0.0, 100.0).tolist()  # of a rate of success
    claim = f"some offline RL method solves {task.name}, at least {SOLVED:.0f}"
    value, title = float(scores.matrices[best].mean()), scores.columns[best].title
    return [Finding(claim, task.family, title, value, low, high, _at_least(low, high, SOLVED))]


def _at_least(low: float, high: float, least: float) -> bool | None:
    """Whether an interval lies above a bound; None if only a part of it does."""
    if high < least:
        return False
    return True if least <= low else None


def _of_far_mazes(family: str, scores: _Scores) -> list[Finding]:
    imitation = scores.side("imitation", told_goals=False)
    text = f"offline RL is {COLLAPSE:.0f} points above imitation that is told no goal"
    claims = [(text, scores.side("offline RL"), imitation, COLLAPSE)]
    for claim, *names in results.read_rows(CLAIMS, ("claim", "ours", "theirs")).to_numpy():
        ours, theirs = ([name] if name in scores.matrices else [] for name in names)
        claims.append((claim, ours, theirs, 0.0))
    findings = []
    for claim, ours, theirs, least in claims:
        if not ours or not theirs:
            continue
        text, value, low, high = scores.gap(ours, theirs)
        holds = True if value >= least and low > 0.0 else None
        # Where neither side ever scores, nothing was learned that could tell them apart.
        if high < least and not low == high == 0.0:
            holds = False
        where = f"in medium and large mazes {claim}"
        findings.append(Finding(where, family, text, value, low, high, holds))
    return findings


def _scores(found: report.Results, tasks: Sequence[Task]) -> _Scores:
    matrices, draws = {}, {}
    for index, algorithm in enumerate(found.columns):
        matrix = report.matrix(found, [task.name for task in tasks], algorithm)
        if matrix is None:
            continue
        generator = np.random.default_rng([report.SEED, index])
        matrices[algorithm] = matrix
        draws[algorithm] = (
            stats.cell_draws(matrix[:, 0], generator)
            if len(tasks) == 1
            else stats.mean(stats.resample(matrix, generator))
        )
    return _Scores(found.columns, matrices, draws)


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
        """Mean of a method over tasks of the usual source, in points."""
        curves = [
            c
            for folder, found in folders.items()
            if (folder.parent.name, folder.name) == (DEFAULT_SOURCE, profile)
            for task in tasks
            if (c := found.curves.get((task, algorithm))) is not None
        ]
        if len(curves) != len(tasks):
            raise InputError(
                f"{TEMPLATE} wants scores of {algorithm} on {', '.join(tasks)} in profile "
                f"{profile}, which are not there"
            )
        return str(round(float(np.mean([stats.last(curve).mean() for curve in curves]))))

    return environment.get_template(TEMPLATE).render(
        sections=[_section(folder, found) for folder, found in folders.items()],
        confidence=stats.CONFIDENCE_TEXT,
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
                "family": table.with_note(finding.family, finding.family),
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
    with results.writing(results_folder):
        files.write_text(results_folder / PAGE, build(results_folder))
    return results_folder / PAGE


def stale(results_folder: Path) -> list[Path]:
    """The page, where there is one and it is not what the scores give."""
    if not (results_folder / PAGE).exists():
        return []
    return files.differing(results_folder, {PAGE: build(results_folder)})
