"""Published scores, each with its source. Imports no JAX."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report import package
from envs.tasks import FAMILIES, TASKS

TABLE = package.REFERENCE / "published.csv"
COLUMNS = ("task", "version", "algorithm", "score", "std", "source")
# The papers that the post names for its numbers; the table holds other reports as well.
POST_SOURCES = ("arXiv:2110.06169 Table 1", "arXiv:2112.10751")

Score = tuple[float, str]  # with the version of D4RL's files
Published = dict[tuple[str, str], Score]


def rows() -> pd.DataFrame:
    """Every published score: ``COLUMNS``."""
    return package.read_rows(TABLE, COLUMNS)


def of_the_post() -> Published:
    """(task or family average, algorithm) -> score, as the post's sources print it.

    Averages are taken where a source has every task of the family.
    """
    known = rows()
    known = known[known["source"].str.startswith(POST_SOURCES)]
    columns = ["task", "algorithm", "score", "version"]
    published: Published = {
        (str(task), str(algorithm)): (float(score), str(version))
        for task, algorithm, score, version in known[columns].to_numpy()
    }
    for family in FAMILIES:
        tasks = [name for name, task in TASKS.items() if task.family == family]
        for algorithm in known["algorithm"].unique():
            keys = [(task, algorithm) for task in tasks]
            scores = [published[key] for key in keys if key in published]
            if len(scores) == len(tasks):
                mean = float(np.mean([score for score, _ in scores]))
                published[f"{family} average", algorithm] = (mean, scores[0][1])
    return published
