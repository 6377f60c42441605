"""The named sizes of a run, from seconds a cell to the published size."""

from __future__ import annotations

import dataclasses

from algos import settings
from envs.tasks import OWN, look_up


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size(settings.Size):
    """How much is learned and looked at in one cell of a task family.

    Attributes:
        scale: share of D4RL's rows in the regenerated datasets.
        num_evaluations: evaluations, spread evenly; the last one is what the table shows.
        num_episodes: episodes per seed in each evaluation.
    """

    scale: float
    num_evaluations: int
    num_episodes: int


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


# These sizes are for locomotion and for own data, whose scale says nothing.
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
