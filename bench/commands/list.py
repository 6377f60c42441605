"""``rl-or-bc list``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from bench.commands.showing import (
    print_table,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Show what there is to run: tasks, algorithms or profiles."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="tasks|algorithms|profiles")]
    """what to show"""


def run(args: Arguments) -> int:
    """Print a table of what there is."""
    from envs.tasks import TASKS, unknown_name

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    if args.what == "tasks":
        rows = [
            (t.name, t.family, t.gymnasium_id, _thousands(t.num_rows), *t.reference_returns)
            for t in TASKS.values()
        ]
        header = ("task", "family", "gymnasium", "D4RL\nrows", "score\n0", "score\n100")
    elif args.what == "algorithms":
        from algos.registry import ALGORITHMS

        rows = [(n, e.title, e.style, e.told, e.paper) for n, e in ALGORITHMS.items()]
        header = ("algorithm", "column", "side", "told", "paper")
    elif args.what == "profiles":
        from bench.run.profiles import PROFILES

        rows = [(n, p.num_seeds, p.purpose) for n, p in PROFILES.items()]
        header = ("profile", "seeds", "purpose")
    else:
        raise unknown_name("list", args.what, ("tasks", "algorithms", "profiles"))
    print_table(header, rows)
    return 0


def _thousands(number: int) -> str:
    """D4RL's rows of a task, which come in thousands; own data have none."""
    return f"{number // 1000:,}k".rjust(6) if number else ""
