"""``make policies``: train every behaviour policy again, from nothing or from where it was cut.

Work files go to ``.policies/`` in the current folder; the chosen policies replace those in
``envs/collect/policies/``. Robots named on the command line are trained alone.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from algos.online import ppo, sac
from envs.collect import policy
from envs.errors import InputError
from envs.families.locomotion import NUM_REPLAY_SNAPSHOTS
from envs.scores import REFERENCE_RETURNS, normalized_score
from envs.worlds.locomotion import Locomotion


@dataclasses.dataclass(frozen=True)
class Levels:
    """Normalized scores to choose a robot's policies by.

    Attributes:
        medium: what the medium policy should score; about what D4RL's medium data does.
        medium_range: what it may score.
        expert: training stops at this score.
        max_steps: or after this many environment steps.
    """

    medium: float
    medium_range: tuple[float, float]
    expert: float
    max_steps: int


LEVELS = {
    "halfcheetah": Levels(40.0, (30.0, 50.0), 84.0, 2_100_000),
    "hopper": Levels(42.0, (30.0, 50.0), 97.0, 1_400_000),
    "walker2d": Levels(60.0, (30.0, 85.0), 97.0, 1_500_000),
}
NUM_EVALUATION_EPISODES = 20
NUM_CANDIDATES = 16


def main(names: list[str]) -> int:
    """Train and choose; returns the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    start = time.monotonic()

    def report(line: str) -> None:
        console.print(f"{time.monotonic() - start:7.0f} s  {line}", markup=False)

    folder, known = Path(".policies"), [*LEVELS, "ant"]
    for name in names:
        if name not in known:
            raise InputError(f"unknown robot {name!r}; known: {', '.join(known)}")
    for name in names or known:
        if name == "ant":
            ppo.train(0, ppo.Config(), folder / name, report).save("ant")
        else:
            config = sac.Config(max_steps=LEVELS[name].max_steps, target_score=LEVELS[name].expert)
            sac.train(name, 0, config, folder / name, report)
            choose(name, folder / name, report)
    return 0


def choose(name: str, folder: Path, report: Callable[[str], None]) -> None:
    """Pick medium, expert and replay policies among the snapshots in ``folder``.

    medium: the nearest to its level among those that trained there; expert: the best of those
    with the highest training scores; replay: spread evenly over training up to medium.

    Raises:
        InputError: no snapshot is fit to be medium.
    """
    levels, snapshots = LEVELS[name], sac.list_snapshots(folder)
    by_distance = sorted(snapshots, key=lambda s: abs(s[1] - levels.medium))
    measured = [(s[0], s[2], evaluate(name, s[2], folder)) for s in by_distance[:NUM_CANDIDATES]]
    medium_step, stem, score = min(measured, key=lambda m: abs(m[2] - levels.medium))
    if not levels.medium_range[0] <= score <= levels.medium_range[1]:
        raise InputError(f"no snapshot of {name} in {folder} is medium; train it longer")
    policy.load(stem, folder).save(f"{name}-medium")
    report(f"{name}: medium from step {medium_step:,}, score {score:.1f}")

    steps = np.array([step for step, _, _ in snapshots])
    for i, wanted in enumerate(np.linspace(0, medium_step, NUM_REPLAY_SNAPSHOTS)):
        nearest = snapshots[int(np.abs(steps - wanted).argmin())][2]
        policy.load(nearest, folder).save(f"{name}-replay-{i:02d}")

    best = sorted(snapshots, key=lambda s: -s[1])[:NUM_CANDIDATES]
    scores = {stem: evaluate(name, stem, folder) for _, _, stem in best}
    expert = max(scores, key=lambda stem: scores[stem])
    policy.load(expert, folder).save(f"{name}-expert")
    report(f"{name}: expert is {expert}, score {scores[expert]:.1f}")


def evaluate(name: str, stem: str, folder: Path) -> float:
    """Mean normalized score of a snapshot that samples its actions, over 20 episodes."""
    environment = Locomotion(name, NUM_EVALUATION_EPISODES)
    actor, generator = policy.load(stem, folder), np.random.default_rng(1)
    observations = environment.reset(np.arange(NUM_EVALUATION_EPISODES))
    active, returns = np.ones(NUM_EVALUATION_EPISODES, bool), np.zeros(NUM_EVALUATION_EPISODES)
    for _ in range(environment.spec.max_episode_steps):
        shape = (NUM_EVALUATION_EPISODES, environment.spec.action_dim)
        actions = actor.squashed_gaussian(
            observations, generator.standard_normal(shape, np.float32)
        )
        observations, rewards, terminations = environment.step(actions, active)
        returns += rewards
        active &= ~terminations
    return float(normalized_score(returns, REFERENCE_RETURNS[name]).mean())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
