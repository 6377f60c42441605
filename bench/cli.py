"""The command line: argument parsing and printing only."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Sequence
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
class DataFetchArgs:
    """Download published datasets, going on where a download was cut."""

    tasks: tyro.conf.Positional[Names] = ()
    """which tasks; see: rl-or-bc list tasks"""
    source: str = "d4rl"
    """whose datasets"""
    mirror: str | None = None
    """base address of another server with the same files; $D4RL_MIRROR by default"""
    overwrite: bool = False
    """download datasets again that are there"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditArgs:
    """Say what there is to know of one dataset, and replay its physics."""

    dataset: tyro.conf.Positional[str]
    """a task, or D4RL's name of its file such as hopper-medium-v2"""
    source: str | None = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
    environment: str | None = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default"""
    scale: float | None = None
    """share of D4RL's rows, for regenerated data; the profile's by default"""
    profile: str = "quick"
    """whose scale to use"""
    json: bool = False
    """print JSON"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridArgs:
    """Run tasks x algorithms and write the table."""

    profile: str = "quick"
    """size of the run; see: rl-or-bc list profiles"""
    tasks: Names = ()
    """which tasks; all of them by default"""
    algorithms: Names = ()
    """which algorithms; the columns of Table 1 by default"""
    source: str | None = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
    environment: str | None = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default"""
    insist: bool = False
    """use data that are not the published ones, or in another environment; the table says so"""
    num_seeds: int | None = None
    """seeds 0, 1, ... of each cell; the profile's by default"""
    results: Path = Path("results")
    """root of all results"""
    workers: int | None = None
    """cells at a time; one for each processor by default, on an accelerator 1"""
    keep: bool = False
    """leave out cells that the table has already, of the same settings and data"""
    json_lines: bool = False
    """print what happens as one JSON object a line, and nothing else"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArgs:
    """Write the tables again from the raw scores, and print them."""

    results: Path = Path("results")
    """root of all results"""
    check: bool = False
    """write nothing; fail if a table or a page is not what its scores give"""
    format: str | None = None
    """print the tables as md, csv, latex or html and write nothing"""
    source: str | None = None
    """only tables of this source of data"""
    profile: str | None = None
    """only tables of this profile"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareArgs:
    """Show our cells beside published scores, one by one."""

    results: Path = Path("results")
    """root of all results"""
    csv: bool = False
    """print every published score with its source as CSV, not those of the post alone"""
    source: str | None = None
    """only tables of this source of data"""
    profile: str | None = None
    """only tables of this profile"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportArgs:
    """Make a page of all scores and one on the post's claims."""

    results: Path = Path("results")
    """root of all results"""
    plots: Path | None = None
    """a folder for every picture as SVG and PNG as well"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorArgs:
    """Say whether this machine gives numbers that can be trusted."""

    results: Path = Path("results")
    """where results would go"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """Train and evaluate one algorithm on one task."""

    algorithm: tyro.conf.Positional[str]
    """see: rl-or-bc list algorithms"""
    task: tyro.conf.Positional[str]
    """see: rl-or-bc list tasks"""
    profile: str = "quick"
    """size of the run"""
    source: str | None = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
    environment: str | None = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default"""
    insist: bool = False
    """use data that are not the published ones, or in another environment; the table says so"""
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
        from envs.files import CANNOT_WRITE

        if error.errno not in CANNOT_WRITE:
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
    from bench.display import Bars

    return _fail(_collect(_recipes(args), args.overwrite, Bars).values())


def _collect(
    recipes: Sequence[Any], overwrite: bool, display: Callable[[str, int], Any]
) -> dict[str, str]:
    """Make datasets; task -> a line, of those that failed."""
    from bench.datasets import make_all

    with display("datasets", len(recipes)) as shown:
        return make_all(recipes, overwrite, shown)


def _fail(lines: Iterable[str]) -> int:
    """Print what failed; returns the exit status."""
    lines = list(lines)
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return EXIT_FAILED if lines else 0


def _data_fetch(args: DataFetchArgs) -> int:
    from bench.display import Bars
    from envs.datasets import fetch, resolve

    if not args.tasks:
        raise InputError("name the tasks whose data to download; see: rl-or-bc list tasks")
    tasks = [resolve(name, args.source)[0] for name in args.tasks]
    with Bars("downloads", len(tasks)) as bars:
        for task in tasks:
            bars.started(task.name)
            progress = partial(bars.progress, task.name)
            fetched = fetch(task, args.source, args.mirror, args.overwrite, progress)
            bars.finished(task.name, "fetched" if fetched else "there already")
    return 0


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


