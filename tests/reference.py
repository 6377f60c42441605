"""What quotes the committed results: README's tables, and the figures that it shows.

``python tests/reference.py`` makes both again; ``make reference`` runs it after the grid.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bench import plots, report
from bench.places import REFERENCE
from envs import files

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
FIGURES = ROOT / REFERENCE / "figures"

_BLOCK = r"(<!-- (table|averages): (\S+) -->\n).*?(<!-- end of \2 -->)"


def quoting(text: str) -> str:
    """``text`` with the committed tables in its blocks, whole or their averages alone."""

    def fill(block: re.Match[str]) -> str:
        first, kind, path, last = block.groups()
        lines = (ROOT / path).read_text().splitlines(keepends=True)
        if kind == "averages":
            lines = [x for x in lines if x.startswith(("| task", "|---", "|  | *", "| **"))]
        return first + "".join(lines) + last

    return re.sub(_BLOCK, fill, text, flags=re.DOTALL)


def figures() -> dict[Path, str | bytes]:
    """Each file of the figures that are shown, ``PROFILE-TASK``, and what belongs into it."""
    files: dict[Path, str | bytes] = {}
    for path in sorted(FIGURES.glob("*.svg")):
        profile, _, task = path.stem.partition("-")
        drawn = report.figures(report.read(ROOT / REFERENCE / "regenerated" / profile))
        name = f"tracks-{task}"
        files[path] = plots.svg(drawn[name], name)
        files[path.with_suffix(".png")] = plots.png(drawn[name])
    return files


if __name__ == "__main__":
    files.write_text(README, quoting(README.read_text()))
    for path, content in figures().items():
        write = files.write_text if isinstance(content, str) else files.write_bytes
        write(path, content)
    sys.stdout.write(f"tables and figures of the committed results: {README}, {FIGURES}\n")
