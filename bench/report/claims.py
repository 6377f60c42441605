"""The post's claims against a table, each with its interval. Imports no JAX.

Methods are compared seed by seed, as they play the same episodes. Where a claim is about the best
of several methods, the best is chosen anew in each draw, so that the interval counts the choice
(``bench.report.stats`` says how and why). A claim that is left open says what would settle it, or
why nothing can.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from bench import store
from bench.report import audits, layout, notes, package, stats
from bench.report.scores import IMITATION, OFFLINE_RL, SEED, Results, interval_text, read, tasks_of
from bench.report.text import finish_markdown
from envs.errors import InputError
from envs.sources.registry import DEFAULT_SOURCE
from envs.tasks import FAMILIES, OWN, TASKS, Task

PAGE = "FINDINGS.md"
TEMPLATE = "findings.md.jinja"
# Markdown of a results folder: what its owner makes of its scores.
NOTES = "notes.md"

# The post compares these methods in the mazes.
CLAIMS = package.REFERENCE / "claims.csv"

PARITY = 15.0  # points behind that "keeps up" allows
COLLAPSE = 20.0  # points that "breaks down" asks for
SOLVED = 60.0
MOST_MORE = 100  # seeds; a claim that asks for more of them is called too close to settle

# The two claims that answer the title's question: imitation keeps up, offline RL is ahead.
KEEPS_UP, AHEAD = "keeps up", "ahead"

Verdict = bool | None
# A figure in the notes: {profile method task ...}, the mean over the tasks. A family's name stands
# for its tasks.
_FIGURE = re.compile(r"\{(\w+ \w+(?: [\w-]+)+)\}")
_VERDICTS = {True: "holds", False: "does not hold", None: "open"}


class Finding(NamedTuple):
    """A claim of the post beside what was measured.

    Attributes:
        claim: in words.
        family: of tasks.
        measured: what the figure is.
        value: points.
        low: lower end of its interval; infinite where a cell has a single seed.
        high: upper end of it.
        holds: whether the claim does; None if the interval or the data leave it open.
        note: of an open claim: what would settle it, or why nothing can.
        question: ``KEEPS_UP``, ``AHEAD``, or empty of other claims.
        task: name of the task, of a claim about one of own data; else empty.
    """

    claim: str
    family: str
    measured: str
    value: float
    low: float
    high: float
    holds: Verdict
    note: str = ""
    question: str = ""
    task: str = ""


class _Scores(NamedTuple):
    """Last evaluations on some tasks, of the methods that have all of them.

    Attributes:
        results: what they are part of.
        tasks: names of the tasks.
        runs: algorithm -> its scores by seed, on each task.
    """

    results: Results
    tasks: list[str]
    runs: dict[str, list[pd.Series]]

    def side(self, style: str, *, told_goals: bool = True) -> list[str]:
        """Methods of one style, with or without those that are told the goal."""
        styles = {name: self.results.columns[name] for name in self.runs}
        return [
            name
            for name, column in styles.items()
            if column.style == style and (told_goals or column.told != "the goal")
        ]

    def best(self, names: Sequence[str]) -> tuple[str, float]:
        """The best of ``names``, and its mean."""
        means = {name: float(np.mean([s.mean() for s in self.runs[name]])) for name in names}
        name = max(means, key=lambda name: means[name])
        return name, means[name]

    def title(self, name: str) -> str:
        """The heading of the method's column."""
        return self.results.columns[name].title

    def flaw(self, names: Sequence[str]) -> str:
        """Why scores of ``names`` answer no claim; empty if they may."""
        for task in self.tasks:
            if task in self.results.constant:
                return f"the rewards of {task} never vary, so RL does not apply"
        summary = self.results.summary
        mine = summary["task"].isin(self.tasks) & summary["algorithm"].isin(list(names))
        for difference in notes.differences(summary[mine]):
            return difference
        for name in names:
            for task, scores in zip(self.tasks, self.runs[name], strict=True):
                if len(scores) < 2:
                    return f"{self.title(name)} has one seed on {task}"
        return ""


def find(results: Results) -> list[Finding]:
    """Every claim that the results of a folder can answer, in the post's order."""
    findings = []
    for family in FAMILIES:
        tasks = [task for task in TASKS.values() if task.family == family]
        near = [task for task in tasks if task.environment == "umaze"]
        far = _scores(results, [task for task in tasks if task.environment != "umaze"])
        if family == OWN:
            for task in tasks:
                found = _of_parity(family, _scores(results, [task]), f" on {task.name}")
                findings += [finding._replace(task=task.name) for finding in found]
        elif tasks[0].kind.has_goals:
            for task in near:
                findings += _of_umaze(task, _scores(results, [task]))
            findings += _of_far_mazes(family, far)
        else:
            findings += _of_parity(family, far)
    return findings


