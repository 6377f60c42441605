"""A table in each of its formats: for a terminal, for papers, for pages. Imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Group

from bench import screen
from bench.report import audits, layout
from bench.report.notes import describe, notes
from bench.report.scores import IMITATION, TABLE_COLUMNS, Results, read
from bench.report.text import escape_html, escape_latex, escape_markdown
from envs.tasks import TASKS
from envs.text import for_terminal, printable


def build(folder: Path) -> dict[str, str]:
    """File name -> content of the tables that are kept beside the scores of ``folder``."""
    results = read(folder)
    return {"table1.csv": csv(results), "table1.md": markdown(results)}


def text(results: Results, width: int | None = None) -> Group:
    """The means alone, for a terminal of ``width``; by default that of the one that there is."""
    header = ["task"]
    for column in results.columns.values():
        mark = "" if column.style == IMITATION else "*"
        header.append(f"{for_terminal(column.title)}{mark}".replace(" ", "\n").replace("+", "\n+"))
    styles = {"task": "", "average": "bold"}
    rows, looks = [], []
    for section in layout.sections(results):
        if section.note:
            rows.append([f"{section.note}:", *("" for _ in results.columns)])
            looks.append("italic")
        for row in section.rows:
            rows.append([row.name, *("-" if cell is None else cell.text for cell in row.cells)])
            looks.append(styles[row.kind])
    return screen.in_blocks(header, rows, right=range(1, len(header)), styles=looks, columns=width)


def markdown(results: Results) -> str:
    """The table as Markdown, with the notes and what audits say of the data."""
    columns = results.columns.values()
    lines = [
        escape_markdown(describe(results)),
        "",
        _line("task", [escape_markdown(column.title) for column in columns]),
        "|---|" + "---:|" * len(columns),
        _line("", [f"*{column.style}*" for column in columns]),
    ]
    marks = {"task": "{}", "average": "**{}**", "published": "*{}*", "note": "*{}*"}
    for row in layout.lines(results):
        mark = lambda text, kind=row.kind: (
            text if text in ("", "-") else marks[kind].format(escape_markdown(text))
        )
        lines.append(_line(mark(row.title), [mark(text) for text in row.texts]))
    beside = audits.beside(results.audited)
    if beside:
        lines += ["", _line("without learning", audits.BASELINES.values())]
        lines += ["|---|" + "---:|" * len(audits.BASELINES)]
        lines += [_line(escape_markdown(task), texts) for task, texts in beside]
    for note in [*notes(results), *audits.all_remarks(results.audited)]:
        lines += ["", escape_markdown(note)]
    return "\n".join(lines) + "\n"


def csv(results: Results) -> str:
    """One line per cell: ``TABLE_COLUMNS`` and the published score, where there is one.

    Own data have a line more for each of ``audits.BASELINES``, its name in ``algorithm``.
    """
    summary, published = results.summary, results.published
    keys = zip(summary["task"], summary["algorithm"], strict=True)
    known = [published.get(key, (np.nan, ""))[0] for key in keys]
    in_post = [TASKS[task].in_post for task in summary["task"]]
    rows = summary[list(TABLE_COLUMNS)].assign(published=known, in_post=in_post)
    rows = rows.replace([np.inf, -np.inf], np.nan)
    profile = " or ".join(dict.fromkeys(summary["profile"]))
    more = audits.rows(results.audited).assign(profile=profile, in_post=False)
    _, _, lines = to_csv(more.reindex(columns=rows.columns), "%.4f").partition("\n")
    return to_csv(rows, "%.4f") + lines


def to_csv(rows: pd.DataFrame, float_format: str) -> str:
    """``rows`` as CSV, a line each."""
    foreign = rows.select_dtypes(["object", "str"])
    shown = foreign.map(lambda value: printable(value) if isinstance(value, str) else value)
    return rows.assign(**shown).to_csv(index=False, float_format=float_format, lineterminator="\n")


def latex(results: Results) -> str:
    """A ``tabular`` with booktabs' rules; offline RL columns stand under one heading."""
    columns = results.columns.values()
    line = lambda cells: " & ".join(escape_latex(cell) for cell in cells) + r" \\"
    headings, rules, first = [], [], 2
    for style, group in groupby(column.style for column in columns):
        width = len(list(group))
        headings.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(style)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    lines = [
        f"% {printable(describe(results))}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & " + " & ".join(headings) + r" \\",
        " ".join(rules),
        line(["task", *(column.title for column in columns)]),
    ]
    for _, rows in groupby(layout.lines(results), lambda row: row.family):
        lines.append(r"\midrule")
        for row in rows:
            texts = [escape_latex(text) for text in (row.title, *row.texts)]
            if row.kind == "average":
                texts = [rf"\textbf{{{text}}}" for text in texts]
            elif row.kind in ("published", "note"):
                texts = [rf"\textit{{{text}}}" if text else "" for text in texts]
            lines.append(" & ".join(texts) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    remarks = [*notes(results), *audits.sentences(results.audited)]
    return "\n".join([*lines, *(f"% {printable(remark)}" for remark in remarks)]) + "\n"


def html(results: Results) -> str:
    """A bare ``<table>`` to paste into a page; ``bench.report.page`` makes a page of its own."""
    columns = results.columns.values()
    tag = lambda name, text, rest="": f"<{name}{rest}>{escape_html(text)}</{name}>"
    head = [tag("th", "task", ' scope="col"')]
    for column in columns:
        head.append(tag("th", column.title, f' scope="col" class="{_class(column.style)}"'))
    lines = ["<table>", tag("caption", describe(results)), f"<thead><tr>{''.join(head)}</tr>"]
    lines.append("</thead>")
    for _, rows in groupby(layout.lines(results), lambda row: row.family):
        lines.append("<tbody>")
        for row in rows:
            cells = [tag("th", row.title, ' scope="row"')]
            for text, column in zip(row.texts, columns, strict=True):
                cells.append(tag("td", text, f' class="{_class(column.style)}"'))
            lines.append(f'<tr class="{row.kind}">{"".join(cells)}</tr>')
        lines.append("</tbody>")
    lines.append("</table>")
    remarks = [*notes(results), *audits.sentences(results.audited)]
    lines += [tag("p", remark) for remark in remarks]
    return "\n".join(lines) + "\n"


def _line(name: str, texts: Iterable[str]) -> str:
    return f"| {name} | " + " | ".join(texts) + " |"


def _class(style: str) -> str:
    return style.lower().replace(" ", "-")


FORMATS: dict[str, Callable[[Results], str]] = {
    "md": markdown,
    "csv": csv,
    "latex": latex,
    "html": html,
}
