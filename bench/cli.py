"""The command line: finds the command, and turns errors into one line and a status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench import shadows

# Before anything is taken from packages that may be another project's.
if foreign := shadows.find_foreign():
    print(f"error: {foreign}", file=sys.stderr)
    sys.exit(2)

from bench import devices, interrupt, terminal
from bench.commands import (
    audit,
    cell,
    check_method,
    compare,
    data,
    doctor,
    grid,
    play,
    report,
    runs,
    sweep,
    table,
    train,
)
from bench.commands import list as listing
from bench.commands.options import parse
from bench.commands.showing import EXIT_FAILED, EXIT_USAGE
from envs.errors import Fault, InputError


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
            if command.run in (train.run, sweep.run):  # their options depend on the method
                return command.run(rest)
            return command.run(parse(command.arguments, rest, f"rl-or-bc {name}"))
    if arguments == ["--version"]:
        print(f"rl-or-bc {_version()}")
        return 0
    first = " ".join(arguments[:1])
    group = {name: command for name, command in COMMANDS.items() if name.startswith(f"{first} ")}
    rest = arguments[1:] if group else arguments
    if rest[:1] in ([], ["-h"], ["--help"]):
        print(f"usage: rl-or-bc {f'{first} ' if group else ''}COMMAND [OPTIONS]\n")
        for name, command in (group or COMMANDS).items():
            print(f"  {name:<12} {(command.arguments.__doc__ or '').splitlines()[0]}")
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


COMMANDS = {
    "list": Command(listing.Arguments, listing.run),
    "data make": Command(data.MakeArguments, data.make),
    "data info": Command(data.InfoArguments, data.info),
    "data fetch": Command(data.FetchArguments, data.fetch),
    "audit": Command(audit.Arguments, audit.run),
    "train": Command(train.Arguments, train.run),
    "cell": Command(cell.Arguments, cell.run),
    "sweep": Command(sweep.Arguments, sweep.run),
    "grid": Command(grid.Arguments, grid.run),
    "runs": Command(runs.Arguments, runs.run),
    "play": Command(play.Arguments, play.run),
    "table": Command(table.Arguments, table.run),
    "compare": Command(compare.Arguments, compare.run),
    "report": Command(report.Arguments, report.run),
    "check-method": Command(check_method.Arguments, check_method.run),
    "doctor": Command(doctor.Arguments, doctor.run),
}
