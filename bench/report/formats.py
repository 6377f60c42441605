"""The table in the formats that papers and pages take. Imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import pandas as pd

from bench.report import audits, table
from bench.report.audits import Audited
from bench.report.table import Column, Published
from bench.report.text import escape_html, escape_latex
from envs.text import printable

Render = Callable[[pd.DataFrame, dict[str, Column], Published, Sequence[Audited]], str]


def latex(
    summary: pd.DataFrame,
    columns: dict[str, Column],
    published: Published,
    audited: Sequence[Audited] = (),
) -> str:
    """A ``tabular`` with booktabs' rules; offline RL columns stand under one heading.

    Args: as of ``bench.report.table.render_markdown``.
    """
    line = lambda cells: " & ".join(escape_latex(cell) for cell in cells) + r" \\"
    headings, rules, first = [], [], 2
    for style, group in groupby(column.style for column in columns.values()):
        width = len(list(group))
        headings.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(style)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    lines = [
        f"% {printable(table.describe(summary))}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & " + " & ".join(headings) + r" \\",
        " ".join(rules),
        line(["task", *(column.title for column in columns.values())]),
    ]
    family = ""
    for row in table.layout(summary, columns, published):
        if row.family != family:
            lines.append(r"\midrule")
            family = row.family
        texts = [escape_latex(text) for text in (row.title, *row.texts)]
        if row.kind == "average":
            texts = [rf"\textbf{{{text}}}" for text in texts]
        elif row.kind in ("published", "note"):
            texts = [rf"\textit{{{text}}}" if text else "" for text in texts]
        lines.append(" & ".join(texts) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [*table.notes(summary, columns), *audits.sentences(audited)]
    return "\n".join([*lines, *(f"% {printable(note)}" for note in notes)]) + "\n"


def html(
    summary: pd.DataFrame,
    columns: dict[str, Column],
    published: Published,
    audited: Sequence[Audited] = (),
) -> str:
    """A bare ``<table>`` to paste into a page; ``bench.report.page`` makes a page of its own.

    Args: as of ``bench.report.table.render_markdown``.
    """
    tag = lambda name, text, rest="": f"<{name}{rest}>{escape_html(text)}</{name}>"
    head = [tag("th", "task", ' scope="col"')]
    for column in columns.values():
        head.append(tag("th", column.title, f' scope="col" class="{_class(column.style)}"'))
    lines = ["<table>", tag("caption", table.describe(summary)), f"<thead><tr>{''.join(head)}</tr>"]
    lines.append("</thead>")
    rows = table.layout(summary, columns, published)
    for _, group in groupby(rows, lambda row: row.family):
        lines.append("<tbody>")
        for row in group:
            cells = [tag("th", row.title, ' scope="row"')]
            for text, column in zip(row.texts, columns.values(), strict=True):
                cells.append(tag("td", text, f' class="{_class(column.style)}"'))
            lines.append(f'<tr class="{row.kind}">{"".join(cells)}</tr>')
        lines.append("</tbody>")
    lines.append("</table>")
    notes = [*table.notes(summary, columns), *audits.sentences(audited)]
    lines += [tag("p", note) for note in notes]
    return "\n".join(lines) + "\n"


def _csv(
    summary: pd.DataFrame,
    columns: dict[str, Column],
    published: Published,
    audited: Sequence[Audited] = (),
) -> str:
    del columns
    return table.render_csv(summary, published, audited)


def _class(style: str) -> str:
    return style.lower().replace(" ", "-")


FORMATS: dict[str, Render] = {
    "md": table.render_markdown,
    "csv": _csv,
    "latex": latex,
    "html": html,
}
