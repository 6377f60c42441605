"""``rl-or-bc train``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from bench.commands.cell import run_one
from bench.commands.one_task import OneTask, asks_for_help, read_names
from bench.commands.options import (
    Count,
    Share,
    option,
    parse,
    seeds_in,
)
from bench.commands.own import resolve
from envs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(OneTask):
    """Train and evaluate one algorithm on one task."""

    scale: Share = None
    """share of D4RL's rows; the profile's by default"""
    num_evaluations: Count = None
    """evaluations, spread evenly over the steps; the profile's by default"""
    num_episodes: Count = None
    """episodes per seed in each evaluation; the profile's by default"""


def run(arguments: list[str]) -> int:
    """Two stages: the first finds the method, whose Config then joins the options."""
    prog = "rl-or-bc train"
    asks_help = asks_for_help(arguments)
    first = read_names(Arguments, arguments, prog)

    from algos import settings
    from algos.registry import ALGORITHMS
    from bench.run.plan import plan
    from bench.run.profiles import get_profile

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
