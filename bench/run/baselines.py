"""Policies that need no learning, beside which the scores on own data mean something.

Policies that look at nothing are played: one action throughout (the mean of the data's actions, or
none, which is 0 in the environment's own units) and uniformly random ones. Of choices, the most
frequent one stands for the mean and the first one for none. What they get is kept
with the audit; ``bench.report.audits`` puts it beside scores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from bench.run.evaluate import evaluate, naming
from bench.run.train import Program
from envs.dataset import Dataset
from envs.sources.reader import Provenance
from envs.sources.registry import audit
from envs.spaces import Array
from envs.tasks import OWN, Task
from envs.worlds.gymnasium_lanes import GymnasiumLanes

NUM_EPISODES = 20
# Environments may be slow or long: fewer episodes where so many would be more steps than this.
NUM_STEPS = 10_000


def audited(
    task: Task, source: str, scale: float, version: str | None, loaded: tuple[Dataset, Provenance]
) -> dict[str, Any]:
    """``envs.sources.registry.audit``, of own data with ``baselines``; see `measure`."""
    facts = audit(task, source, scale, version, loaded)
    return facts | {"baselines": measure(loaded[0], task)} if source == OWN else facts


def measure(dataset: Dataset, task: Task) -> dict[str, dict[str, float]]:
    """Mean returns of the data's episodes and of policies that look at nothing.

    The episodes played are the first of those that a cell plays with its seed 0.

    Args:
        dataset: as ``envs.sources.registry.load`` gives it.
        task: own data, scored in a gymnasium environment.

    Returns:
        for ``logs``, their ``best_tenth``, ``mean_action``, ``no_action`` and ``random``, the
        undiscounted mean ``return`` and the number of ``episodes`` that it comes from.

    Raises:
        InputError: the environment cannot be made.
        Fault: it raises an error, or gives what is no number.
    """
    returns = np.sort(dataset.episode_returns)
    num_episodes = min(NUM_EPISODES, max(1, NUM_STEPS // task.spec.max_episode_steps))
    generator = np.random.default_rng(0)
    by_name = {"logs": returns, "best_tenth": returns[-max(1, len(returns) // 10) :]}
    lanes = GymnasiumLanes(task.environment, num_episodes, task.reference_returns)
    with contextlib.closing(lanes), naming(task.name, task.gymnasium_id):
        actions, shape = lanes.actions, lanes.spec.action.batch(1, num_episodes)
        usual, nothing = actions.usual(dataset.actions), actions.nothing()
        policies: dict[str, Callable[[], Array]] = {
            "mean_action": lambda: np.broadcast_to(usual, shape),
            "no_action": lambda: np.broadcast_to(nothing, shape),
            "random": lambda: actions.draw(generator, 1, num_episodes),
        }
        for name, act in policies.items():
            by_name[name] = evaluate(_program(act), None, lanes, (0,), num_episodes)[0]
    return {
        name: {"return": float(returns.mean()), "episodes": returns.size}
        for name, returns in by_name.items()
    }


def _program(act: Callable[[], Array]) -> Program:
    """A policy that looks at nothing and remembers nothing, with what ``evaluate`` calls."""
    policy = SimpleNamespace(
        reset=lambda keys, goals: None,
        act=lambda states, carries, observations, rewards: (act(), carries),
    )
    return cast(Program, policy)