def _audit(args: AuditArgs) -> int:
    import json

    from bench.profiles import get_profile
    from envs.datasets import audit, choose_scale, resolve

    task, source = resolve(args.dataset, args.source)
    usual = get_profile(args.profile).sizes[task.family].scale
    scale = choose_scale(source, args.scale, usual)
    found = audit(task, source, scale, args.environment)
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    rows = [(name, value) for name, value in found.items() if not isinstance(value, dict)]
    _print_table(("what", ""), [(name, f"{value}") for name, value in rows])
    for name in ("episode_lengths", "returns", "scores"):
        spread = ", ".join(f"{key} {value:.1f}" for key, value in found[name].items())
        print(f"{name}: {spread}")
    edges, counts = found["rewards"]["edges"], found["rewards"]["counts"]
    print(f"rewards: {edges[0]:.3g} to {edges[-1]:.3g}, in ten equal steps {counts}")
    for name in ("actions", "continuity", "replay"):
        print(f"{name}: {json.dumps(found[name])}")
    for name, value in found["provenance"].items():
        if name not in ("recipe", "versions"):
            print(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def _recipes(args: DataInfoArgs) -> list[Any]:
    from bench.profiles import get_profile
    from envs.behaviour.recipes import Recipe
    from envs.datasets import DEFAULT_SOURCE, get_source, resolve

    sizes = get_profile(args.profile).sizes
    names = args.tasks or get_source(DEFAULT_SOURCE).tasks
    tasks = [resolve(name, DEFAULT_SOURCE)[0] for name in names]
    scales = [sizes[t.family].scale if args.scale is None else args.scale for t in tasks]
    return [Recipe(task, scale) for task, scale in zip(tasks, scales, strict=True)]


def _train(arguments: list[str]) -> int:
    """Two stages: the first finds the method, whose Config then joins the options."""
    prog = "rl-or-bc train"
    if {"-h", "--help"} & set(arguments) and len(arguments) < 3:
        tyro.cli(TrainArgs, args=["--help"], prog=prog)
    first, _ = tyro.cli(
        TrainArgs, args=arguments, prog=prog, return_unknown_args=True, add_help=False
    )

    from algos.registry import get_algorithm
    from bench import cell, grid
    from bench.display import Bars
    from bench.interrupt import asked_to_stop
    from bench.profiles import get_profile
    from envs.datasets import resolve

    task, source = resolve(first.task, first.source)
    profile = get_profile(first.profile)
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
        source,
        config=parsed.config,
        scale=run.scale,
        num_seeds=run.num_seeds,
        num_evaluations=run.num_evaluations,
        num_episodes=run.num_episodes,
        version=run.environment,
        insist=run.insist,
    )
    if missing := _have_data([planned], Bars):
        return _fail(missing.values())
    _prepare(run.results)
    with Bars("cells", 1) as bars, asked_to_stop() as asked:
        bars.started(planned.name)
        folder = cell.run(
            planned,
            run.results,
            asked=asked,
            progress=partial(bars.progress, planned.name),
            scored=partial(bars.scored, planned.name),
            report=bars.note,
        )
        bars.finished(planned.name, grid.summary_text(task, cell.read(folder)[0]))
    print(f"raw returns and provenance: {folder}")
    return 0


def _grid(args: GridArgs) -> int:
    from algos.registry import TABLE1, get_algorithm
    from bench import grid, workers
    from bench.display import Bars, JsonLines
    from bench.profiles import get_profile
    from envs.datasets import DEFAULT_SOURCE, get_source, resolve

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
    display = JsonLines if args.json_lines else Bars
    missing = _have_data(planned, display)
    planned = [cell for cell in planned if cell.task.name not in missing]
    if not planned:
        return _fail(missing.values())
    _prepare(args.results)
    num_workers = workers.default_number() if args.workers is None else args.workers
    with display("cells", len(planned)) as shown:
        failures = grid.run(planned, args.profile, args.results, shown, num_workers, args.keep)
    folder = args.results / sources[0] / args.profile
    if (folder / "scores.csv").exists() and not args.json_lines:
        print()
        _print_scores(folder)
    return _fail([*missing.values(), *failures])


def _prepare(results_folder: Path) -> None:
    """Set up what all cells share; fail now rather than after minutes of work."""
    from bench.train import keep_compiled_programs

    results_folder.mkdir(parents=True, exist_ok=True)
    keep_compiled_programs()


