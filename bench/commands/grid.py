"""``rl-or-bc grid``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import devices, terminal
from bench.commands.data import have_data
from bench.commands.options import (
    Chosen,
    Count,
    Flag,
    Folder,
    MethodsFile,
    Name,
    Names,
    Seeds,
    Source,
    seeds_in,
)
from bench.commands.own import OwnTasks, add, read_file, refuse_reference
from bench.commands.showing import (
    fail,
    print_scores,
)
from bench.places import LOCAL
from envs.errors import InputError
from envs.text import for_terminal

if TYPE_CHECKING:
    from bench.run.plan import Cell
    from envs.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(OwnTasks):
    """Run tasks x algorithms and write the table."""

    profile: Chosen = "quick"
    """size of the run; see: rl-or-bc list profiles"""
    tasks: Names = None
    """which tasks; all of them by default"""
    algorithms: Names = None
    """which algorithms; the columns of Table 1 by default"""
    data: Name = None
    """a Minari dataset of your own, such as me/logs-v0, which --environment scores"""
    source: Source = None
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default. With --data the
    environment to score in, such as Pendulum-v1 or my_package:Reach-v0"""
    insist: Flag = False
    """use data that are not the published ones, or in another environment; the table says so"""
    num_seeds: Count = None
    """seeds 0, 1, ... of each cell; the profile's by default"""
    seeds: Seeds = None
    """these seeds, such as 10-12 or 0 5 7-9, in place of 0, 1, ...; finished ones are kept"""
    methods_file: MethodsFile = None
    results: Path = LOCAL
    """root of your results"""
    workers: Count = None
    """cells at a time; one for each processor by default, on an accelerator 1"""
    keep: Flag = False
    """leave out cells that the table has already, of the same settings and data"""
    rerun: Flag = False
    """train again what other code than today's has made, for one who edits a method"""
    plan: Folder = None
    """run nothing, but write each cell as PATH/<number>.json, from 0, for: rl-or-bc cell FILE"""
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
    from algos.registry import ALGORITHMS, add_file, get_algorithm
    from bench import grid
    from bench.launch import processes
    from bench.report import scores
    from bench.run.plan import folder_of, plan
    from bench.run.profiles import get_profile
    from envs.sources.registry import DEFAULT_SOURCE, get_source, resolve

    if args.workers is not None and args.workers < 1:
        raise InputError(f"workers must be at least 1, got {args.workers}")
    if args.methods_file:
        add_file(args.methods_file)
    profile = get_profile(args.profile)
    named = read_file(args)
    if args.data is None:
        refuse_reference(args)
        names = args.tasks or named or get_source(args.source or DEFAULT_SOURCE).tasks
        version = args.environment
    else:
        names = [*(args.tasks or named), add(args.data, args.environment, args).name]
        version = None
    if not names:
        raise InputError(
            "name data of your own by --data or --tasks-file; CONTRIBUTING.md says how"
        )
    resolved = list(dict.fromkeys(resolve(name, args.source) for name in names))
    sources = sorted({source for _, source in resolved})
    if len(sources) > 1:
        raise InputError(f"a table has one source, these tasks have {' and '.join(sources)}")
    for name in args.algorithms or ():
        get_algorithm(name)
    columns = {
        task.name: dict.fromkeys(args.algorithms or _columns(task, sources[0]))
        for task, _ in resolved
    }
    planned = [
        plan(
            task,
            algorithm,
            profile,
            sources[0],
            seeds=seeds_in(args.seeds),
            num_seeds=args.num_seeds,
            version=version,
            insist=args.insist,
        )
        for task, _ in resolved
        for algorithm in columns[task.name]
    ]
    if args.plan is not None:
        return write_plan(planned, args.plan)
    devices.describe()
    missing = have_data(planned, display)
    planned = [cell for cell in planned if cell.task.name not in missing]
    if not planned:
        return fail(missing.values())
    prepare(args.results)
    num_workers = processes.default_number() if args.workers is None else args.workers
    with display("cells", len(planned)) as shown:
        failures = grid.run(
            planned, args.profile, args.results, shown, num_workers, args.keep, args.rerun
        )
    folder = args.results / sources[0] / args.profile
    if (folder / "scores.csv").exists() and not args.json_lines:
        results = scores.read(folder)
        # Earlier runs may have more cells in the table, and others in place of those that failed.
        asked = {folder_of(cell, args.results).name for cell in planned}
        ran = {cell.algorithm for cell in planned}
        headings = {
            name: scores.Column(entry.title, entry.style, entry.told, entry.paper)
            for name, entry in ALGORITHMS.items()
            if name in ran
        }
        summary = results.summary[results.summary["cell_hash"].isin(asked)]
        print()
        print_scores(dataclasses.replace(results, summary=summary, columns=headings))
    return fail([*missing.values(), *failures])


def _columns(task: Task, source: str) -> list[str]:
    """The columns of Table 1 that take the task's actions; those that do not are named."""
    from algos.registry import TABLE1
    from bench.run.data import kind_of_actions

    kind = kind_of_actions(task, source)
    left_out = [e.title for e in TABLE1.values() if kind is not None and kind not in e.actions]
    if left_out:
        terminal.say(f"{', '.join(left_out)}: left out, for the actions of {task.name} are choices")
    return [name for name, entry in TABLE1.items() if entry.title not in left_out]


def write_plan(planned: Sequence[Cell], folder: Path) -> int:
    """Write each cell to a file that ``rl-or-bc cell`` takes.

    Raises:
        InputError: files of another plan are there, whose cells would be run with these.
    """
    from bench.run.plan import to_json
    from envs.files import write_json

    if next(folder.glob("*.json"), None):
        raise InputError(f"{folder} has a plan already; name another folder or remove it")
    for number, cell in enumerate(planned):
        write_json(folder / f"{number}.json", to_json(cell))
    print(for_terminal(f"{len(planned)} cells: {folder}/0.json to {len(planned) - 1}.json"))
    print("each runs by rl-or-bc cell FILE; the same grid without --plan then makes the table")
    return 0


def prepare(results_folder: Path) -> None:
    """Set up what all cells share; fail now rather than after minutes of work."""
    from bench.run.programs import keep_compiled_programs, tidy
    from envs.files import make_folder

    make_folder(results_folder)
    tidy()
    keep_compiled_programs()
