"""Our cells beside published scores, one by one. Imports no JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.report import formats, published

COMPARE_COLUMNS = (
    "data",
    "profile",
    "task",
    "algorithm",
    "mean",
    "low",
    "high",
    "num_seeds",
    "published",
    "published_std",
    "difference",
    "inside",
    "relation",
    "source",
)
# Which version of D4RL's files a source reads; the others read other data.
D4RL_VERSIONS = {"d4rl": "v2", "d4rl-qlearning": "v2"}

REPRODUCTION, OTHER_SIZE, OTHER_DATA = "reproduction", "same data, other size", "other data"


def compare(summary: pd.DataFrame) -> pd.DataFrame:
    """One row of ``COMPARE_COLUMNS`` for each published score of each of our cells.

    ``data`` is where ours come from, ``source`` what printed the other.
    ``low`` and ``high`` bound our mean at 95 % (``bench.report.stats.cell_interval``), and
    ``inside`` says whether the published mean lies between them. That is a statement about our
    runs alone: most sources print no deviation.

    Args:
        summary: that of ``bench.report.scores.Results``.
    """
    names = {"score": "published", "std": "published_std", "source": "printed_in"}
    printed = published.rows().rename(columns=names)
    both = summary.merge(printed, on=["task", "algorithm"])
    inside = (both["low"] <= both["published"]) & (both["published"] <= both["high"])
    # A single seed has no interval to be inside of.
    inside = inside.astype(object).where(both["num_seeds"] > 1, None)
    keys = zip(both["source"], both["profile"], both["version"], both["doubts"], strict=True)
    relations = [relation(*key) for key in keys]
    return both.assign(
        difference=both["mean"] - both["published"],
        inside=inside,
        relation=relations,
        data=both["source"],
        source=both["printed_in"] + ", D4RL " + both["version"],
    ).replace([np.inf, -np.inf], np.nan)[list(COMPARE_COLUMNS)]


def relation(source: str, profile: str, version: str, doubts: str = "") -> str:
    """The relation of our cell to a published score; equal data and sizes make a reproduction.

    Args:
        source: where our data come from.
        profile: the size of our run.
        version: the version of D4RL's files that the published score was trained on.
        doubts: why our data or environment are not the source's, if they are not.
    """
    if D4RL_VERSIONS.get(source) != version or doubts:
        return OTHER_DATA
    return REPRODUCTION if profile == "paper" else OTHER_SIZE


def of_the_post(compared: pd.DataFrame) -> pd.DataFrame:
    """The rows whose source the post's table goes back to."""
    return compared[compared["source"].str.startswith(published.POST_SOURCES)]


def to_csv(compared: pd.DataFrame) -> str:
    """All of it, scores in two decimals."""
    return formats.to_csv(compared, "%.2f")


def summary(compared: pd.DataFrame) -> str:
    """The comparison with the post's sources in a sentence, by the name that it may have."""
    rows = of_the_post(compared)
    parts = []
    for name, group in rows.groupby("relation", sort=False):
        judged = group["inside"].dropna()
        parts.append(f"{name}: {int(judged.sum())} of {len(judged)} published means inside")
    text = "; ".join(parts) or "nothing published for these cells"
    if set(rows["relation"]) <= {REPRODUCTION}:
        return f"{text}."
    return f"{text}. Only equal data at published sizes would be a reproduction."


def texts(compared: pd.DataFrame) -> list[tuple[str, ...]]:
    """The texts of each row for a terminal: names, numbers, verdict, relation."""
    verdicts: dict[Any, str] = {True: "inside", False: "outside", None: "-"}
    return [
        (
            str(row.task),
            str(row.algorithm),
            f"{row.mean:z.1f}",
            "one seed" if row.inside is None else f"{row.low:z.1f} to {row.high:z.1f}",
            f"{row.published:z.1f}",
            f"{row.difference:+z.1f}",
            verdicts[row.inside],
            str(row.relation),
        )
        for row in compared.itertuples()
    ]
