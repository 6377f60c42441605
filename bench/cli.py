"""The command line: argument parsing and printing only."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import tyro

from bench import shadows
from bench.places import LOCAL, REFERENCE

EXIT_FAILED, EXIT_USAGE = 1, 2

# Before anything is taken from packages that may be another project's.
if foreign := shadows.find_foreign():
    print(f"error: {foreign}", file=sys.stderr)
    sys.exit(EXIT_USAGE)

from bench import devices, interrupt, screen, terminal  # noqa: E402
from envs.errors import Fault, InputError  # noqa: E402
from envs.text import for_terminal  # noqa: E402

# Commands import what they need when they run: `table` and `list` must not wait for JAX.

# What help shows of an argument: its value's name, and no default where the text says it in words.
Names = Annotated[
    tuple[str, ...] | None, tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Share = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Chosen = Annotated[str, tyro.conf.arg(metavar="NAME")]
Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListArgs:
    """Show what there is to run: tasks, algorithms or profiles."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="tasks|algorithms|profiles")]
    """what to show"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataInfoArgs:
    """Describe the regenerated datasets: rows, episodes, scores, hash."""

    tasks: Names = None
    """which tasks; all of them by default"""
    scale: Share = None
    """share of D4RL's rows, above 0 and at most 1; the profile's by default"""
    profile: Chosen = "quick"
    """whose scale to use"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataMakeArgs(DataInfoArgs):
    """Collect the regenerated datasets that are not there yet."""

    overwrite: Flag = False
    """make datasets again that exist"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataFetchArgs:
    """Download published datasets, going on where a download was cut."""

    tasks: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="TASK [TASK ...]", help_behavior_hint=""),
    ] = ()
    """which tasks; see: rl-or-bc list tasks"""
    source: Chosen = "d4rl"
    """whose datasets"""
    mirror: Name = None
    """base address of another server with the same files; $D4RL_MIRROR by default"""
    overwrite: Flag = False
    """download datasets again that are there"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditArgs:
    """Say what there is to know of one dataset, and replay its physics."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """a task, D4RL's name of its file such as hopper-medium-v2, or a Minari dataset of your own"""
    source: Name = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default. For a dataset of
    your own that has no row yet, the environment to score in, such as Pendulum-v1"""
    scale: Share = None
    """share of D4RL's rows, for regenerated data; the profile's by default"""
    profile: Chosen = "quick"
    """whose scale to use"""
    json: Flag = False
    """print JSON"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridArgs:
    """Run tasks x algorithms and write the table."""

    profile: Chosen = "quick"
    """size of the run; see: rl-or-bc list profiles"""
    tasks: Names = None
    """which tasks; all of them by default"""
    algorithms: Names = None
    """which algorithms; the columns of Table 1 by default"""
    source: Name = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArgs:
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareArgs:
    """Show our cells beside published scores, one by one."""

    results: Folder = None
    """root of the results; by default yours, results/local, or else the committed ones, results"""
    csv: Flag = False
    """print every published score with its source as CSV, not those of the post alone"""
    source: Name = None
    """only tables of this source of data"""
    profile: Name = None
    """only tables of this profile"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportArgs:
    """Make a page of all scores and one on the post's claims."""

    results: Folder = None
    """root of the results; by default yours, results/local, or else the committed ones, results"""
    plots: Folder = None
    """a folder for every picture as SVG and PNG as well"""
    template: Folder = None
    """a template of your own (Jinja) for FINDINGS.md; it gets at the scores alone"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorArgs:
    """Say whether this machine gives numbers that can be trusted."""

    results: Path = LOCAL
    """where results would go"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """Train and evaluate one algorithm on one task."""

    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM")]
    """see: rl-or-bc list algorithms"""
    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """see: rl-or-bc list tasks"""
    profile: Chosen = "quick"
    """size of the run"""
    source: Name = None
    """regenerated (the default), d4rl, d4rl-qlearning, minari, minari-goal or own"""
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default"""
    insist: Flag = False
    """use data that are not the published ones, or in another environment; the table says so"""
    scale: Share = None
    """share of D4RL's rows; the profile's by default"""
    num_seeds: Count = None
    """seeds 0, 1, ... side by side; the profile's by default"""
    num_evaluations: Count = None
    """evaluations, spread evenly over the steps; the profile's by default"""
    num_episodes: Count = None
    """episodes per seed in each evaluation; the profile's by default"""
    results: Path = LOCAL
    """root of your results"""


