"""Tables from raw rows. Imports no JAX, so it is instant and runs anywhere.

A cell is the mean over seeds, and the standard deviation over seeds (ddof 1), of the *last*
evaluation: each return is normalized, then averaged over the seed's episodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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


def render_markdown(summary: pd.DataFrame, titles: dict[str, str]) -> str:
    """The table as Markdown: tasks down, methods across, family averages where complete.

    Args:
        summary: what ``summarize`` gives.
        titles: algorithm -> column heading.
    """
    cells = {(row.task, row.algorithm): row for row in summary.itertuples()}
    lines = [
        f"Normalized scores (0 random, 100 reference): {_describe(summary)}",
        "",
        "| task | " + " | ".join(titles.values()) + " |",
        "|---|" + "---:|" * len(titles),
    ]
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        shown = [task for task in tasks if any((task, a) in cells for a in titles)]
        for task in shown:
            texts = [_text(cells.get((task, algorithm))) for algorithm in titles]
            lines.append(f"| {task} | " + " | ".join(texts) + " |")
        if shown:
            texts = []
            for algorithm in titles:
                row = [cells.get((task, algorithm)) for task in tasks]
                whole = all(cell is not None for cell in row)
                texts.append(f"**{np.mean([c.mean for c in row if c]):.1f}**" if whole else "-")
            lines.append(f"| **{family} average** | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def build(folder: Path) -> dict[str, str]:
    """File name -> content of every table that ``folder``'s raw rows give.

    Args:
        folder: ``results/<source>/<profile>`` with ``scores.csv`` and ``provenance.json``.
    """
    rows = results.read_rows(folder / "scores.csv", results.SCORE_COLUMNS)
    provenance = results.read_json(folder / "provenance.json")
    summary = summarize(rows, provenance, folder.name)
    titles = {facts["algorithm"]: facts["title"] for facts in provenance.values()}
    return {
        "table1.csv": summary.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
        "table1.md": render_markdown(summary, titles),
    }


def write(folder: Path) -> str:
    """Write the tables of ``folder`` and return the Markdown one."""
    tables = build(folder)
    for name, text in tables.items():
        results.write_text(folder / name, text)
    return tables["table1.md"]


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
