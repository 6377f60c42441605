"""The command line: argument parsing and printing only."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from envs.types import InputError

# Commands import what they need when they run: `table` and `list` must not wait for JAX.

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListArgs:
    """Show what there is to run: tasks, algorithms or profiles."""

    what: tyro.conf.Positional[str]
    """tasks, algorithms or profiles"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataInfoArgs:
    """Describe the regenerated datasets: rows, episodes, scores, hash."""

    tasks: Names = ()
    """which tasks; all of them by default"""
    scale: float | None = None
    """share of D4RL's rows, above 0 and at most 1; the profile's by default"""
    profile: str = "quick"
    """whose scale to use"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataMakeArgs(DataInfoArgs):
    """Collect the regenerated datasets that are not there yet."""

    overwrite: bool = False
    """make datasets again that exist"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridArgs:
    """Run tasks x algorithms and write the table."""

    profile: str = "quick"
    """size of the run; see: rl-or-bc list profiles"""
    tasks: Names = ()
    """which tasks; all of them by default"""
    algorithms: Names = ()
    """which algorithms; the columns of Table 1 by default"""
    source: str = "regenerated"
    """where the data come from"""
    results: Path = Path("results")
    """root of all results"""
    workers: int | None = None
    """cells at a time; one for each processor by default, on an accelerator 1"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArgs:
    """Write the tables again from the raw scores, and print them."""

    results: Path = Path("results")
    """root of all results"""
    check: bool = False
    """write nothing; fail if a table is not what its scores give"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """Train and evaluate one algorithm on one task."""

    algorithm: tyro.conf.Positional[str]
    """see: rl-or-bc list algorithms"""
    task: tyro.conf.Positional[str]
    """see: rl-or-bc list tasks"""
    profile: str = "quick"
    """size of the run"""
    source: str = "regenerated"
    """where the data come from"""
    scale: float | None = None
    """share of D4RL's rows; the profile's by default"""
    num_seeds: int | None = None
    """seeds 0, 1, ... side by side; the profile's by default"""
    num_evaluations: int | None = None
    """evaluations, spread evenly over the steps; the profile's by default"""
    num_episodes: int | None = None
    """episodes per seed in each evaluation; the profile's by default"""
    results: Path = Path("results")
    """root of all results"""


