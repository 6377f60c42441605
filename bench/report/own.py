"""The page's section on each task of own data: its verdict, every method, and the logs themselves.

Imports no JAX.
"""

from __future__ import annotations

from typing import Any

from bench.report import audits, claims, page, stats
from bench.report.page import Results


def sections(found: Results) -> list[dict[str, Any]]:
    """A section for each task of own data.

    Returns:
        ``name``; ``verdicts``, see ``findings.texts``; ``remarks``; and
        ``rows`` of the methods and of what needs no learning, as texts.
    """
    verdicts = claims.texts(found)
    return [
        {
            "name": task,
            "verdicts": [row for row in verdicts if f" on {task}," in row["claim"]],
            "remarks": [
                line
                for audited in found.audited
                if audited.task.name == task
                for line in audits.remarks(audited.audit, audited.task)
            ],
            "rows": _rows(found, task),
        }
        for task in page.own_tasks(found)
    ]


def _rows(found: Results, task: str) -> list[dict[str, str]]:
    rows = []
    for algorithm, column in found.columns.items():
        if (task, algorithm) not in found.curves:
            continue
        lasts = stats.last(found.curves[task, algorithm])
        interval = page.interval_text(*stats.cell_interval(lasts))
        side = "rl" if column.style == "offline RL" else "bc"
        score = f"{lasts.mean():z.1f}"
        rows.append({"title": column.title, "side": side, "score": score, "interval": interval})
    for audited in found.audited:
        if audited.task.name == task:
            for name, value in audits.scores(audited.audit, audited.task).items():
                interval = f"{audited.audit['baselines'][name]['episodes']} episodes"
                title, score = audits.BASELINES[name], f"{value:z.1f}"
                rows.append({"title": title, "side": "", "score": score, "interval": interval})
    return rows
