"""``rl-or-bc audit``."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Annotated

import tyro

from bench import screen, terminal
from bench.commands.options import (
    Chosen,
    Flag,
    Name,
    Share,
    Source,
)
from bench.commands.own import OwnTasks, draft, is_dataset, read_file, refuse_reference
from bench.commands.showing import (
    print_table,
)
from envs.text import for_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(OwnTasks):
    """Say what there is to know of one dataset, and replay its physics."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """a task, D4RL's name of its file such as hopper-medium-v2, or a Minari dataset of your own"""
    source: Source = None
    environment: Name = None
    """gymnasium's version of locomotion, v4 or v5; that of the data by default. For a dataset of
    your own, the environment to score in, such as Pendulum-v1 or my_package:Reach-v0"""
    scale: Share = None
    """share of D4RL's rows, for regenerated data; the profile's by default"""
    profile: Chosen = "quick"
    """whose scale to use"""
    json: Flag = False
    """print JSON"""


def run(args: Arguments) -> int:
    """Print what ``bench.run.baselines.audited`` finds."""
    import json

    from bench.report import audits
    from bench.run import baselines
    from bench.run.profiles import get_profile
    from envs.sources.registry import choose_scale, load, resolve
    from envs.tasks import OWN

    read_file(args)
    drafted = is_dataset(args.dataset, args.environment)
    if drafted:
        task, source = draft(args.dataset, args.environment, args), OWN
    else:
        refuse_reference(args)
        task, source = resolve(args.dataset, args.source)
    version = None if drafted else args.environment
    usual = task.kind.sizes[get_profile(args.profile).name].scale
    scale = choose_scale(source, args.scale, usual)
    with terminal.reserved_output() if args.json else contextlib.nullcontext():
        found = baselines.audited(task, source, scale, version, load(task, source, scale))
    if drafted and args.reference is None:
        task, found = audits.on_proposed_scale(found, task)
    found |= audits.conclusions(found, task)
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    rows = [(name, value) for name, value in found.items() if not isinstance(value, dict | list)]
    # A constant reward stands with the rewards.
    rows = [(name, f"{value}") for name, value in rows if name != "constant_reward"]
    print_table(("what", ""), rows)
    for name in ("episode_lengths", "returns", "scores"):
        if name in found:
            spread = ", ".join(f"{key} {value:z.1f}" for key, value in found[name].items())
            print(screen.fill(f"{name}: {spread}", indent="  "))
    edges, counts = found["rewards"]["edges"], found["rewards"]["counts"]
    rewards = f"rewards: {edges[0]:.3g} to {edges[-1]:.3g}, in ten equal steps {counts}"
    if found["constant_reward"] is not None:
        rewards = f"rewards: {found['constant_reward']:.3g} in every row"
    print(screen.fill(rewards, indent="  "))
    for name in ("actions", "replay"):
        text = json.dumps(found[name])
        if name == "replay" and not found[name]["rows"]:
            text = "no row, for the environment cannot be put into the state of one"
        print(screen.fill(f"{name}: {text}", indent="  "))
    for name, value in found["provenance"].items():
        if name not in ("recipe", "versions"):
            text = value if isinstance(value, str) else json.dumps(value)
            print(screen.fill(f"{name}: {text}", indent="  "))
    for line in audits.in_words(found):
        # The command, which is indented, is to be pasted and so unbroken.
        print(for_terminal(line) if line.startswith(" ") else screen.fill(line, indent="  "))
    return 0
