"""The columns of Table 1 and their variants, one line each."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from algos import core
from envs.environment import EnvSpec
from envs.tasks import look_up


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One column.

    Attributes:
        title: what the table calls it.
        style: ``imitation`` or ``offline RL``, the post's two sides.
        paper: where it comes from.
        told: what the policy is told at evaluation, beside observations and rewards.
        default: settings of a family without its own entry in ``configs``.
        configs: settings per task family.
        make: (config, spec) -> Algorithm.
    """

    title: str
    style: str
    paper: str
    told: str
    default: core.Config
    configs: dict[str, core.Config]
    make: Callable[[Any, EnvSpec], core.Algorithm]

    def config(self, family: str) -> core.Config:
        """Published settings for a task family."""
        return self.configs.get(family, self.default)


def _entry(
    module_name: str,
    title: str,
    style: str,
    paper: str,
    told: str = "nothing",
    *,
    mazes: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> Entry:
    """A column made of a method's file, with ``changes`` to its settings for a variant.

    ``mazes`` holds further changes to the settings of antmaze and pointmaze.
    """
    module = importlib.import_module(f"algos.{module_name}")
    default = dataclasses.replace(module.Config(), **changes)
    configs = {k: dataclasses.replace(c, **changes) for k, c in module.CONFIGS.items()}
    for family in ("antmaze", "pointmaze") if mazes else ():
        configs[family] = dataclasses.replace(configs.get(family, default), **mazes)
    return Entry(
        title=title,
        style=style,
        paper=paper,
        told=told,
        default=default,
        configs=configs,
        make=module.make,
    )


# In the post's order: imitation first.
TABLE1 = {
    "bc": _entry("bc", "BC", "imitation", "Pomerleau 1988"),
    "bc_10pct": _entry("bc", "10%BC", "imitation", "arXiv:2106.01345", top_fraction=0.1),
    "onestep": _entry("onestep", "Onestep RL", "imitation", "arXiv:2106.08909"),
    "dt": _entry("dt", "DT", "imitation", "arXiv:2106.01345", "a return"),
    "rvs_r": _entry(
        "rvs", "RvS-R", "imitation", "arXiv:2112.10751", "a return", condition="return"
    ),
    "rvs_g": _entry("rvs", "RvS-G", "imitation", "arXiv:2112.10751", "the goal", condition="goal"),
    "td3_bc": _entry("td3_bc", "TD3+BC", "offline RL", "arXiv:2106.06860"),
    "cql": _entry("cql", "CQL", "offline RL", "arXiv:2006.04779"),
    "iql": _entry("iql", "IQL", "offline RL", "arXiv:2110.06169"),
}

# Run when named. Sources: the methods' files, under Departures.
VARIANTS = {
    "onestep_reverse_kl": _entry(
        "onestep", "Onestep RL, reverse KL", "imitation", "arXiv:2106.08909",
        improvement="reverse_kl",
    ),
    "onestep_easy_bcq": _entry(
        "onestep", "Onestep RL, easy BCQ", "imitation", "arXiv:2106.08909",
        improvement="easy_bcq", num_steps=2_500_000,
    ),
    "dt_corl": _entry(
        "dt", "DT as in CORL", "imitation", "arXiv:2210.07105", "a return",
        learning_rate=8e-4, batch_size=4096, mazes={"learning_rate": 1e-4, "batch_size": 64},
    ),
    "td3_bc_corl": _entry(
        "td3_bc", "TD3+BC as in CORL", "offline RL", "arXiv:2210.07105",
        mazes={"normalize_observations": True, "reward_transform": "minus_one"},
    ),
    "cql_lagrange": _entry(
        "cql", "CQL, learned weight", "offline RL", "arXiv:2006.04779", target_gap=5.0
    ),
    "cql_max_backup": _entry(
        "cql", "CQL, max backup", "offline RL", "young-geng/CQL#2", max_backup=True,
        mazes={"target_gap": 0.2, "reward_transform": "plus_minus_five"},
    ),
    "iql_corl": _entry(
        "iql", "IQL as in CORL", "offline RL", "arXiv:2210.07105", normalize_observations=True,
        reward_transform="raw", mazes={"reward_transform": "minus_one"},
    ),
}  # fmt: skip

ALGORITHMS = TABLE1 | VARIANTS


def get_algorithm(name: str) -> Entry:
    """The column called ``name``.

    Raises:
        InputError: no such algorithm; the nearest name is in the message.
    """
    return look_up("algorithm", name, ALGORITHMS)
