"""``rl-or-bc report``."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path

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
    from bench.report import artifacts, claims, figures, formats, page

    root, folders = scored(args.results)
    say_whose(root, args.results, sys.stdout)
    for folder in folders:
        for build in (formats.build, figures.build, page.build):
            written = artifacts.write(folder, build)
        print(for_terminal(f"{written[0]}"))
        if args.plots is not None:
            _draw(folder, args.plots / folder.parent.name / folder.name)
    for path in artifacts.write(root, partial(claims.build, template=args.template)):
        print(for_terminal(f"{path}"))
    return 0


def _draw(folder: Path, target: Path) -> None:
    from bench.report import artifacts, figures, scores

    pictures = figures.pictures(scores.read(folder))
    artifacts.write(target, lambda _: pictures)
    print(for_terminal(f"{len(pictures)} pictures: {target}"))
