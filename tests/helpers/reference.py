"""What quotes the committed results: README's table, and the figures that it shows.

``python -m tests.helpers.reference`` makes both again; ``make reference`` runs it after the grid.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bench.places import REFERENCE
from bench.report import plots, scores
from bench.report.plots import Figure
from envs import files
from envs.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
FIGURES = ROOT / REFERENCE / "figures"

_BLOCK = r"(<!-- averages: (\S+) -->\n).*?(<!-- end of averages -->)"


def quoting(text: str) -> str:
    """``text`` with the averages of the committed tables in its blocks."""

    def fill(block: re.Match[str]) -> str:
        first, path, last = block.groups()
        return first + averages(ROOT / path) + last

    return re.sub(_BLOCK, fill, text, flags=re.DOTALL)


def averages(table: Path) -> str:
    """The heads of a table in Markdown, and its rows of averages."""
    lines = table.read_text().splitlines(keepends=True)
    wanted = ("| task", "|---", "|  | *", "| **")
    return "".join(line for line in lines if line.startswith(wanted))


def figures() -> dict[Path, Figure]:
    """The figures that are shown, by the path of their SVG, ``PROFILE-TASK.svg``."""
    shown = sorted(FIGURES.glob("*.svg"))
    profiles = {path.stem.partition("-")[0] for path in shown}
    found = {name: scores.read(ROOT / REFERENCE / "regenerated" / name) for name in profiles}
    figures = {}
    for path in shown:
        profile, _, task = path.stem.partition("-")
        figures[path] = plots.tracks(TASKS[task].environment, found[profile].panels[task])
    return figures


def drawing(path: Path, figure: Figure) -> str:
    """The SVG at ``path``."""
    return plots.svg(figure, f"tracks-{path.stem.partition('-')[2]}")


if __name__ == "__main__":
    files.write_text(README, quoting(README.read_text()))
    for path, figure in figures().items():
        files.write_text(path, drawing(path, figure))
    sys.stdout.write(f"tables and figures of the committed results: {README}, {FIGURES}\n")
