"""Notes that a reader of a table needs. Imports no JAX."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.report.published import POST_SOURCES
from bench.report.scores import Results
from envs.tasks import TASKS

DOUBT_MARK = "†"  # beside a score whose data the user insisted on
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


def describe(results: Results) -> str:
    """The profile, source, seeds, steps and episodes, without which no number may stand."""
    summary = results.summary
    parts = [f"profile {_join(summary['profile'])}", f"source {_join(summary['source'])}"]
    one = (summary["num_seeds"] == 1).all()
    parts.append("1 seed" if one else f"{_join(summary['num_seeds'])} seeds")
    for family, rows in summary.groupby("family", sort=False):
        steps = " to ".join(
            f"{step:,}" for step in sorted({rows["step"].min(), rows["step"].max()})
        )
        shares = " or ".join(_percent(share) for share in _shares(rows))
        data = f"{shares} of the rows, " if shares else ""
        several = (rows["num_episodes"] > 1).any()
        episodes = f"{_join(rows['num_episodes'])} episode{'s' if several else ''} a seed"
        parts.append(f"{family}: {data}{steps} steps, {episodes}")
    size = ", ".join(parts[:3]) + "; " + "; ".join(parts[3:])
    spread = "" if one else " Mean ± std over seeds."
    return f"Normalized scores (0 random, 100 reference): {size}.{spread}"


def notes(results: Results) -> list[str]:
    """Notes on the columns and the published rows, a sentence or two each."""
    summary, columns = results.summary, results.columns
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
    """Reasons why scores are less than they look, a sentence each."""
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


def _shares(summary: pd.DataFrame) -> list[float]:
    """Shares of D4RL's rows that regenerated data have, the smallest first."""
    return sorted(summary["scale"].dropna().unique())


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _join(values: Any) -> str:
    return " or ".join(dict.fromkeys(str(value) for value in values))
