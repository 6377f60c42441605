"""The columns of Table 1 and their variants, one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from algos import bc, core, cql, dt, iql, onestep, rvs, td3_bc
from envs.environment import EnvSpec
from envs.tasks import look_up


@dataclasses.dataclass(frozen=True)
class Entry:
    """One column.

    Attributes:
        method: the method's file, which offers ``Config``, ``CONFIGS`` and ``make``.
        title: what the table calls it.
        style: ``imitation`` or ``offline RL``, the post's two sides.
        paper: where it comes from.
        told: what the policy is told at evaluation, beside observations and rewards.
        changes: settings that make a variant, in place of the method's.
        mazes: further ones in antmaze and pointmaze.
    """

    method: ModuleType
    title: str
    style: str
    paper: str
    told: str = "nothing"
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mazes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def make(self) -> Callable[[Any, EnvSpec], core.Algorithm]:
        """(config, spec) -> Algorithm."""
        return self.method.make

    @property
    def source(self) -> Path:
        """The method's file."""
        return Path(str(self.method.__file__))

    def changes_in(self, family: str) -> dict[str, Any]:
        """The settings that make the variant in a task family; none of a method itself."""
        mazes = self.mazes if family in ("antmaze", "pointmaze") else {}
        return {**self.changes, **mazes}


# In the post's order: imitation first.
TABLE1 = {
    "bc": Entry(bc, "BC", "imitation", "Pomerleau 1988"),
    "bc_10pct": Entry(bc, "10%BC", "imitation", "arXiv:2106.01345", changes={"top_fraction": 0.1}),
    "onestep": Entry(onestep, "Onestep RL", "imitation", "arXiv:2106.08909"),
    "dt": Entry(dt, "DT", "imitation", "arXiv:2106.01345", "a return"),
    "rvs_r": Entry(
        rvs, "RvS-R", "imitation", "arXiv:2112.10751", "a return", changes={"condition": "return"}
    ),
    "rvs_g": Entry(
        rvs, "RvS-G", "imitation", "arXiv:2112.10751", "the goal", changes={"condition": "goal"}
    ),
    "td3_bc": Entry(td3_bc, "TD3+BC", "offline RL", "arXiv:2106.06860"),
    "cql": Entry(cql, "CQL", "offline RL", "arXiv:2006.04779"),
    "iql": Entry(iql, "IQL", "offline RL", "arXiv:2110.06169"),
}

# Run when named. Sources: the methods' files, under Departures.
VARIANTS = {
    "onestep_reverse_kl": Entry(
        onestep, "Onestep RL, reverse KL", "imitation", "arXiv:2106.08909",
        changes={"improvement": "reverse_kl"},
    ),
    "onestep_easy_bcq": Entry(
        onestep, "Onestep RL, easy BCQ", "imitation", "arXiv:2106.08909",
        changes={"improvement": "easy_bcq", "num_steps": 2_500_000},
    ),
    "dt_corl": Entry(
        dt, "DT as in CORL", "imitation", "arXiv:2210.07105", "a return",
        changes={"learning_rate": 8e-4, "batch_size": 4096},
        mazes={"learning_rate": 1e-4, "batch_size": 64},
    ),
    "td3_bc_corl": Entry(
        td3_bc, "TD3+BC as in CORL", "offline RL", "arXiv:2210.07105",
        mazes={"normalize_observations": True, "reward_transform": "minus_one"},
    ),
    "cql_lagrange": Entry(
        cql, "CQL, learned weight", "offline RL", "arXiv:2006.04779", changes={"target_gap": 5.0}
    ),
    "cql_max_backup": Entry(
        cql, "CQL, max backup", "offline RL", "young-geng/CQL#2", changes={"max_backup": True},
        mazes={"target_gap": 0.2, "reward_transform": "plus_minus_five"},
    ),
    "iql_corl": Entry(
        iql, "IQL as in CORL", "offline RL", "arXiv:2210.07105",
        changes={"normalize_observations": True, "reward_transform": "raw"},
        mazes={"reward_transform": "minus_one"},
    ),
}  # fmt: skip

ALGORITHMS = TABLE1 | VARIANTS


def get_algorithm(name: str) -> Entry:
    """The column called ``name``.

    Raises:
        InputError: no such algorithm; the nearest name is in the message.
    """
    return look_up("algorithm", name, ALGORITHMS)
