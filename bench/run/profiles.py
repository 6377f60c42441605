"""The named sizes of a run: the same methods, scaled by one rule for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from algos import core
from envs.tasks import OWN, look_up


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """How much is learned and looked at in one cell of a task family.

    Attributes:
        scale: share of D4RL's rows in the regenerated datasets.
        num_steps: gradient steps, or None for the published number.
        batch_size: rows per step, or None for the published number.
        hidden_dims: widths of all hidden layers, or None for the published ones.
        num_evaluations: evaluations, spread evenly; the last one is what the table shows.
        num_episodes: episodes per seed in each evaluation.
        values: settings of all methods that learn values, in place of their own.
    """

    scale: float
    num_steps: int | None = None
    batch_size: int | None = None
    hidden_dims: tuple[int, ...] | None = None
    num_evaluations: int
    num_episodes: int
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def resize(self, config: core.Config) -> core.Config:
        """``config`` at this size; untouched where the published size is kept."""
        if self.num_steps is self.batch_size is self.hidden_dims is None:
            return config
        resized = config.resized(
            num_steps=self.num_steps or config.num_steps,
            batch_size=self.batch_size or config.batch_size,
            hidden_dims=self.hidden_dims or config.hidden_dims,
        )
        if isinstance(resized, core.ValueConfig):
            return dataclasses.replace(resized, **self.values)
        return resized


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """A named size of the whole grid.

    Attributes:
        purpose: one line for ``rl-or-bc list profiles``.
        num_seeds: seeds 0, 1, ... trained side by side.
        sizes: per task family.
    """

    purpose: str
    num_seeds: int
    sizes: dict[str, Size]


# An ant's way takes 300 to 700 steps, and values have to come all that way in 15 % of the
# published updates. IQL on antmaze-medium-play, seed 0, 100,000 steps: 0 and 5 (two recipes of the
# data) with the published discount of 0.99, targets that follow at 0.005 and steps of 3e-4; 20 with
# these and the steps of 1e-3 that ``resized`` takes. Seed 0 of antmaze-large-play: 40.
_LONG_WAYS = {"discount": 0.995, "polyak": 0.02}

# Of locomotion, and of own data, whose scale says nothing.
_QUICK = Size(
    scale=0.08,
    num_steps=20_000,
    batch_size=64,
    hidden_dims=(64, 64),
    num_evaluations=1,
    num_episodes=5,
)
_CPU = Size(
    scale=0.2,
    num_steps=100_000,
    batch_size=64,
    hidden_dims=(128, 128),
    num_evaluations=4,
    num_episodes=10,
)
_PAPER = Size(scale=1.0, num_evaluations=10, num_episodes=10)

PROFILES = {
    "smoke": Profile(
        purpose="tests and CI: seconds a cell, learns next to nothing",
        num_seeds=2,
        sizes=dict.fromkeys(
            ("locomotion", "antmaze", "pointmaze", OWN),
            Size(
                scale=0.002,
                num_steps=200,
                batch_size=32,
                hidden_dims=(32, 32),
                num_evaluations=2,
                num_episodes=2,
            ),
        ),
    ),
    "quick": Profile(
        purpose="the default: the whole grid in minutes on two cores",
        num_seeds=3,
        sizes={
            "locomotion": _QUICK,
            OWN: _QUICK,
            "antmaze": Size(
                scale=0.04,
                num_steps=10_000,
                batch_size=64,
                hidden_dims=(64, 64),
                num_evaluations=1,
                num_episodes=5,
            ),
            "pointmaze": Size(
                scale=0.1,
                num_steps=20_000,
                batch_size=64,
                hidden_dims=(64, 64),
                num_evaluations=1,
                num_episodes=20,
            ),
        },
    ),
    "cpu": Profile(
        purpose="the whole grid in a night on two cores",
        num_seeds=3,
        sizes={
            "locomotion": _CPU,
            OWN: _CPU,
            "antmaze": Size(
                scale=1.0,
                num_steps=150_000,
                batch_size=64,
                hidden_dims=(256, 256),
                num_evaluations=1,
                num_episodes=50,
                values=_LONG_WAYS,
            ),
            "pointmaze": Size(
                scale=0.1,
                num_steps=20_000,
                batch_size=64,
                hidden_dims=(128, 128),
                num_evaluations=4,
                num_episodes=50,
            ),
        },
    ),
    "paper": Profile(
        purpose="published steps, widths, batches; for an accelerator",
        num_seeds=10,
        sizes={
            "locomotion": _PAPER,
            OWN: _PAPER,
            "antmaze": Size(scale=1.0, num_evaluations=10, num_episodes=100),
            "pointmaze": Size(scale=1.0, num_evaluations=10, num_episodes=100),
        },
    ),
}


def get_profile(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        InputError: no such profile; the nearest name is in the message.
    """
    return look_up("profile", name, PROFILES)