class Command(NamedTuple):
    """A command's arguments, and what it does with them; ``run`` returns the exit status."""

    arguments: type
    run: Callable[[Any], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt as stopped:
        where = f" ({stopped})" if str(stopped) else ""
        print(f"stopped{where}; the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        place = f" {error.filename}" if error.filename else ""
        print(
            f"error: cannot write{place}: {error.strerror}; mend that and run the same command: "
            "it goes on from the last checkpoint",
            file=sys.stderr,
        )
        return EXIT_FAILED


def _dispatch(arguments: list[str]) -> int:
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            command, rest = COMMANDS[name], arguments[words:]
            if command.run is _train:  # parses for itself: its options depend on the method
                return _train(rest)
            return command.run(tyro.cli(command.arguments, args=rest, prog=f"rl-or-bc {name}"))
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: rl-or-bc COMMAND [OPTIONS]\n")
        for name, command in COMMANDS.items():
            print(f"  {name:<10} {(command.arguments.__doc__ or '').splitlines()[0]}")
        print("\nrl-or-bc COMMAND --help lists a command's options.")
        return 0 if arguments else EXIT_USAGE
    from envs.registry import unknown_name

    raise unknown_name("command", " ".join(arguments[:1]), COMMANDS)


def _list(args: ListArgs) -> int:
    from envs.registry import TASKS, unknown_name

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    if args.what == "tasks":
        rows = [
            (t.name, t.family, t.gymnasium_id, f"{t.num_rows:,}", *t.reference_returns)
            for t in TASKS.values()
        ]
        header = ("task", "family", "gymnasium", "D4RL rows", "score 0", "score 100")
    elif args.what == "algorithms":
        from algos.registry import ALGORITHMS

        rows = [(n, e.title, e.style, e.told, e.paper) for n, e in ALGORITHMS.items()]
        header = ("algorithm", "column", "family", "told", "paper")
    elif args.what == "profiles":
        from bench.profiles import PROFILES

        rows = [(n, p.num_seeds, p.purpose) for n, p in PROFILES.items()]
        header = ("profile", "seeds", "purpose")
    else:
        raise unknown_name("list", args.what, ("tasks", "algorithms", "profiles"))
    _print_table(header, rows)
    return 0


def _data_make(args: DataMakeArgs) -> int:
    _collect(_recipes(args), args.overwrite)
    return 0


def _collect(recipes: Sequence[Any], overwrite: bool) -> None:
    from bench.display import Bars
    from envs.datasets.make import make

    with Bars("datasets", len(recipes)) as bars:
        for recipe in recipes:
            name = recipe.task.name
            bars.started(name)
            progress = partial(bars.progress, name, total=recipe.num_rows)
            made = make(recipe, overwrite=overwrite, progress=progress)
            bars.finished(name, f"{recipe.num_rows:,} rows" if made else "there already")


def _data_info(args: DataInfoArgs) -> int:
    from envs.datasets.make import describe

    described = [describe(recipe) for recipe in _recipes(args)]
    for rows in zip(*described, strict=True):
        # Mazes have a column more than locomotion.
        header = max((tuple(row) for row in rows), key=len)
        _print_table(header, [tuple(row.get(name, "") for name in header) for row in rows])
        print()
    print("10 % to 90 %: normalized scores of episodes; the rest in per cent")
    print("start to goal: episodes that lead from the evaluation start to the evaluation goal")
    return 0


def _recipes(args: DataInfoArgs) -> list[Any]:
    from bench.profiles import get_profile
    from envs.behaviour.recipes import Recipe
    from envs.registry import TASKS, get_task

    sizes = get_profile(args.profile).sizes
    tasks = [get_task(name) for name in args.tasks or TASKS]
    scales = [sizes[t.family].scale if args.scale is None else args.scale for t in tasks]
    return [Recipe(task, scale) for task, scale in zip(tasks, scales, strict=True)]


def _train(arguments: list[str]) -> int:
    """Two stages: the first finds the method, whose Config then joins the options."""
    prog = "rl-or-bc train"
    if {"-h", "--help"} & set(arguments) and len(arguments) < 3:
        tyro.cli(TrainArgs, args=["--help"], prog=prog)
    first, _ = tyro.cli(TrainArgs, args=arguments, prog=prog, return_unknown_args=True)

    from algos.registry import get_algorithm
    from bench import cell, grid
    from bench.display import Bars
    from bench.interrupt import asked_to_stop
    from bench.profiles import get_profile
    from envs.registry import get_task

    task, profile = get_task(first.task), get_profile(first.profile)
    published = get_algorithm(first.algorithm).config(task.family)
    default = profile.sizes[task.family].resize(published)
    # The method's type is known only now, so the options are put together here.
    both = dataclasses.make_dataclass("Train", [("run", TrainArgs), ("config", Any, default)])
    both.__annotations__["config"] = type(default)
    both.__doc__ = TrainArgs.__doc__
    parsed: Any = tyro.cli(both, args=arguments, prog=prog, config=(tyro.conf.OmitArgPrefixes,))
    run: TrainArgs = parsed.run
    planned = grid.plan(
        task,
        run.algorithm,
        profile,
        run.source,
        config=parsed.config,
        scale=run.scale,
        num_seeds=run.num_seeds,
        num_evaluations=run.num_evaluations,
        num_episodes=run.num_episodes,
    )
    _make_missing([planned])
    _prepare(run.results)
    with Bars("cells", 1) as bars, asked_to_stop() as asked:
        bars.started(planned.name)
        progress = partial(bars.progress, planned.name)
        folder = cell.run(planned, run.results, asked=asked, progress=progress, report=bars.note)
        bars.finished(planned.name, grid.summary_text(task, cell.read(folder)[0]))
    print(f"raw returns and provenance: {folder}")
    return 0


def _grid(args: GridArgs) -> int:
    from algos.registry import TABLE1, get_algorithm
    from bench import grid, workers
    from bench.display import Bars
    from bench.profiles import get_profile
    from envs.registry import TASKS, get_task

    if args.workers is not None and args.workers < 1:
        raise InputError(f"workers must be at least 1, got {args.workers}")
    profile = get_profile(args.profile)
    tasks = [get_task(name) for name in args.tasks or TASKS]
    algorithms = list(args.algorithms or TABLE1)
    for name in algorithms:
        get_algorithm(name)
    planned = [grid.plan(t, a, profile, args.source) for t in tasks for a in algorithms]
    _make_missing(planned)
    _prepare(args.results)
    num_workers = workers.default_number() if args.workers is None else args.workers
    num_workers = min(num_workers, len(planned))
    with Bars("cells", len(planned)) as bars:
        failures = grid.run(planned, args.profile, args.results, bars, num_workers)
    folder = args.results / args.source / args.profile
    if (folder / "scores.csv").exists():
        print()
        _print_scores(folder)
    for line in failures:
        print(f"error: {line}", file=sys.stderr)
    return EXIT_FAILED if failures else 0


def _prepare(results_folder: Path) -> None:
    """Set up what all cells share; fail now rather than after minutes of work."""
    from bench.train import keep_compiled_programs

    results_folder.mkdir(parents=True, exist_ok=True)
    keep_compiled_programs()


def _make_missing(planned: Sequence[Any]) -> None:
    """Collect regenerated datasets that are not there; other sources are the user's to bring."""
    from envs.behaviour.recipes import Recipe
    from envs.datasets import get_source
    from envs.datasets.regenerated import dataset_folder

    for cell in planned:
        get_source(cell.settings.source)
    regenerated = [cell for cell in planned if cell.settings.source == "regenerated"]
    recipes = [Recipe(cell.task, cell.settings.scale) for cell in regenerated]
    missing = dict.fromkeys(r for r in recipes if not dataset_folder(r.dataset_id).exists())
    if missing:
        _collect(list(missing), overwrite=False)


def _table(args: TableArgs) -> int:
    from bench import table

    folders = table.find(args.results)
    if not folders:
        raise InputError(f"no scores under {args.results}; run: rl-or-bc grid")
    if args.check:
        stale = [path for folder in folders for path in table.stale(folder)]
        for path in stale:
            print(
                f"error: {path} is not what its scores give; run: rl-or-bc table", file=sys.stderr
            )
        return EXIT_FAILED if stale else 0
    for folder in folders:
        table.write(folder)
        _print_scores(folder)
    return 0


def _print_scores(folder: Path) -> None:
    from bench import table

    summary, columns = table.load(folder)
    Console(highlight=False, width=80).print(table.render_text(summary, columns))
    print("* offline RL; the other columns imitate. Means over seeds; deviations, published")
    print(f"scores and notes: {folder / 'table1.md'}\n")


def _print_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(header):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        grid.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(f"{x:.1f}" if isinstance(x, float) else str(x) for x in row))
    # A terminal that is too narrow wraps lines; cut columns would be worse.
    Console(highlight=False, width=200).print(grid)


COMMANDS = {
    "list": Command(ListArgs, _list),
    "data make": Command(DataMakeArgs, _data_make),
    "data info": Command(DataInfoArgs, _data_info),
    "train": Command(TrainArgs, _train),
    "grid": Command(GridArgs, _grid),
    "table": Command(TableArgs, _table),
}
