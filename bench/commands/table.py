"""``rl-or-bc table``."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial

from bench.commands.options import (
    Flag,
    Folder,
    Name,
)
from bench.commands.showing import fail, no_scores, print_scores, say_whose, scored
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
    from bench.report import artifacts, formats, scores
    from envs.tasks import look_up

    if args.check:
        return _check(args)
    root, folders = scored(args.results, args.source, args.profile)
    if args.format is not None:
        render = look_up("format", args.format, formats.FORMATS)
        say_whose(root, args.results, sys.stderr)
        for folder in folders:
            print(render(scores.read(folder)), end="")
        return 0
    say_whose(root, args.results, sys.stdout)
    for folder in folders:
        artifacts.write(folder, formats.build)
        print_scores(scores.read(folder))
    return 0


def _check(args: Arguments) -> int:
    """Compare what is kept with its scores: of one root, or of yours and the committed ones."""
    from bench import store
    from bench.report import artifacts, claims, figures, formats

    roots = (LOCAL, REFERENCE) if args.results is None else (args.results,)
    known = {root: store.find(root, args.source, args.profile) for root in roots}
    if not any(known.values()):
        raise no_scores(roots, args.source, args.profile)
    lines = []
    for root, folders in known.items():
        stale = []
        for folder in folders:
            stale += artifacts.stale(folder, formats.build, optional=False)
            stale += artifacts.stale(folder, figures.build, optional=True)
        if folders:
            findings = partial(claims.build, template=args.template)
            stale += artifacts.stale(root, findings, optional=True)
        fix = f"rl-or-bc report --results {root}"
        lines += [f"{path} is not what its scores give; run: {fix}" for path in stale]
    return fail(lines)
