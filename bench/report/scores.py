"""The one model of scores: what a folder of results holds, read once. Imports no JAX.

Tables in every format, pages, pictures and claims are made from it. A cell is the mean over seeds,
and the standard deviation over seeds (ddof 1), of the *last* evaluation: each return is normalized,
then averaged over the seed's episodes. Its interval is that of the mean
(``bench.report.stats.cell_interval``).
"""

from __future__ import annotations

import dataclasses
import functools
import graphlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench import store
from bench.report import audits, published, stats
from bench.report.audits import Audited
from bench.report.published import Published
from envs.errors import InputError
from envs.spaces import Array
from envs.tasks import FAMILIES, OWN, TASKS, get_task

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
# The summary also says where a cell was scored, and by which returns for 0 and 100.
SCORED_COLUMNS = (
    *("environment", "reference_returns"),
    *("class", "arguments", "wrappers", "time_limit"),  # see ``envs.sources.collected_in``
)
SCALED_SOURCE = "regenerated"  # the one whose data are collected in the size that is asked for
IMITATION, OFFLINE_RL = "imitation", "offline RL"  # the two sides

SEED = 0  # of every bootstrap


class Column(NamedTuple):
    """The heading of a method's column.

    Attributes:
        title: what the table calls it.
        style: ``IMITATION`` or ``OFFLINE_RL``.
        told: what the policy is told at evaluation, beside observations and rewards.
        paper: where it comes from.
    """

    title: str
    style: str
    told: str
    paper: str = ""


class Panel(NamedTuple):
    """Episodes of one method in a maze.

    Attributes:
        column: the method.
        text: stands behind its title.
        paths: where each episode went, ``[T, 2]`` metres, and whether it reached the goal.
    """

    column: Column
    text: str
    paths: Sequence[tuple[Array, bool]]


@dataclasses.dataclass(frozen=True)
class Results:
    """The scores of a folder of results, or a part of them.

    Attributes:
        stored: what the folder holds.
        summary: a row of ``TABLE_COLUMNS`` and ``SCORED_COLUMNS`` per cell.
        columns: algorithm -> what heads its column.
        published: scores to stand under ours.
        audited: the data that cells learned from.
    """

    stored: store.Stored
    summary: pd.DataFrame
    columns: dict[str, Column]
    published: Published
    audited: list[Audited]

    @property
    def folder(self) -> Path:
        """``results/<source>/<profile>``."""
        return self.stored.folder

    @property
    def provenance(self) -> dict[str, Any]:
        """Cell name -> where its rows come from."""
        return self.stored.provenance

    @property
    def constant(self) -> list[str]:
        """Tasks whose rewards prefer no action to another, so that RL does not apply."""
        return [task.name for task, audit, _ in self.audited if audits.rewards_tell_nothing(audit)]

    @functools.cached_property
    def curves(self) -> dict[tuple[str, str], pd.DataFrame]:
        """(task, algorithm) -> its scores, seeds down and steps across (``stats.evaluations``)."""
        cells = self.stored.rows.groupby(["task", "algorithm"], sort=False)
        return {
            (str(task), str(algorithm)): stats.evaluations(cell, TASKS[str(task)].reference_returns)
            for (task, algorithm), cell in cells
        }

    @functools.cached_property
    def panels(self) -> dict[str, list[Panel]]:
        """Task of a maze -> where a few episodes of each method went.

        Raises:
            InputError: an episode has a track but no score.
        """
        rows, tracks = self.stored.rows, self.stored.tracks
        keys = ["task", "algorithm", "seed", "episode"]
        ends = rows[rows["step"] == rows.groupby(["task", "algorithm"])["step"].transform("max")]
        reached = (ends.set_index(keys)["return"] > 0.0).to_dict()
        if not set(tracks[keys].itertuples(index=False, name=None)) <= set(reached):
            raise InputError(
                "tracks.csv has an episode that scores.csv lacks; restore or delete tracks.csv"
            )
        panels: dict[str, list[Panel]] = {}
        for (task, algorithm), cell in tracks.groupby(["task", "algorithm"], sort=False):
            name = (str(task), str(algorithm))
            paths = [
                (path[["x", "y"]].to_numpy(), reached[key]) for key, path in cell.groupby(keys)
            ]
            score = f"{stats.last(self.curves[name]).mean():z.0f}"
            panels.setdefault(name[0], []).append(Panel(self.columns[name[1]], score, paths))
        return panels

    @functools.cached_property
    def matrices(self) -> dict[str, dict[str, Array]]:
        """Family -> algorithm -> its ``matrix``, of those that have one."""
        families = {}
        for family in FAMILIES:
            each = {name: self.matrix(tasks_of(family), name) for name in self.columns}
            whole = {name: scores for name, scores in each.items() if scores is not None}
            if whole:
                families[family] = whole
        return families

    def matrix(self, tasks: Sequence[str], algorithm: str) -> Array | None:
        """``scores[num_runs, num_tasks]`` of a method's last evaluations.

        None unless it has every task, with the same number of seeds: averages over other tasks
        compare nothing, and a score may not weigh more than another for the seeds that its task
        lacks.
        """
        curves = [self.curves.get((task, algorithm)) for task in tasks]
        scores = [stats.last(curve) for curve in curves if curve is not None]
        if not scores or len(scores) < len(tasks) or len({len(seeds) for seeds in scores}) > 1:
            return None
        return np.stack(scores, axis=1)

    def own_tasks(self) -> list[str]:
        """The tasks of own data that have scores."""
        scored = set(self.summary["task"])
        return [name for name in tasks_of(OWN) if name in scored]


