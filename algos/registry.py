"""The columns of Table 1 and their variants, one line each, and those from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from algos import bc, cql, dt, iql, onestep, outside, rvs, td3_bc
from algos.entry import Entry
from envs.errors import InputError
from envs.spaces import Box, Discrete
from envs.tasks import look_up

# A method that takes choices for actions as well as numbers.
_either = partial(Entry, actions=(Box, Discrete))

# In the post's order: imitation first.
TABLE1 = {
    "bc": _either(bc, "BC", "imitation", "Pomerleau 1988"),
    "bc_10pct": _either(
        bc, "10%BC", "imitation", "arXiv:2106.01345", changes={"top_fraction": 0.1}
    ),
    "onestep": _either(onestep, "Onestep RL", "imitation", "arXiv:2106.08909"),
    "dt": _either(dt, "DT", "imitation", "arXiv:2106.01345", "a return"),
    "rvs_r": _either(
        rvs, "RvS-R", "imitation", "arXiv:2112.10751", "a return", changes={"condition": "return"}
    ),
    "rvs_g": _either(
        rvs, "RvS-G", "imitation", "arXiv:2112.10751", "the goal", changes={"condition": "goal"}
    ),
    "td3_bc": Entry(td3_bc, "TD3+BC", "offline RL", "arXiv:2106.06860"),
    "cql": _either(cql, "CQL", "offline RL", "arXiv:2006.04779"),
    "iql": _either(iql, "IQL", "offline RL", "arXiv:2110.06169"),
}

# Run when named. Sources: the methods' files, under Departures.
VARIANTS = {
    "onestep_reverse_kl": _either(
        onestep, "Onestep RL, reverse KL", "imitation", "arXiv:2106.08909",
        changes={"improvement": "reverse_kl"},
    ),
    "onestep_easy_bcq": _either(
        onestep, "Onestep RL, easy BCQ", "imitation", "arXiv:2106.08909",
        changes={"improvement": "easy_bcq", "num_steps": 2_500_000},
    ),
    "dt_corl": _either(
        dt, "DT as in CORL", "imitation", "arXiv:2210.07105", "a return",
        changes={"learning_rate": 8e-4, "batch_size": 4096},
        mazes={"learning_rate": 1e-4, "batch_size": 64},
    ),
    "td3_bc_corl": Entry(
        td3_bc, "TD3+BC as in CORL", "offline RL", "arXiv:2210.07105",
        mazes={"normalize_observations": True, "reward_transform": "minus_one"},
    ),
    "cql_lagrange": _either(
        cql, "CQL, learned weight", "offline RL", "arXiv:2006.04779", changes={"target_gap": 5.0}
    ),
    "cql_max_backup": _either(
        cql, "CQL, max backup", "offline RL", "young-geng/CQL#2", changes={"max_backup": True},
        mazes={"target_gap": 0.2, "reward_transform": "plus_minus_five"},
    ),
    "iql_corl": _either(
        iql, "IQL as in CORL", "offline RL", "arXiv:2210.07105",
        changes={"normalize_observations": True, "reward_transform": "raw"},
        mazes={"reward_transform": "minus_one"},
    ),
}  # fmt: skip

ALGORITHMS: dict[str, Entry] = TABLE1 | VARIANTS


def get_algorithm(name: str) -> Entry:
    """The column called ``name``.

    Raises:
        InputError: no such algorithm; the nearest name is in the message.
    """
    return look_up("algorithm", name, ALGORITHMS)


def add_file(path: Path) -> list[str]:
    """Add the columns of a user's method file, here and in processes that this one starts.

    Returns:
        the columns' names.

    Raises:
        InputError: the file cannot be used, or a column has the name of another.
    """
    source = path.absolute()
    if not (names := [name for name, entry in ALGORITHMS.items() if entry.source == source]):
        names = _add(outside.load(path), f"methods file {path}")
        others = filter(None, [os.environ.get(outside.FILES)])
        os.environ[outside.FILES] = os.pathsep.join([*others, str(source)])
    return names


def _add(columns: Mapping[str, Entry], where: str) -> list[str]:
    for name in columns:
        if name in ALGORITHMS:
            raise InputError(f"{where}: there is a column {name!r} already; choose another name")
    ALGORITHMS.update(columns)
    return list(columns)


def _add_outside() -> None:
    """Add what is installed, and what the process that started this one had."""
    for columns in outside.installed():
        _add(columns, "installed package")
    for file in filter(None, os.environ.get(outside.FILES, "").split(os.pathsep)):
        _add(outside.load(Path(file)), f"methods file {file}")


_add_outside()
