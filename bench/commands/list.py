"""``rl-or-bc list``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from bench.commands.options import Chosen, MethodsFile
from bench.commands.showing import (
    print_table,
)
from envs.errors import InputError

KINDS = ("tasks", "algorithms", "profiles", "settings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Show what there is to run: tasks, algorithms, profiles, settings."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="|".join(KINDS))]
    """what to show"""
    whose: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="[ALGORITHM TASK]", help_behavior_hint=""),
    ] = ()
    """the cell whose settings to show"""
    profile: Chosen = "quick"
    """the size of that cell"""
    methods_file: MethodsFile = None


def run(args: Arguments) -> int:
    """Print a table of what there is."""
    from envs.tasks import TASKS, unknown_name

    if args.methods_file:
        from algos.registry import add_file

        add_file(args.methods_file)
    if args.what == "settings":
        return _print_settings(args)
    if args.what in KINDS and args.whose:
        raise InputError(f"{args.whose[0]!r} is one argument too many; see: rl-or-bc list --help")
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
        raise unknown_name("list", args.what, KINDS)
    print_table(header, rows)
    return 0


def _print_settings(args: Arguments) -> int:
    """Print every setting of one cell, and where it comes from."""
    from algos.registry import ALGORITHMS
    from algos.settings import PROFILE, resolve
    from bench.run.profiles import get_profile
    from envs.sources.registry import resolve as find_task

    prog = "rl-or-bc list settings"
    if len(args.whose) != 2:
        raise InputError(f"settings are those of an algorithm on a task: {prog} iql antmaze-umaze")
    algorithm, name = args.whose
    if name in ALGORITHMS:
        raise InputError(f"the algorithm comes first: {prog} {name} {algorithm}")
    task, _ = find_task(name, None)
    profile = get_profile(args.profile)
    size = profile.sizes[task.family]
    config, origins = resolve(algorithm, task.family, size, task.name)
    of_profile = f"profile {args.profile}"
    rows = [
        (field, _value_text(value), of_profile if origins[field] == PROFILE else origins[field])
        for field, value in vars(config).items()
    ]
    rows += [
        (field, _value_text(value), of_profile)
        for field, value in (
            ("num_seeds", profile.num_seeds),
            ("num_evaluations", size.num_evaluations),
            ("num_episodes", size.num_episodes),
            ("scale", size.scale),
        )
    ]
    print_table(("setting", "value", "from"), rows)
    return 0


def _value_text(value: Any) -> str:
    """A setting as it is typed: ``256 256`` for a tuple, at most 6 digits of a number."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _thousands(number: int) -> str:
    """D4RL's rows of a task, which come in thousands; own data have none."""
    return f"{number // 1000:,}k".rjust(6) if number else ""
