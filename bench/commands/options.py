"""Options of the command line, and the messages about mistakes in them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from bench import screen
from envs.errors import InputError
from envs.sources.registry import SOURCES

_FIRST, *_MIDDLE, _LAST = SOURCES
_SOURCES = f"{', '.join([f'{_FIRST} (the default)', *_MIDDLE])} or {_LAST}"

# Help shows the name of an argument's value, and no default where the text says it in words.
Names = Annotated[
    tuple[str, ...] | None, tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Seeds = Annotated[
    tuple[str, ...] | None, tyro.conf.arg(metavar="SEED [SEED ...]", help_behavior_hint="")
]
Share = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
MethodsFile = Annotated[
    Path | None,
    tyro.conf.arg(metavar="PATH", help_behavior_hint="", help="file with methods of your own"),
]
Chosen = Annotated[str, tyro.conf.arg(metavar="NAME")]
Flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")]
Source = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="NAME",
        help_behavior_hint="",
        help=_SOURCES,
    ),
]


def seeds_in(words: Sequence[str] | None) -> tuple[int, ...] | None:
    """The seeds that the words of ``--seeds`` name; None where it was left out.

    Raises:
        InputError: a word that is neither a number nor a range.
    """
    from bench.run.groups import parse as parse_seeds

    return None if words is None else parse_seeds(words)


def parse(kind: Any, arguments: Sequence[str], prog: str) -> Any:
    """The options in ``arguments``; ``kind`` is the dataclass of those that there are.

    Raises:
        InputError: an option that there is not, with the near miss; a value that is none.
    """
    parsed, unknown = parse_known(kind, arguments, prog)
    if unknown:
        raise _unknown_argument(unknown[0], parsed, prog)
    for field in dataclasses.fields(parsed):
        if field.default is None and getattr(parsed, field.name) == ():
            name = option(field.name)
            raise InputError(f"{name} is given without a value; give one or leave {name} out")
    return parsed


def parse_known(
    kind: Any, arguments: Sequence[str], prog: str, *, add_help: bool = True
) -> tuple[Any, list[str]]:
    """The options in ``arguments``, and the words that ``kind`` does not have."""
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
    (
        r"Error parsing (\S+): no type matching (?:\{\[)?(\S+) .* from \['(.*)'\].*",
        r"\1 takes \2, got '\3'",
    ),
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
    known = [option(field.name) for field in named if field.name != "config"]
    return unknown_name("option", argument.partition("=")[0], known)


def option(field: str, value: Any = "") -> str:
    """The option that sets ``field``."""
    name = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    words = value if isinstance(value, tuple) else (value,)
    return " ".join([f"--{name}", *map(str, words)]).rstrip()