def _of_parity(family: str, scores: _Scores, where: str = "") -> list[Finding]:
    claim = f"imitation keeps up with offline RL{where}, at most {PARITY:.0f} points behind"
    sides = scores.side(IMITATION), scores.side(OFFLINE_RL)
    judge = lambda _, low, high: _at_least(low, high, -PARITY)
    findings = _of_lead(claim, family, scores, *sides, judge)
    return [finding._replace(question=KEEPS_UP) for finding in findings]


def _of_lead(
    claim: str,
    family: str,
    scores: _Scores,
    ours: Sequence[str],
    theirs: Sequence[str],
    judge: Callable[[float, float, float], Verdict],
) -> list[Finding]:
    """A claim about the best of ``ours`` beside the best of ``theirs``; none if either is empty.

    Args:
        claim: in words.
        family: of the tasks.
        scores: on the tasks.
        ours: methods that the claim is about.
        theirs: methods that they are compared with.
        judge: (value, low, high) -> whether the claim holds.
    """
    if not ours or not theirs:
        return []
    (one, mean), (two, other) = scores.best(ours), scores.best(theirs)
    generator = np.random.default_rng(SEED)
    runs, others = ([scores.runs[name] for name in names] for names in (ours, theirs))
    estimate = stats.lead(runs, others, generator)
    text = f"{scores.title(one)} {mean:z.1f}, {scores.title(two)} {other:z.1f}"

    def verdict(more: int) -> Verdict:
        return judge(estimate.value, *estimate.interval(more))

    low, high = estimate.interval()
    flaw = scores.flaw([*ours, *theirs])
    if not flaw and low == high == 0.0:
        flaw = "both score the same with every seed"
    return [_finding(claim, family, text, (estimate.value, low, high), verdict, flaw)]


def _finding(
    claim: str,
    family: str,
    measured: str,
    figures: tuple[float, float, float],
    verdict: Callable[[int], Verdict],
    flaw: str,
) -> Finding:
    """A claim with its verdict.

    Args:
        claim: in words.
        family: of the tasks.
        measured: what the figure is.
        figures: value, low and high.
        verdict: what it is with so many more seeds, if value and spread stay as they are.
        flaw: why there can be none, or empty.
    """
    if flaw:
        return Finding(claim, family, measured, *figures, None, flaw)
    holds, note = verdict(0), ""
    if holds is None:
        settling = (more for more in range(1, MOST_MORE + 1) if verdict(more) is not None)
        more = next(settling, None)
        note = (
            f"about {more} more seed{'s' if more > 1 else ''} would settle it"
            if more
            else f"too close to the bound, {MOST_MORE} more seeds would not settle it"
        )
    return Finding(claim, family, measured, *figures, holds, note)


def _of_umaze(task: Task, scores: _Scores) -> list[Finding]:
    names = scores.side(OFFLINE_RL)
    if not names:
        return []
    best, value = scores.best(names)
    means = [stats.cell_mean(scores.runs[name][0].to_numpy()) for name in names]

    def ends(more: int = 0) -> tuple[float, float]:
        if min(mean.num_runs for mean in means) < 2:
            return -np.inf, np.inf
        # All methods are judged at once: the best may owe its place to luck.
        low, high = np.max([mean.interval(more, len(names)) for mean in means], axis=0)
        return max(float(low), 0.0), min(float(high), 100.0)  # a rate of success

    claim = f"some offline RL method solves {task.name}, at least {SOLVED:.0f}"
    verdict = lambda more: _at_least(*ends(more), SOLVED)
    figures = value, *ends()
    title = scores.title(best)
    return [_finding(claim, task.family, title, figures, verdict, scores.flaw(names))]


def _at_least(low: float, high: float, least: float) -> Verdict:
    """True if an interval lies above a bound; None if only a part of it does."""
    if high < least:
        return False
    return True if least <= low else None


def _of_far_mazes(family: str, scores: _Scores) -> list[Finding]:
    imitation = scores.side(IMITATION, told_goals=False)
    text = f"offline RL is {COLLAPSE:.0f} points above imitation that is told no goal"
    claims = [(text, scores.side(OFFLINE_RL), imitation, COLLAPSE, AHEAD)]
    for claim, *names in package.read_rows(CLAIMS, ("claim", "ours", "theirs")).to_numpy():
        ours, theirs = ([name] if name in scores.runs else [] for name in names)
        claims.append((claim, ours, theirs, 0.0, ""))
    findings = []
    for claim, ours, theirs, least, question in claims:
        judge = lambda value, low, high, least=least: _above(value, low, high, least)
        where = f"in medium and large mazes {claim}"
        found = _of_lead(where, family, scores, ours, theirs, judge)
        findings += [finding._replace(question=question) for finding in found]
    return findings


