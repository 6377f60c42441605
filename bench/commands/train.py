"""``rl-or-bc train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from bench.commands.cell import run_one
from bench.commands.options import (
    Chosen,
    Count,
    Flag,
    MethodsFile,
    Name,
    Seeds,
    Share,
    Source,
    option,
    parse,
    parse_known,
    seeds_in,
)
from bench.commands.own import OwnTasks, resolve
from bench.places import LOCAL
from envs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(OwnTasks):
    """Train and evaluate one algorithm on one task."""

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
    scale: Share = None
    """share of D4RL's rows; the profile's by default"""
    num_seeds: Count = None
    """seeds 0, 1, ...; the profile's by default"""
    seeds: Seeds = None
    """these seeds, such as 10-12 or 0 5 7-9, in place of 0, 1, ...; finished ones are kept"""
    num_evaluations: Count = None
    """evaluations, spread evenly over the steps; the profile's by default"""
    num_episodes: Count = None
    """episodes per seed in each evaluation; the profile's by default"""
    rerun: Flag = False
    """train again what other code than today's has made, for one who edits the method"""
    methods_file: MethodsFile = None
    results: Path = LOCAL
    """root of your results"""


def run(arguments: list[str]) -> int:
    """Two stages: the first finds the method, whose Config then joins the options."""
    prog = "rl-or-bc train"
    asks_help = bool({"-h", "--help"} & set(arguments))
    try:
        first, _ = parse_known(Arguments, arguments, prog, add_help=False)
    except InputError:
        if asks_help:
            parse(Arguments, ["--help"], prog)
        raise

    from algos import settings
    from algos.registry import ALGORITHMS, add_file
    from bench.run.plan import plan
    from bench.run.profiles import get_profile

    if first.methods_file:
        add_file(first.methods_file)
    if first.task in ALGORITHMS:
        raise InputError(f"the algorithm comes first: {prog} {first.task} {first.algorithm}")
    task, source, version = resolve(first.task, first)
    profile = get_profile(first.profile)
    published = settings.resolve(first.algorithm, task.family, task=task.name).config
    size = profile.sizes[task.family]
    default = settings.resolve(first.algorithm, task.family, size, task.name).config
    # The method's type is known only now, so the options are put together here.
    text = _settings_text(first.algorithm, task.family, first.profile, published, default)
    annotated: Any = Annotated
    kind = annotated[type(default), tyro.conf.arg(help=text)]
    both = dataclasses.make_dataclass(
        "Train", [("config", kind, default)], bases=(Arguments,), frozen=True, kw_only=True
    )
    both.__doc__ = Arguments.__doc__
    # tyro's help leaves out the arguments that were given.
    run = parse(both, ["--help"] if asks_help else arguments, prog)
    planned = plan(
        task,
        run.algorithm,
        profile,
        source,
        config=run.config,
        scale=run.scale,
        seeds=seeds_in(run.seeds),
        num_seeds=run.num_seeds,
        num_evaluations=run.num_evaluations,
        num_episodes=run.num_episodes,
        version=version,
        insist=run.insist,
    )
    return run_one(planned, run.results, run.rerun)


def _settings_text(algorithm: str, family: str, profile: str, published: Any, default: Any) -> str:
    """Says which of a method's settings are the published ones, and which the profile's."""
    from algos.registry import get_algorithm

    changed = [
        option(field.name, getattr(published, field.name))
        for field in dataclasses.fields(published)
        if getattr(published, field.name) != getattr(default, field.name)
    ]
    file = get_algorithm(algorithm).file
    text = f"Settings of {algorithm} in {family}."
    if not changed:
        return f"{text} The defaults are the published ones; {file} says by whom."
    return (
        f"{text} The defaults are those of profile {profile}. Published, where they differ: "
        f"{', '.join(changed)}; {file} says by whom."
    )
