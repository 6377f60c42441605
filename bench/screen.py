"""Text that fits a terminal: its width, names that are shortened, tables in blocks of columns."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from envs.text import for_terminal

USUAL_WIDTH = 80
_GAP = "..."  # every terminal has these characters
_SHORTEST = 12  # columns; a shorter name tells nothing


def width() -> int:
    """Columns of the terminal; 80 where the output goes elsewhere."""
    return shutil.get_terminal_size((USUAL_WIDTH, 24)).columns


def shorten(name: str, columns: int) -> str:
    """``name`` in at most ``columns``, which are at least 5: both ends tell names apart."""
    if cell_len(name) <= columns:
        return name
    tail = (columns - len(_GAP)) // 2
    head = columns - len(_GAP) - tail
    # Some characters take two columns.
    return f"{set_cell_size(name, head)}{_GAP}{set_cell_size(name[::-1], tail)[::-1]}"


def fill(text: str, indent: str = "") -> str:
    """``text`` in lines that the terminal need not wrap; all but the first are indented.

    What stands in brackets stays on one line.
    """
    shown = for_terminal(text)
    whole = re.sub(r"\[[^]]*\]+", lambda brackets: brackets[0].replace(" ", "\xa0"), shown)
    lines = textwrap.fill(
        whole, width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return lines.replace("\xa0", " ")


def in_blocks(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Iterable[int] = (),
    styles: Sequence[str] = (),
    columns: int | None = None,
) -> Group:
    """A table that is no wider than a terminal: below each other, as many columns as fit.

    Each block starts with the first column, whose names are shortened where nothing else helps. No
    other text is cut: one that is wider than the terminal has a block to itself.

    Args:
        header: of each column; may have several lines.
        rows: texts of each row, as many as ``header``.
        right: indices of the columns that are aligned on the right.
        styles: rich's style of each row; none by default.
        columns: width to fit; by default the terminal's.
    """
    limit = width() if columns is None else columns
    rows = [list(map(for_terminal, row)) for row in rows]
    cells = [*header, *(cell for row in rows for cell in row)]
    by_column = [cells[index :: len(header)] for index in range(len(header))]
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n")) for column in by_column
    ]
    room = limit - max(widths[1:], default=-1) - 1
    name_width = min(widths[0], max(room, _SHORTEST))
    blocks: list[list[int]] = [[]]
    used = name_width
    for index in range(1, len(header)):
        if blocks[-1] and used + 1 + widths[index] > limit:
            blocks.append([])
            used = name_width
        blocks[-1].append(index)
        used += 1 + widths[index]
    aligned = set(right)
    tables: list[Table | str] = []
    for block in blocks:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for index in (0, *block):
            side: JustifyMethod = "right" if index in aligned else "left"
            table.add_column(Text(header[index]), justify=side, no_wrap=True)
        for number, row in enumerate(rows):
            texts = [shorten(row[0], name_width), *(row[index] for index in block)]
            table.add_row(*map(Text, texts), style=styles[number] if styles else None)
        tables += ["", table] if tables else [table]
    return Group(*tables)


def show(table: Group) -> None:
    """Print what ``in_blocks`` gives; a line that is too long is wrapped and not cut."""
    # Rich squeezes and cuts columns that are wider than its console.
    Console(highlight=False, width=10_000).print(table)
