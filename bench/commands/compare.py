"""``rl-or-bc compare``."""

from __future__ import annotations

import dataclasses
import sys

from bench import screen
from bench.commands.options import (
    Flag,
    Folder,
    Name,
)
from bench.commands.showing import (
    say_whose,
    scored,
)
from envs.text import for_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Show our cells beside published scores, one by one."""

    results: Folder = None
    """root of the results; by default yours, results/local, or else the committed ones, results"""
    csv: Flag = False
    """print every published score with its source as CSV, not those of the post alone"""
    source: Name = None
    """only tables of this source of data"""
    profile: Name = None
    """only tables of this profile"""


def run(args: Arguments) -> int:
    """Print ours beside the published scores."""
    import pandas as pd

    from bench.report import compare, scores, stats

    root, folders = scored(args.results, args.source, args.profile)
    compared = {folder: compare.compare(scores.read(folder).summary) for folder in folders}
    if args.csv:
        say_whose(root, args.results, sys.stderr)
        print(compare.to_csv(pd.concat(compared.values())), end="")
        return 0
    say_whose(root, args.results, sys.stdout)
    # Split words: at 80 columns names, numbers and verdict have room beside each other.
    header = ["task", "algorithm", "ours", stats.CONFIDENCE_TEXT]
    header += ["pub-\nlished", "differ-\nence", ""]
    for folder, rows in compared.items():
        print(for_terminal(f"{folder}"), end="\n\n")
        for relation, related in compare.of_the_post(rows).groupby("relation", sort=False):
            print(f"{relation}:")
            texts = [row[:-1] for row in compare.texts(related)]
            screen.show(screen.in_blocks(header, texts, right=(2, 4, 5)))
            print()
        print(f"{screen.fill(compare.summary(rows))}\n")
    return 0
