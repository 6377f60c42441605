"""``rl-or-bc check-method``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from bench import screen
from bench.commands.showing import fail


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Check that the methods of a file of yours keep the contract."""

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PATH")]
    """the file, as --methods-file takes it"""


def run(args: Arguments) -> int:
    """Print each check with what came of it, for every column of the file."""
    from algos import contract
    from algos.registry import add_file

    failures = []
    for name in add_file(args.path):
        for check, reason in contract.broken(name):
            print(screen.fill(f"{name}: {check}: {'BROKEN' if reason else 'ok'}", indent="  "))
            failures += [f"{name}: {check}: {reason}"] if reason else []
    return fail(failures)