def _have_data(planned: Sequence[Any], display: Callable[[str, int], Any]) -> dict[str, str]:
    """Collect regenerated datasets that are not there; read the files of other sources once.

    A file that cannot be used is thus refused before anything is written, and not hours later.
    Returns task -> a line, of the datasets that could not be made.
    """
    from bench.cell import load_once
    from envs.behaviour.recipes import Recipe
    from envs.datasets import require_trust
    from envs.datasets.regenerated import dataset_folder

    cells = list({(c.task, c.settings.source, c.settings.scale): c for c in planned}.values())
    made = [c for c in cells if c.settings.source == "regenerated"]
    recipes = [Recipe(c.task, c.settings.scale) for c in made]
    missing = [r for r in recipes if not dataset_folder(r.dataset_id).exists()]
    failures = _collect(missing, False, display) if missing else {}
    for cell in cells:
        if cell.task.name not in failures:
            require_trust(cell.data, cell.insist)
    found = [cell for cell in cells if cell.settings.source != "regenerated"]
    if not found:
        return failures
    with display("datasets", len(found)) as shown:
        for cell in found:
            shown.started(cell.task.name)
            shown.finished(cell.task.name, f"{load_once(cell).num_rows:,} rows")
    return failures


def _table(args: TableArgs) -> int:
    from bench import findings, report, table
    from bench.formats import FORMATS
    from envs.registry import look_up

    folders = _scored(args.results, args.source, args.profile)
    if args.format is not None:
        render = look_up("format", args.format, FORMATS)
        for folder in folders:
            print(render(*table.load(folder), table.read_published()), end="")
        return 0
    if args.check:
        stale = [path for f in folders for path in (*table.stale(f), *report.stale(f))]
        stale += findings.stale(args.results)
        for path in stale:
            print(
                f"error: {path} is not what its scores give; run: rl-or-bc report", file=sys.stderr
            )
        return EXIT_FAILED if stale else 0
    for folder in folders:
        table.write(folder)
        _print_scores(folder)
    return 0


def _scored(
    results_folder: Path, source: str | None = None, profile: str | None = None
) -> list[Path]:
    """The folders of ``results_folder`` that have scores, of one source and profile if named.

    Raises:
        InputError: there is none.
    """
    from bench import table

    folders = [
        folder
        for folder in table.find(results_folder)
        if source in (None, folder.parent.name) and profile in (None, folder.name)
    ]
    if not folders:
        where = results_folder / (source or "*") / (profile or "*")
        raise InputError(f"no scores under {where}; run: rl-or-bc grid")
    return folders


def _compare(args: CompareArgs) -> int:
    import pandas as pd

    from bench import compare, stats

    compared = {
        folder: compare.load(folder) for folder in _scored(args.results, args.source, args.profile)
    }
    if args.csv:
        print(compare.to_csv(pd.concat(compared.values())), end="")
        return 0
    header = ("task", "algorithm", "ours", stats.CONFIDENCE_TEXT, "published", "difference", "")
    for folder, rows in compared.items():
        print(f"{folder}\n")
        _print_table((*header, "relation"), compare.texts(compare.of_the_post(rows)))
        print(f"\n{compare.summary(rows)}\n")
    return 0


def _report(args: ReportArgs) -> int:
    from bench import findings, report, table

    for folder in _scored(args.results):
        table.write(folder)
        print(report.write(folder))
        if args.plots is not None:
            where = args.plots / folder.parent.name / folder.name
            print(f"{len(report.write_plots(folder, where))} pictures: {where}")
    print(findings.write(args.results))
    return 0


def _doctor(args: DoctorArgs) -> int:
    from bench import doctor

    findings = doctor.examine(args.results)
    for finding in findings:
        print(f"{finding.verdict:<6} {finding.what:<10} {finding.text}")
    wrong = any(finding.verdict == doctor.WRONG for finding in findings)
    return EXIT_FAILED if wrong else 0


def _print_scores(folder: Path) -> None:
    from bench import table

    summary, columns = table.load(folder)
    Console(highlight=False, width=80).print(table.render_text(summary, columns))
    for warning in table.warnings(summary):
        print(warning)
    print("* offline RL; the other columns imitate. Means over seeds; deviations, published")
    print(f"scores and notes: {folder / 'table1.md'}\n")


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
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
    "data fetch": Command(DataFetchArgs, _data_fetch),
    "audit": Command(AuditArgs, _audit),
    "train": Command(TrainArgs, _train),
    "grid": Command(GridArgs, _grid),
    "table": Command(TableArgs, _table),
    "compare": Command(CompareArgs, _compare),
    "report": Command(ReportArgs, _report),
    "doctor": Command(DoctorArgs, _doctor),
}
