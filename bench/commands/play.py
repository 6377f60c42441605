"""``rl-or-bc play``."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Annotated

import tyro

from bench import devices
from bench.commands.options import Count, MethodsFile
from bench.commands.showing import print_table
from envs.errors import InputError
from envs.text import for_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Play episodes with the policies of a finished cell."""

    cell: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CELL")]
    """the folder of a cell below runs/, as rl-or-bc train prints it"""
    seed: Count = None
    """whose policy; by default those of all seeds that were trained with the first"""
    episodes: Count = None
    """episodes of each; the cell's number by default, which plays its last evaluation again"""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """a GIF of the first episode of the first of these policies"""
    methods_file: MethodsFile = None


def run(args: Arguments) -> int:
    """Print each episode's return, score and length."""
    from algos.registry import add_file
    from bench.run import film, policy
    from bench.run.data import make_lanes
    from envs.scores import normalized_score

    if args.episodes is not None and args.episodes < 1:
        raise InputError(f"episodes must be at least 1, got {args.episodes}")
    if args.methods_file:
        add_file(args.methods_file)
    if args.video and "DISPLAY" not in os.environ:
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo reads it as it is imported
    devices.describe()
    cell, program, states = policy.load_group(policy.find(args.cell, args.seed))
    seeds = cell.settings.seeds
    num_episodes = args.episodes or cell.settings.num_episodes
    with contextlib.closing(make_lanes(cell, len(seeds) * num_episodes)) as lanes:
        returns, lengths = policy.play(cell, program, states, lanes, num_episodes)
    scores = normalized_score(returns, cell.task.reference_returns)
    rows = [
        (seed, episode, float(returns[i, episode]), float(scores[i, episode]), lengths[i, episode])
        for i, seed in enumerate(seeds)
        for episode in range(num_episodes)
        if args.seed in (None, seed)
    ]
    print_table(("seed", "episode", "return", "score", "steps"), rows)
    if args.video:
        film.film(args.cell, args.video, args.seed)
        print(for_terminal(f"film: {args.video}"))
    return 0
