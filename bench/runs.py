"""All finished cells of a results folder as one tidy table. Imports no JAX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bench import store
from bench.report import stats
from bench.run import groups
from envs import files
from envs.errors import InputError


def tidy(results_folder: Path) -> pd.DataFrame:
    """A row for each seed of each finished cell: which it is, its last score, its settings.

    The score is the normalized mean over the seed's episodes of the last evaluation. A column of a
    setting is named as it is, and empty where a method does not have it.

    Args:
        results_folder: root of results.

    Raises:
        InputError: there is no finished cell, or a file is damaged.
    """
    found = sorted((results_folder / "runs").glob("*/*/*/*/"))
    rows = [row for folder in found for row in _rows(folder)]
    if not rows:
        raise InputError(f"no finished cells in {results_folder / 'runs'}; run: rl-or-bc grid")
    return pd.DataFrame(rows)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for seeds, group in groups.finished(folder).items():
        facts = files.read_json(group / "config.json")
        settings, task = facts["settings"], facts["task"]
        played = store.read_rows(group / "evals.csv", store.SCORE_COLUMNS[2:])
        scores = stats.evaluations(played, tuple(task["reference_returns"]))
        last = dict(zip(scores.index, stats.last(scores), strict=True))
        for seed in seeds:
            yield {
                "source": settings["source"],
                "scale": settings["scale"],
                "task": task["name"],
                "environment": facts["environment"],
                "algorithm": facts["algorithm"],
                "cell": folder.name,
                "seed": seed,
                "trained_with": groups.in_words(tuple(settings["seeds"])),
                "step": int(played["step"].max()),
                "num_episodes": settings["num_episodes"],
                "score": round(float(last[seed]), 4),
                **{name: _word(value) for name, value in facts["config"].items()},
            }


def _word(value: Any) -> Any:
    """A value as it is typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
