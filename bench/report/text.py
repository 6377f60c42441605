"""Foreign text for each place that it is written to, one function a place. Imports no JAX.

Titles, doubts and names of data come from files that others may have written. What a place reads
as more than text is escaped here and nowhere else. Pictures need no function: their text is never
parsed (``bench.report.plots``). Cells of CSV are ``printable`` and no more: one that begins with
``=`` is a formula to a spreadsheet alone, and a mark before it would be a wrong value to every
other reader.
"""

from __future__ import annotations

from html import escape
from typing import Any

from markupsafe import Markup

from envs.text import printable

_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|$~"})
_MARKDOWN |= str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        # After the end of a row they would be its options.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
    }
)


def escape_markdown(text: str) -> str:
    """``text`` within a line or a cell of Markdown."""
    return printable(text).translate(_MARKDOWN)


def escape_latex(text: str) -> str:
    """``text`` within a line or a cell of LaTeX."""
    return printable(text).translate(_LATEX)


def escape_html(text: str) -> str:
    """``text`` within an element or a quoted attribute of HTML."""
    return escape(printable(text))


def finish_markdown(value: Any) -> Any:
    """A value of a template as Markdown; what is marked as safe stays."""
    return value if hasattr(value, "__html__") else Markup(escape_markdown(str(value)))


def finish_html(value: Any) -> Any:
    """A value of a template whose HTML is escaped after this; what is marked as safe stays."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
