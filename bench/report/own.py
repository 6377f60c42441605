"""The page's section on each task of own data: its verdict, every method, and the logs themselves.

Imports no JAX.
"""

from __future__ import annotations

from typing import Any

from bench.report import audits, claims, stats
from bench.report.scores import OFFLINE_RL, Results, interval_text


def sections(results: Results) -> list[dict[str, Any]]:
    """A section for each task of own data.

    Returns:
        ``name``; ``verdicts``, see ``claims.texts``; ``remarks``; and
        ``rows`` of the methods and of what needs no learning, as texts.
    """
    verdicts = claims.texts(results)
    return [
        {
            "name": task,
            "verdicts": [row for row in verdicts if row["task"] == task],
            "remarks": [
                line
                for audited in results.audited
                if audited.task.name == task
                for line in audits.remarks(audited.audit, audited.task)
            ],
            "rows": _rows(results, task),
        }
        for task in results.own_tasks()
    ]


def _rows(results: Results, task: str) -> list[dict[str, str]]:
    rows = []
    for algorithm, column in results.columns.items():
        if (task, algorithm) not in results.curves:
            continue
        lasts = stats.last(results.curves[task, algorithm])
        interval = interval_text(*stats.cell_interval(lasts))
        side = "rl" if column.style == OFFLINE_RL else "bc"
        score = f"{lasts.mean():z.1f}"
        rows.append({"title": column.title, "side": side, "score": score, "interval": interval})
    for audited in results.audited:
        if audited.task.name == task:
            for name, value in audits.scores(audited.audit, audited.task).items():
                interval = f"{audited.audit['baselines'][name]['episodes']} episodes"
                title, score = audits.BASELINES[name], f"{value:z.1f}"
                rows.append({"title": title, "side": "", "score": score, "interval": interval})
    return rows
