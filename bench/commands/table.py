"""``rl-or-bc table``."""

from __future__ import annotations

import dataclasses
import sys

from bench import terminal
from bench.commands.options import (
    Flag,
    Folder,
    Name,
)
from bench.commands.showing import (
    EXIT_FAILED,
    no_scores,
    print_scores,
    say_whose,
    scored,
)
from bench.places import LOCAL, REFERENCE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write the tables again from the raw scores, and print them."""

    results: Folder = None
    """root of the results; by default yours, results/local, or else the committed ones, results"""
    check: Flag = False
    """write nothing; fail if a table or a page is not what its scores give"""
    template: Folder = None
    """with --check: the template that FINDINGS.md was made from, where report was given one"""
    format: Name = None
    """print the tables as md, csv, latex or html, write nothing"""
    source: Name = None
    """only tables of this source of data"""
    profile: Name = None
    """only tables of this profile"""


def run(args: Arguments) -> int:
    """Write tables and print them, or check those that there are."""
    from bench.report import audits, table
    from bench.report.formats import FORMATS
    from envs.tasks import look_up

    if args.check:
        return _check_tables(args)
    root, folders = scored(args.results, args.source, args.profile)
    if args.format is not None:
        render = look_up("format", args.format, FORMATS)
        say_whose(root, args.results, sys.stderr)
        for folder in folders:
            read = (*table.load(folder), table.read_published(), audits.read(folder))
            print(render(*read), end="")
        return 0
    say_whose(root, args.results, sys.stdout)
    for folder in folders:
        table.write(folder)
        summary, columns = table.load(folder)
        print_scores(folder, summary, {name: columns[name] for name in table.in_order(summary)})
    return 0


def _check_tables(args: Arguments) -> int:
    """Compare tables and pages with their scores: those of one root, or yours and the committed."""
    from bench.report import claims, page, table

    roots = (LOCAL, REFERENCE) if args.results is None else (args.results,)
    known = {root: table.find(root, args.source, args.profile) for root in roots}
    if not any(known.values()):
        raise no_scores(roots, args.source, args.profile)
    num_stale = 0
    for root, folders in known.items():
        stale = [path for f in folders for path in (*table.stale(f), *page.stale(f))]
        stale += claims.stale(root, args.template) if folders else []
        for path in stale:
            fix = f"rl-or-bc report --results {root}"
            terminal.say(f"error: {path} is not what its scores give; run: {fix}")
        num_stale += len(stale)
    return EXIT_FAILED if num_stale else 0