def _above(value: float, low: float, high: float, least: float) -> Verdict:
    """True if a lead is ``least`` points and surely one; None if the interval leaves it open."""
    if high < least:
        return False
    return True if value >= least and low > 0.0 else None


def _scores(results: Results, tasks: Sequence[Task]) -> _Scores:
    names = [task.name for task in tasks]
    runs = {
        algorithm: [results.curves[name, algorithm].iloc[:, -1] for name in names]
        for algorithm in results.columns
        if names and all((name, algorithm) in results.curves for name in names)
    }
    return _Scores(results, names, runs)


def build(root: Path, template: Path | None = None) -> dict[str, str]:
    """The page on everything under ``root``; arguments as of ``render``."""
    return {PAGE: render(root, template)}


def render(root: Path, template: Path | None = None) -> str:
    """The page on everything under ``root`` as Markdown.

    Args:
        root: of all results; its ``notes.md`` ends the page, where there is one.
        template: a user's own, in place of the package's, which it may extend. It gets at the
            values below alone. A folder of results never has a say in what is run.

    Raises:
        InputError: the template or the notes cannot be used.
    """
    folders = {folder: read(folder) for folder in store.find(root)}
    score = functools.partial(_score, folders)
    values = {
        "sections": [_section(folder, results) for folder, results in folders.items()],
        "confidence": stats.CONFIDENCE_TEXT,
        "resamples": f"{stats.NUM_RESAMPLES:,}",
        "score": score,
        "notes": Markup(_notes(root / NOTES, score)),
    }
    if template is None:
        return package.render(TEMPLATE, finish_markdown, **values)
    source = _read(template)
    try:
        return package.environment(finish_markdown).from_string(source).render(values)
    except InputError:
        raise
    except Exception as error:  # a user's template can go wrong in any way
        raise InputError(
            f"{template} is no template of this page: {type(error).__name__}: {error}"
        ) from None


def _notes(path: Path, score: Callable[..., str]) -> str:
    """The Markdown at ``path`` with its figures filled in; empty if there is none."""
    if not path.is_file():
        return ""

    def fill(figure: re.Match[str]) -> str:
        profile, algorithm, *names = figure[1].split()
        try:
            return score(profile, algorithm, *_tasks(names))
        except InputError as error:
            raise InputError(f"{path} has {figure[0]}: {error}") from None

    return _FIGURE.sub(fill, _read(path)).strip()


def _tasks(names: Sequence[str]) -> list[str]:
    """Tasks by their names, or all tasks of a family by its name."""
    tasks: list[str] = []
    for name in names:
        tasks += tasks_of(name) or [name]
    return tasks


def _score(folders: dict[Path, Results], profile: str, algorithm: str, *tasks: str) -> str:
    """Mean of a method over tasks of the usual source, in points."""
    curves = [
        curve
        for folder, results in folders.items()
        if (folder.parent.name, folder.name) == (DEFAULT_SOURCE, profile)
        for task in tasks
        if (curve := results.curves.get((task, algorithm))) is not None
    ]
    if not tasks or len(curves) != len(tasks):
        raise InputError(
            f"no scores of {algorithm} on {', '.join(tasks)} in profile {profile}; "
            "run the grid for them, or take them out of the text"
        )
    return str(round(float(np.mean([stats.last(curve).mean() for curve in curves]))))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: {error}") from None


def _section(folder: Path, results: Results) -> dict[str, object]:
    return {
        "title": f"{folder.parent.name}, {folder.name}",
        "profile": folder.name,
        "description": notes.describe(results),
        "rows": texts(results),
        "remarks": audits.all_remarks(results.audited),
    }


def texts(results: Results) -> list[dict[str, str]]:
    """The claims of `find`, each in the words of a row of the page."""
    rows = []
    for finding in find(results):
        value, low, high = stats.rounded(np.array([finding.value, finding.low, finding.high]))
        rows.append(
            {
                "task": finding.task,
                "claim": finding.claim,
                "family": layout.with_note(finding.family, finding.family),
                "measured": finding.measured,
                "value": f"{value:+z.1f}" if "," in finding.measured else f"{value:z.1f}",
                "interval": interval_text(low, high),
                "holds": _VERDICTS[finding.holds] + (f": {finding.note}" if finding.note else ""),
            }
        )
    return rows
