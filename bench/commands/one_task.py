"""Commands that run one algorithm on one task: their options, and how these are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from bench.commands.options import (
    Chosen,
    Count,
    Flag,
    MethodsFile,
    Name,
    Seeds,
    Source,
    parse,
    parse_known,
)
from bench.commands.own import OwnTasks
from bench.places import LOCAL
from envs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneTask(OwnTasks):
    """Options of every command that runs one algorithm on one task."""

    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM")]
    """see: rl-or-bc list algorithms"""
    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """see: rl-or-bc list tasks; or a Minari dataset of your own, such as me/logs-v0"""
    profile: Chosen = "quick"
    """size of the run"""
    source: Source = None
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default. For a dataset of
    your own, the environment to score in, such as Pendulum-v1 or my_package:Reach-v0"""
    insist: Flag = False
    """use data that are not the published ones, or in another environment; the table says so"""
    num_seeds: Count = None
    """seeds 0, 1, ...; the profile's by default"""
    seeds: Seeds = None
    """these seeds, such as 10-12 or 0 5 7-9, in place of 0, 1, ...; finished ones are kept"""
    rerun: Flag = False
    """train again what other code than today's has made, for one who edits the method"""
    methods_file: MethodsFile = None
    results: Path = LOCAL
    """root of your results"""


def asks_for_help(arguments: list[str]) -> bool:
    """True if the options are to be listed."""
    return bool({"-h", "--help"} & set(arguments))


def read_names(kind: Any, arguments: list[str], prog: str) -> Any:
    """The first of two stages: the options of ``kind``, without those that the method adds.

    Methods of ``--methods-file`` are known afterwards.

    Raises:
        InputError: the algorithm or the task is missing, or a value is none.
    """
    try:
        first, _ = parse_known(kind, arguments, prog, add_help=False)
    except InputError:
        if asks_for_help(arguments):
            parse(kind, ["--help"], prog)
        raise
    if first.methods_file:
        from algos.registry import add_file

        add_file(first.methods_file)
    return first
