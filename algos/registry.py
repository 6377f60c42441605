"""The columns of Table 1, one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

from algos import bc, core, iql
from envs.registry import look_up
from envs.types import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One column.

    Attributes:
        title: what the table calls it.
        style: ``imitation`` or ``offline RL``, the post's two sides.
        paper: where it comes from.
        default: settings of a family without its own entry in ``configs``.
        configs: settings per task family.
        make: (config, spec) -> Algorithm.
    """

    title: str
    style: str
    paper: str
    default: core.Config
    configs: dict[str, core.Config]
    make: Callable[[Any, EnvSpec], core.Algorithm]

    def config(self, family: str) -> core.Config:
        """Published settings for a task family."""
        return self.configs.get(family, self.default)


def _entry(module: ModuleType, title: str, style: str, paper: str, **changes: Any) -> Entry:
    """A column made of a method's file, with ``changes`` to its settings for a variant."""
    return Entry(
        title=title,
        style=style,
        paper=paper,
        default=dataclasses.replace(module.Config(), **changes),
        configs={k: dataclasses.replace(c, **changes) for k, c in module.CONFIGS.items()},
        make=module.make,
    )


ALGORITHMS = {
    "bc": _entry(bc, "BC", "imitation", "Pomerleau 1988"),
    "bc_10pct": _entry(bc, "10%BC", "imitation", "arXiv:2106.01345", top_fraction=0.1),
    "iql": _entry(iql, "IQL", "offline RL", "arXiv:2110.06169"),
}


def get_algorithm(name: str) -> Entry:
    """The column called ``name``.

    Raises:
        InputError: no such algorithm; the nearest name is in the message.
    """
    return look_up("algorithm", name, ALGORITHMS)