def tasks_of(family: str) -> list[str]:
    """Names of the tasks of ``family``, in the table's order."""
    return [name for name, task in TASKS.items() if task.family == family]


def read(folder: Path) -> Results:
    """The results in ``folder``, ``results/<source>/<profile>``.

    Raises:
        InputError: a file is damaged, or files do not belong together.
    """
    return gather(store.read(folder), published.of_the_post())


def gather(stored: store.Stored, known: Published) -> Results:
    """The model of what a folder holds, beside the published scores ``known``."""
    summary = summarize(stored.rows, stored.provenance, stored.folder.name)
    columns = {
        facts["algorithm"]: Column(*(facts[field] for field in Column._fields))
        for facts in stored.provenance.values()
    }
    # In the post's order, also where the first task lacks a method: imitation first.
    order = sorted(in_order(summary), key=lambda name: columns[name].style != IMITATION)
    ordered = {name: columns[name] for name in order}
    return Results(stored, summary, ordered, known, audits.read(stored))


def summarize(rows: pd.DataFrame, provenance: dict[str, Any], profile: str) -> pd.DataFrame:
    """One row of ``TABLE_COLUMNS`` and ``SCORED_COLUMNS`` per cell, in ``provenance``'s order.

    Args:
        rows: raw ``store.SCORE_COLUMNS`` rows.
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


def aggregate(statistic: stats.Statistic, matrix: Array, family: str) -> tuple[float, float, float]:
    """The statistic with the ends of its interval, which are infinite for a single seed.

    Rates of success, which mazes have, keep to 0 and 100, and an optimality gap is never negative.
    """
    value = statistic(matrix)
    ends = np.array(stats.bounds(value, statistic(resample(matrix)), matrix))
    if np.isfinite(ends).all():
        rates = all(task.kind.has_goals for task in TASKS.values() if task.family == family)
        least = 0.0 if rates or statistic is stats.optimality_gap else -np.inf
        ends = np.clip(ends, least, 100.0 if rates else np.inf)
    rounded = stats.rounded(np.array([value, *ends]))
    return float(rounded[0]), float(rounded[1]), float(rounded[2])


def resample(matrix: Array) -> Array:
    """Resamples of one method's ``scores[num_runs, num_tasks]``, the same ones every time."""
    return stats.resample(matrix, np.random.default_rng(SEED))


def interval_text(low: float, high: float, digits: int = 1) -> str:
    """An interval in words."""
    return f"{low:z.{digits}f} to {high:z.{digits}f}" if np.isfinite(low) else "one seed"
