"""``rl-or-bc grid``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import devices, terminal
from bench.commands.data import have_data
from bench.commands.options import (
    Chosen,
    Count,
    Flag,
    Name,
    Names,
    Source,
)
from bench.commands.showing import (
    fail,
    print_scores,
)
from bench.places import LOCAL
from envs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Run tasks x algorithms and write the table."""

    profile: Chosen = "quick"
    """size of the run; see: rl-or-bc list profiles"""
    tasks: Names = None
    """which tasks; all of them by default"""
    algorithms: Names = None
    """which algorithms; the columns of Table 1 by default"""
    source: Source = None
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default"""
    insist: Flag = False
    """use data that are not the published ones, or in another environment; the table says so"""
    num_seeds: Count = None
    """seeds 0, 1, ... of each cell; the profile's by default"""
    results: Path = LOCAL
    """root of your results"""
    workers: Count = None
    """cells at a time; one for each processor by default, on an accelerator 1"""
    keep: Flag = False
    """leave out cells that the table has already, of the same settings and data"""
    json_lines: Flag = False
    """print what happens as one JSON object a line, and nothing else"""


def run(args: Arguments) -> int:
    """Run the cells that are asked for, and print their table."""
    from bench.display import Bars, JsonLines

    if not args.json_lines:
        return _run_grid(args, Bars)
    with terminal.reserved_output() as stream:
        return _run_grid(args, partial(JsonLines, stream=stream))


def _run_grid(args: Arguments, display: Callable[[str, int], Any]) -> int:
    from algos.registry import ALGORITHMS, TABLE1, get_algorithm
    from bench import grid
    from bench.launch import processes
    from bench.report import scores
    from bench.run.cell import folder_of
    from bench.run.profiles import get_profile
    from envs.sources.registry import DEFAULT_SOURCE, get_source, resolve

    if args.workers is not None and args.workers < 1:
        raise InputError(f"workers must be at least 1, got {args.workers}")
    profile = get_profile(args.profile)
    names = args.tasks or get_source(args.source or DEFAULT_SOURCE).tasks
    if not names:
        raise InputError("there are no tasks of your own yet; CONTRIBUTING.md says how to add one")
    resolved = list(dict.fromkeys(resolve(name, args.source) for name in names))
    sources = sorted({source for _, source in resolved})
    if len(sources) > 1:
        raise InputError(f"a table has one source, these tasks have {' and '.join(sources)}")
    algorithms = list(dict.fromkeys(args.algorithms or TABLE1))
    for name in algorithms:
        get_algorithm(name)
    planned = [
        grid.plan(
            task,
            algorithm,
            profile,
            sources[0],
            num_seeds=args.num_seeds,
            version=args.environment,
            insist=args.insist,
        )
        for task, _ in resolved
        for algorithm in algorithms
    ]
    devices.describe()
    missing = have_data(planned, display)
    planned = [cell for cell in planned if cell.task.name not in missing]
    if not planned:
        return fail(missing.values())
    prepare(args.results)
    num_workers = processes.default_number() if args.workers is None else args.workers
    with display("cells", len(planned)) as shown:
        failures = grid.run(planned, args.profile, args.results, shown, num_workers, args.keep)
    folder = args.results / sources[0] / args.profile
    if (folder / "scores.csv").exists() and not args.json_lines:
        results = scores.read(folder)
        # Earlier runs may have more cells in the table, and others in place of those that failed.
        asked = {folder_of(cell, args.results).name for cell in planned}
        entries = {name: entry for name, entry in ALGORITHMS.items() if name in algorithms}
        columns = {n: scores.Column(e.title, e.style, e.told, e.paper) for n, e in entries.items()}
        summary = results.summary[results.summary["cell_hash"].isin(asked)]
        print()
        print_scores(dataclasses.replace(results, summary=summary, columns=columns))
    return fail([*missing.values(), *failures])


def prepare(results_folder: Path) -> None:
    """Set up what all cells share; fail now rather than after minutes of work."""
    from bench.run.programs import keep_compiled_programs, tidy
    from envs.files import make_folder

    make_folder(results_folder)
    tidy()
    keep_compiled_programs()
