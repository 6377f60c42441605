"""``rl-or-bc report``."""

from __future__ import annotations

import dataclasses
import sys

from bench.commands.options import (
    Folder,
)
from bench.commands.showing import (
    say_whose,
    scored,
)
from envs.text import for_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Make a page of all scores and one on the post's claims."""

    results: Folder = None
    """root of the results; by default yours, results/local, or else the committed ones, results"""
    plots: Folder = None
    """a folder for every picture as SVG and PNG as well"""
    template: Folder = None
    """a template of your own (Jinja) for FINDINGS.md; it gets at the scores alone"""


def run(args: Arguments) -> int:
    """Write tables, pages and, if asked for, pictures."""
    from bench.report import claims, page, table

    root, folders = scored(args.results)
    say_whose(root, args.results, sys.stdout)
    for folder in folders:
        table.write(folder)
        print(for_terminal(f"{page.write(folder)}"))
        if args.plots is not None:
            where = args.plots / folder.parent.name / folder.name
            print(for_terminal(f"{len(page.write_plots(folder, where))} pictures: {where}"))
    print(for_terminal(f"{claims.write(root, args.template)}"))
    return 0