class Command(NamedTuple):
    """A command's arguments, and what it does with them; ``run`` returns the exit status."""

    arguments: type
    run: Callable[[Any], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    terminal.prepare()
    try:
        status = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except InputError as error:
        terminal.say(f"error: {error}")
        return EXIT_USAGE
    except Fault as error:
        terminal.say(f"error: {error}")
        return EXIT_FAILED
    except ValueError as error:
        if not devices.is_about_a_setting(error):
            raise
        terminal.say(f"error: JAX refuses a setting: {error}; unset or mend that variable")
        return EXIT_USAGE
    except KeyboardInterrupt as stopped:
        where = f" ({stopped})" if str(stopped) else ""
        terminal.say(f"stopped{where}; the same command goes on from there")
        return interrupt.status()
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        return EXIT_FAILED
    except OSError as error:
        from envs.files import CANNOT_WRITE

        if error.errno not in CANNOT_WRITE:
            raise
        place = f" {error.filename}" if error.filename else ""
        terminal.say(
            f"error: cannot write{place}: {error.strerror}; mend that and run the same command: "
            "it goes on from the last checkpoint"
        )
        return EXIT_FAILED
    finally:
        terminal.leave()


def _dispatch(arguments: list[str]) -> int:
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            command, rest = COMMANDS[name], arguments[words:]
            if command.run is _train:  # parses for itself: its options depend on the method
                return _train(rest)
            return command.run(_parse(command.arguments, rest, f"rl-or-bc {name}"))
    if arguments == ["--version"]:
        print(f"rl-or-bc {_version()}")
        return 0
    first = " ".join(arguments[:1])
    group = {name: command for name, command in COMMANDS.items() if name.startswith(f"{first} ")}
    rest = arguments[1:] if group else arguments
    if rest[:1] in ([], ["-h"], ["--help"]):
        print(f"usage: rl-or-bc {f'{first} ' if group else ''}COMMAND [OPTIONS]\n")
        for name, command in (group or COMMANDS).items():
            print(f"  {name:<10} {(command.arguments.__doc__ or '').splitlines()[0]}")
        print("\nrl-or-bc COMMAND --help lists a command's options.")
        print("rl-or-bc --version prints the version.")
        return 0 if rest else EXIT_USAGE
    from envs.tasks import unknown_name

    known = group or [*COMMANDS, "--version"]
    raise unknown_name("command", " ".join(arguments[: 2 if group else 1]), known)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("rl-or-bc")
    except PackageNotFoundError:
        return "of a folder that is not installed as a package"


def _parse(kind: Any, arguments: Sequence[str], prog: str) -> Any:
    """What ``arguments`` say; ``kind`` is the dataclass of what may be said.

    Raises:
        InputError: an option that there is not, with the near miss; a value that is none.
    """
    parsed, unknown = _parse_known(kind, arguments, prog)
    if unknown:
        raise _unknown_argument(unknown[0], parsed, prog)
    for field in dataclasses.fields(parsed):
        if field.default is None and getattr(parsed, field.name) == ():
            option = _option(field.name)
            raise InputError(f"{option} is given without a name; name some or leave {option} out")
    return parsed


def _parse_known(
    kind: Any, arguments: Sequence[str], prog: str, *, add_help: bool = True
) -> tuple[Any, list[str]]:
    """What ``arguments`` say, and those of them that ``kind`` does not have."""
    if "" in arguments:  # an unset variable in a script; as a folder it would be the current one
        raise InputError(f"an argument is '', which is empty; see: {prog} --help")
    helped = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding)
    complained = io.StringIO()
    try:
        with contextlib.redirect_stdout(helped), contextlib.redirect_stderr(complained):
            return tyro.cli(
                kind,
                args=arguments,
                prog=prog,
                return_unknown_args=True,
                add_help=add_help,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as stopped:
        if not stopped.code:
            helped.seek(0)
            print(screen.fill(helped.readline(), indent="       "), helped.read(), sep="\n", end="")
            raise
    raise InputError(f"{_complaint(complained.getvalue())}; see: {prog} --help")


def _complaint(box: str) -> str:
    """The first paragraph of what tyro prints, as one line.

    It prints a title and paragraphs, with lines between them and, where the terminal has other
    characters than ASCII, around them.
    """
    title, *lines = (line[1:].rstrip(" │") for line in box.splitlines())
    is_text = lambda line: bool(line.strip(" -─╭╮╰╯"))
    body = list(itertools.takewhile(is_text, itertools.dropwhile(lambda x: not is_text(x), lines)))
    if "Required" in title:  # a name stands further left than its meaning
        depths = [len(line) - len(line.lstrip()) for line in body[1:]]
        names = [line for line, depth in zip(body[1:], depths, strict=True) if depth == min(depths)]
        return f"missing: {', '.join(map(str.strip, names))}"
    text = " ".join(map(str.strip, body)).replace("{None}|", "")
    for pattern, replacement in _COMPLAINTS:
        text = re.sub(pattern, replacement, text)
    return text.rstrip(".")


# tyro's words for a value that is none, and ours.
_COMPLAINTS = (
    (r"Missing value for argument '(\S+)'.*", r"\1 takes a value"),
    (r"Error parsing (\S+): no type matching (\S+) .* from \['(.*)'\].*", r"\1 takes \2, got '\3'"),
    (r"Error parsing (\S+): invalid literal for int\(\).*: (.*)", r"\1 takes INT, got \2"),
    (r"Error parsing (\S+): could not convert .* to float: (.*)", r"\1 takes FLOAT, got \2"),
    (r"Error parsing (\S+): (.*)", r"\1: \2"),
)


def _unknown_argument(argument: str, parsed: Any, prog: str) -> InputError:
    from envs.tasks import unknown_name

    if not argument.startswith("-"):
        return InputError(f"{argument!r} is one argument too many; see: {prog} --help")
    settings = getattr(parsed, "config", None)
    fields = [*dataclasses.fields(parsed), *(dataclasses.fields(settings) if settings else ())]
    # Annotations are text here; what is told by its place is no option.
    named = [field for field in fields if "Positional" not in str(field.type)]
    known = [_option(field.name) for field in named if field.name != "config"]
    return unknown_name("option", argument.partition("=")[0], known)


def _list(args: ListArgs) -> int:
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
        header = ("algorithm", "column", "family", "told", "paper")
    elif args.what == "profiles":
        from bench.run.profiles import PROFILES

        rows = [(n, p.num_seeds, p.purpose) for n, p in PROFILES.items()]
        header = ("profile", "seeds", "purpose")
    else:
        raise unknown_name("list", args.what, ("tasks", "algorithms", "profiles"))
    _print_table(header, rows)
    return 0


def _thousands(number: int) -> str:
    """D4RL's rows of a task, which come in thousands; own data have none."""
    return f"{number // 1000:,}k".rjust(6) if number else ""


def _data_make(args: DataMakeArgs) -> int:
    from bench.display import Bars

    return _fail(_collect(_recipes(args), args.overwrite, Bars).values())


def _collect(
    recipes: Sequence[Any], overwrite: bool, display: Callable[[str, int], Any]
) -> dict[str, str]:
    """Make datasets; task -> a line, of those that failed."""
    from bench.launch.datasets import make_all

    with display("datasets", len(recipes)) as shown:
        return make_all(recipes, overwrite, shown)


def _fail(lines: Iterable[str]) -> int:
    """Print what failed; returns the exit status."""
    lines = list(lines)
    for line in lines:
        terminal.say(f"error: {line}")
    return EXIT_FAILED if lines else 0


def _data_fetch(args: DataFetchArgs) -> int:
    from bench.display import Bars
    from envs.sources.registry import fetch, resolve

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
    from envs.collect.make import describe

    described = [describe(recipe) for recipe in _recipes(args)]
    for rows in zip(*described, strict=True):
        # Mazes have a column more than locomotion.
        header = max((tuple(row) for row in rows), key=len)
        _print_table(header, [tuple(row.get(name, "") for name in header) for row in rows])
        print()
    print("10 % to 90 %: normalized scores of episodes; the rest in per cent")
    print("start to goal: episodes that lead from the start to the goal of evaluation")
    return 0


def _audit(args: AuditArgs) -> int:
    import json

    from bench.report import audits
    from bench.run import baselines
    from bench.run.profiles import get_profile
    from envs.sources.registry import choose_scale, load, resolve
    from envs.tasks import OWN

    drafted = audits.without_row(args.dataset, args.environment)
    if drafted is not None:
        task, source, version = drafted, OWN, None
    else:
        (task, source), version = resolve(args.dataset, args.source), args.environment
    usual = get_profile(args.profile).sizes[task.family].scale
    scale = choose_scale(source, args.scale, usual)
    with terminal.reserved_output() if args.json else contextlib.nullcontext():
        found = baselines.audited(task, source, scale, version, load(task, source, scale))
    if drafted is not None:
        task, found = audits.on_proposed_scale(found, task)
    found |= audits.conclusions(found, task)
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    rows = [(name, value) for name, value in found.items() if not isinstance(value, dict | list)]
    # What is constant of the rewards stands with them.
    rows = [(name, f"{value}") for name, value in rows if name != "constant_reward"]
    _print_table(("what", ""), rows)
    for name in ("episode_lengths", "returns", "scores"):
        if name in found:
            spread = ", ".join(f"{key} {value:z.1f}" for key, value in found[name].items())
            print(screen.fill(f"{name}: {spread}", indent="  "))
    edges, counts = found["rewards"]["edges"], found["rewards"]["counts"]
    rewards = f"rewards: {edges[0]:.3g} to {edges[-1]:.3g}, in ten equal steps {counts}"
    if found["constant_reward"] is not None:
        rewards = f"rewards: {found['constant_reward']:.3g} in every row"
    print(screen.fill(rewards, indent="  "))
    for name in ("actions", "continuity", "replay"):
        text = json.dumps(found[name])
        if name == "replay" and not found[name]["rows"]:
            text = "no row, for the environment cannot be put into the state of one"
        print(screen.fill(f"{name}: {text}", indent="  "))
    for name, value in found["provenance"].items():
        if name not in ("recipe", "versions"):
            text = value if isinstance(value, str) else json.dumps(value)
            print(screen.fill(f"{name}: {text}", indent="  "))
    for line in audits.in_words(found):
        # The row, which is indented, is to be pasted and so unbroken.
        print(for_terminal(line) if line.startswith(" ") else screen.fill(line, indent="  "))
    return 0


def _recipes(args: DataInfoArgs) -> list[Any]:
    from bench.run.profiles import get_profile
    from envs.recipes import Recipe
    from envs.sources.registry import DEFAULT_SOURCE, get_source, resolve

    sizes = get_profile(args.profile).sizes
    names = args.tasks or get_source(DEFAULT_SOURCE).tasks
    tasks = [resolve(name, DEFAULT_SOURCE)[0] for name in names]
    scales = [sizes[t.family].scale if args.scale is None else args.scale for t in tasks]
    return [Recipe(task, scale) for task, scale in zip(tasks, scales, strict=True)]


def _train(arguments: list[str]) -> int:
    """Two stages: the first finds the method, whose Config then joins the options."""
    prog = "rl-or-bc train"
    asks_help = bool({"-h", "--help"} & set(arguments))
    try:
        first, _ = _parse_known(TrainArgs, arguments, prog, add_help=False)
    except InputError:
        if asks_help:
            _parse(TrainArgs, ["--help"], prog)
        raise

    from algos.registry import ALGORITHMS, get_algorithm
    from bench import grid
    from bench.display import Bars
    from bench.interrupt import asked_to_stop
    from bench.run import cell
    from bench.run.profiles import get_profile
    from envs.sources.registry import resolve

    if first.task in ALGORITHMS:
        raise InputError(f"the algorithm comes first: {prog} {first.task} {first.algorithm}")
    task, source = resolve(first.task, first.source)
    profile = get_profile(first.profile)
    published = get_algorithm(first.algorithm).config(task.family)
    default = profile.sizes[task.family].resize(published)
    # The method's type is known only now, so the options are put together here.
    text = _settings_text(first.algorithm, task.family, first.profile, published, default)
    annotated: Any = Annotated
    kind = annotated[type(default), tyro.conf.arg(help=text)]
    both = dataclasses.make_dataclass(
        "Train", [("config", kind, default)], bases=(TrainArgs,), frozen=True, kw_only=True
    )
    both.__doc__ = TrainArgs.__doc__
    # tyro's help leaves out the arguments that were given.
    run = _parse(both, ["--help"] if asks_help else arguments, prog)
    planned = grid.plan(
        task,
        run.algorithm,
        profile,
        source,
        config=run.config,
        scale=run.scale,
        num_seeds=run.num_seeds,
        num_evaluations=run.num_evaluations,
        num_episodes=run.num_episodes,
        version=run.environment,
        insist=run.insist,
    )
    devices.describe()
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
    print(for_terminal(f"raw returns and provenance: {folder}"))
    return 0


def _settings_text(algorithm: str, family: str, profile: str, published: Any, default: Any) -> str:
    """Says which of a method's settings are the published ones, and which the profile's."""
    changed = [
        _option(field.name, getattr(published, field.name))
        for field in dataclasses.fields(published)
        if getattr(published, field.name) != getattr(default, field.name)
    ]
    file = f"{type(published).__module__.replace('.', '/')}.py"
    text = f"Settings of {algorithm} in {family}."
    if not changed:
        return f"{text} The defaults are the published ones; {file} says by whom."
    return (
        f"{text} The defaults are those of profile {profile}. Published, where they differ: "
        f"{', '.join(changed)}; {file} says by whom."
    )


def _option(field: str, value: Any = "") -> str:
    """What is typed to set ``field``."""
    name = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    words = value if isinstance(value, tuple) else (value,)
    return " ".join([f"--{name}", *map(str, words)]).rstrip()


def _grid(args: GridArgs) -> int:
    from bench.display import Bars, JsonLines

    if not args.json_lines:
        return _run_grid(args, Bars)
    with terminal.reserved_output() as stream:
        return _run_grid(args, partial(JsonLines, stream=stream))


def _run_grid(args: GridArgs, display: Callable[[str, int], Any]) -> int:
    from algos.registry import ALGORITHMS, TABLE1, get_algorithm
    from bench import grid
    from bench.launch import processes
    from bench.report import table
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
    missing = _have_data(planned, display)
    planned = [cell for cell in planned if cell.task.name not in missing]
    if not planned:
        return _fail(missing.values())
    _prepare(args.results)
    num_workers = processes.default_number() if args.workers is None else args.workers
    with display("cells", len(planned)) as shown:
        failures = grid.run(planned, args.profile, args.results, shown, num_workers, args.keep)
    folder = args.results / sources[0] / args.profile
    if (folder / "scores.csv").exists() and not args.json_lines:
        summary, _ = table.load(folder)
        # Earlier runs may have more cells in the table, and others in place of those that failed.
        asked = {folder_of(cell, args.results).name for cell in planned}
        entries = {name: entry for name, entry in ALGORITHMS.items() if name in algorithms}
        columns = {n: table.Column(e.title, e.style, e.told) for n, e in entries.items()}
        print()
        _print_scores(folder, summary[summary["cell_hash"].isin(asked)], columns)
    return _fail([*missing.values(), *failures])


def _prepare(results_folder: Path) -> None:
    """Set up what all cells share; fail now rather than after minutes of work."""
    from bench.run.programs import keep_compiled_programs, tidy
    from envs.files import make_folder

    make_folder(results_folder)
    tidy()
    keep_compiled_programs()


def _have_data(planned: Sequence[Any], display: Callable[[str, int], Any]) -> dict[str, str]:
    """Collect regenerated datasets that are not there; read the files of other sources once.

    A file that cannot be used is thus refused before anything is written, and not hours later.
    Returns task -> a line, of the datasets that could not be made.
    """
    from bench.run.cell import load_once, make_lanes
    from envs.recipes import Recipe
    from envs.sources.regenerated import dataset_folder
    from envs.sources.registry import require_trust

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
            name = cell.task.name
            shown.started(name)
            try:
                make_lanes(cell, 1).close()
            except Fault as fault:
                if len(found) == 1:
                    raise
                shown.failed(name, str(fault))  # as each of its cells will; others can be run
                continue
            shown.finished(name, f"{load_once(cell).num_rows:,} rows")
    return failures


def _table(args: TableArgs) -> int:
    from bench.report import audits, table
    from bench.report.formats import FORMATS
    from envs.tasks import look_up

    if args.check:
        return _check_tables(args)
    root, folders = _scored(args.results, args.source, args.profile)
    if args.format is not None:
        render = look_up("format", args.format, FORMATS)
        _say_whose(root, args.results, sys.stderr)
        for folder in folders:
            read = (*table.load(folder), table.read_published(), audits.read(folder))
            print(render(*read), end="")
        return 0
    _say_whose(root, args.results, sys.stdout)
    for folder in folders:
        table.write(folder)
        summary, columns = table.load(folder)
        _print_scores(folder, summary, {name: columns[name] for name in table.in_order(summary)})
    return 0


def _check_tables(args: TableArgs) -> int:
    """Compare tables and pages with their scores: those of one root, or yours and the committed."""
    from bench.report import claims, page, table

    roots = (LOCAL, REFERENCE) if args.results is None else (args.results,)
    known = {root: table.find(root, args.source, args.profile) for root in roots}
    if not any(known.values()):
        raise _no_scores(roots, args.source, args.profile)
    num_stale = 0
    for root, folders in known.items():
        stale = [path for f in folders for path in (*table.stale(f), *page.stale(f))]
        stale += claims.stale(root, args.template) if folders else []
        for path in stale:
            fix = f"rl-or-bc report --results {root}"
            terminal.say(f"error: {path} is not what its scores give; run: {fix}")
        num_stale += len(stale)
    return EXIT_FAILED if num_stale else 0


def _scored(
    given: Path | None, source: str | None = None, profile: str | None = None
) -> tuple[Path, list[Path]]:
    """The root of results to show, and its folders that have scores.

    Args:
        given: the root that the user names. By default it is the user's own, or that of the
            committed results where the user has none of ``source`` and ``profile``.
        source: only tables of this source of data, if named.
        profile: only tables of this profile, if named.

    Raises:
        InputError: there is none.
    """
    from bench.report import table

    roots = (LOCAL, REFERENCE) if given is None else (given,)
    for root in roots:
        if folders := table.find(root, source, profile):
            return root, folders
    raise _no_scores(roots, source, profile)


def _no_scores(roots: Sequence[Path], source: str | None, profile: str | None) -> InputError:
    where = " or ".join(str(root / (source or "*") / (profile or "*")) for root in roots)
    return InputError(f"no scores under {where}; run: rl-or-bc grid")


def _say_whose(root: Path, given: Path | None, stream: TextIO) -> None:
    """Say which results are shown, unless the user named them."""
    if given is None:
        whose = "your own results" if root == LOCAL else "the committed results"
        print(for_terminal(f"{whose}, {root}"), file=stream)


def _compare(args: CompareArgs) -> int:
    import pandas as pd

    from bench.report import compare, stats

    root, folders = _scored(args.results, args.source, args.profile)
    compared = {folder: compare.load(folder) for folder in folders}
    if args.csv:
        _say_whose(root, args.results, sys.stderr)
        print(compare.to_csv(pd.concat(compared.values())), end="")
        return 0
    _say_whose(root, args.results, sys.stdout)
    # Split words: at 80 columns names, numbers and verdict have room beside each other.
    header = ["task", "algorithm", "ours", stats.CONFIDENCE_TEXT]
    header += ["pub-\nlished", "differ-\nence", ""]
    for folder, rows in compared.items():
        print(for_terminal(f"{folder}"), end="\n\n")
        for relation, related in compare.of_the_post(rows).groupby("relation", sort=False):
            print(f"{relation}:")
            texts = [row[:-1] for row in compare.texts(related)]
            screen.show(screen.in_blocks(header, texts, right=(2, 4, 5)))
            print()
        print(f"{screen.fill(compare.summary(rows))}\n")
    return 0


def _report(args: ReportArgs) -> int:
    from bench.report import claims, page, table

    root, folders = _scored(args.results)
    _say_whose(root, args.results, sys.stdout)
    for folder in folders:
        table.write(folder)
        print(for_terminal(f"{page.write(folder)}"))
        if args.plots is not None:
            where = args.plots / folder.parent.name / folder.name
            print(for_terminal(f"{len(page.write_plots(folder, where))} pictures: {where}"))
    print(for_terminal(f"{claims.write(root, args.template)}"))
    return 0


def _doctor(args: DoctorArgs) -> int:
    from bench import doctor

    findings = doctor.examine(args.results)
    for finding in findings:
        print(for_terminal(f"{finding.verdict:<6} {finding.what:<10} {finding.text}"))
    wrong = any(finding.verdict == doctor.WRONG for finding in findings)
    return EXIT_FAILED if wrong else 0


def _print_scores(folder: Path, summary: Any, columns: Any) -> None:
    """Print the scores in ``summary``, which are all or some of those of ``folder``."""
    from bench.report import audits, table

    screen.show(table.render_text(summary, columns))
    audited = [found for found in audits.read(folder) if found.task.name in set(summary["task"])]
    if audits.beside(audited):
        screen.show(audits.text(audited))
    for warning in [*table.warnings(summary), *audits.all_remarks(audited)]:
        print(screen.fill(warning))
    print("* offline RL; the other columns imitate. Means over seeds; deviations, published")
    print(for_terminal(f"scores and notes: {folder / 'table1.md'}"), end="\n\n")


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    texts = [[f"{x:z.1f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    numeric = [
        index
        for index in range(len(header))
        if all(isinstance(row[index], int | float) for row in rows)
    ]
    screen.show(screen.in_blocks(header, texts, right=numeric))


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
