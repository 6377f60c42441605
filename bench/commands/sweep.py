"""``rl-or-bc sweep``."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tyro

from bench import devices
from bench.commands.data import have_data
from bench.commands.grid import prepare
from bench.commands.one_task import OneTask, asks_for_help, read_names
from bench.commands.options import (
    Count,
    option,
    parse,
    seeds_in,
)
from bench.commands.own import resolve
from bench.commands.showing import fail, print_table
from envs.errors import InputError
from envs.text import for_terminal

# Help has these words for types; other types have their names.
_WORDS = {"bool": "{True,False}", "float | None": "FLOAT|None"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(OneTask):
    """Run one algorithm on one task with each of several settings."""

    workers: Count = None
    """cells at a time; one for each processor by default, on an accelerator 1"""


def run(arguments: list[str]) -> int:
    """Two stages, as of ``rl-or-bc train``: the first finds the method."""
    prog = "rl-or-bc sweep"
    asks_help = asks_for_help(arguments)
    first = read_names(Arguments, arguments, prog)

    from algos import settings
    from bench import grid
    from bench.display import Bars
    from bench.launch import processes
    from bench.run import cell as cells
    from bench.run.plan import plan
    from bench.run.profiles import get_profile

    task, source, version = resolve(first.task, first)
    profile = get_profile(first.profile)
    size = profile.sizes[task.family]
    default = settings.resolve(first.algorithm, task.family, size, task.name).config
    args = parse(_with_settings(type(default)), ["--help"] if asks_help else arguments, prog)
    varied = {
        field.name: values
        for field in dataclasses.fields(default)
        if (values := getattr(args, field.name, None)) is not None
    }
    if args.workers is not None and args.workers < 1:
        raise InputError(f"workers must be at least 1, got {args.workers}")
    if not varied:
        raise InputError("name a setting and its values, such as --learning-rate 1e-4 1e-3")
    planned = []
    for values in itertools.product(*varied.values()):
        changes = dict(zip(varied, values, strict=True))
        label = " ".join(option(name, value)[2:] for name, value in changes.items())
        cell = plan(
            task,
            args.algorithm,
            profile,
            source,
            config=dataclasses.replace(default, **changes),
            seeds=seeds_in(args.seeds),
            num_seeds=args.num_seeds,
            version=version,
            insist=args.insist,
            label=label,
        )
        planned.append(cell)
    devices.describe()
    if missing := have_data(planned[:1], Bars):
        return fail(missing.values())
    prepare(args.results)
    num_workers = processes.default_number() if args.workers is None else args.workers
    texts, failures = {}, []
    with (
        Bars("cells", len(planned)) as bars,
        contextlib.closing(
            grid.launch(planned, args.results, bars, num_workers, args.rerun)
        ) as ended,
    ):
        for cell, outcome in ended:
            if isinstance(outcome, str):
                failures.append(outcome)
                continue
            rows, _ = cells.read(outcome, cell.settings.seeds)
            texts[cell.label] = grid.summary_text(task, rows), outcome.name
    header = (*(option(name)[2:] for name in varied), "score", "cell")
    table = [
        (*(_word(getattr(cell.config, name)) for name in varied), *texts[cell.label])
        for cell in planned
        if cell.label in texts
    ]
    if table:
        print()
        print_table(header, table)
        print("mean ± std over seeds of the last evaluation; every seed: rl-or-bc runs")
        print(for_terminal(f"cells: {(args.results / 'runs' / source / task.name)}"))
    return fail(failures)


def _with_settings(config: type) -> type:
    """`Arguments`, with an option of several values for each of a method's settings.

    Settings that are several numbers themselves, such as widths, cannot be told from several
    values, and are left out.
    """
    annotated: Any = Annotated
    several: Any = tuple
    kinds = get_type_hints(config)
    fields: list[Any] = []
    for field in dataclasses.fields(config):
        kind = kinds[field.name]
        if get_origin(kind) is not tuple:
            word = str(kind if get_args(kind) else kind.__name__)
            metavar = f"{_WORDS.get(word, word.upper())} [...]"
            about = tyro.conf.arg(metavar=metavar, help_behavior_hint="", help="values to try")
            fields.append((field.name, annotated[several[kind, ...] | None, about], None))
    made = dataclasses.make_dataclass(
        "Sweep", fields, bases=(Arguments,), frozen=True, kw_only=True
    )
    made.__doc__ = Arguments.__doc__
    return made


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
