"""A cell before it is run: one method on one task with all settings fixed, and its name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from algos import core
from algos.settings import resolve
from bench.run.profiles import Profile
from envs.errors import InputError
from envs.sources.registry import choose_scale, environment, provenance
from envs.tasks import Task, World

# Packages whose version can change a number.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "numpy", "mujoco")

# JAX's switches that do, and what they are unless chosen.
_SWITCHES = {
    "matmul_precision": ("jax_default_matmul_precision", None),
    "enable_x64": ("jax_enable_x64", False),
    "prng": ("jax_default_prng_impl", "threefry2x32"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a cell is run, beside the method's own Config.

    Attributes:
        source: where the data come from.
        scale: share of D4RL's rows, for regenerated data.
        seeds: training seeds.
        eval_interval: gradient steps between evaluations.
        num_episodes: episodes per seed and evaluation.
    """

    source: str
    scale: float
    seeds: tuple[int, ...]
    eval_interval: int
    num_episodes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one task with all settings fixed.

    Attributes:
        task: the row.
        algorithm: the column.
        config: the method's settings.
        settings: how it is run.
        version: gymnasium's version of the environment; that of the data by default.
        insist: use data with doubts, see ``envs.sources.registry.require_trust``; moves no number.
    """

    task: Task
    algorithm: str
    config: core.Config
    settings: Settings
    version: str | None = None
    insist: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run, before anything is.

        Raises:
            InputError: naming the value and the rule.
        """
        settings = self.settings
        environment(self.task, settings.source, self.version)
        if settings.num_episodes < 1:
            raise InputError(f"num_episodes must be at least 1, got {settings.num_episodes}")
        steps = self.config.num_steps
        if settings.eval_interval < 1 or steps % settings.eval_interval:
            raise InputError(
                f"num_steps {steps} is not divisible by the evaluation interval "
                f"{settings.eval_interval}; choose --num-evaluations so that it is"
            )

    @property
    def name(self) -> str:
        """``task/algorithm``."""
        return f"{self.task.name}/{self.algorithm}"

    @property
    def world(self) -> World:
        """The environment that scores it."""
        return environment(self.task, self.settings.source, self.version)

    @property
    def data(self) -> dict[str, Any]:
        """Where the data come from, unread; see ``envs.sources.registry.provenance``."""
        settings = self.settings
        return provenance(self.task, settings.source, settings.scale, self.version)


def plan(task: Task, algorithm: str, profile: Profile, source: str, **overrides: Any) -> Cell:
    """The cell of ``task`` and ``algorithm`` as ``profile`` has it.

    Args:
        task: the row.
        algorithm: the column.
        profile: sizes.
        source: where the data come from.
        overrides: ``config`` (a whole Config), ``num_seeds``, ``num_evaluations``,
            ``num_episodes``, ``scale``, each in place of the profile's unless None; ``version``
            and ``insist`` of the cell.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    size = profile.sizes[task.family]
    config = given.get("config") or resolve(algorithm, task.family, size, task.name).config
    num_evaluations = given.get("num_evaluations", size.num_evaluations)
    if num_evaluations < 1:
        raise InputError(f"num_evaluations must be at least 1, got {num_evaluations}")
    if config.num_steps % num_evaluations:
        raise InputError(
            f"num_steps {config.num_steps} is not divisible by num_evaluations {num_evaluations}"
        )
    num_seeds = given.get("num_seeds", profile.num_seeds)
    if num_seeds < 1:
        raise InputError(f"num_seeds must be at least 1, got {num_seeds}")
    return Cell(
        task=task,
        algorithm=algorithm,
        config=config,
        settings=Settings(
            source=source,
            scale=choose_scale(source, given.get("scale"), size.scale),
            seeds=tuple(range(num_seeds)),
            eval_interval=config.num_steps // num_evaluations,
            num_episodes=given.get("num_episodes", size.num_episodes),
        ),
        version=given.get("version"),
        insist=given.get("insist", False),
    )


def identity(cell: Cell, dataset_provenance: dict[str, Any]) -> dict[str, Any]:
    """Everything that decides the cell's numbers; its hash names the cell's folder.

    Switches of JAX are part of it where they were chosen. The code is not: see ``code_digest``.
    """
    switches = {
        name: (getattr(jax.config, flag), usual) for name, (flag, usual) in _SWITCHES.items()
    }
    chosen = {name: value for name, (value, usual) in switches.items() if value != usual}
    return chosen | {
        "task": {"name": cell.task.name, **dataclasses.asdict(cell.task)},
        "algorithm": cell.algorithm,
        "config": dataclasses.asdict(cell.config),
        "settings": dataclasses.asdict(cell.settings),
        "dataset": {key: dataset_provenance[key] for key in ("dataset_id", "hash")},
        "environment": cell.world.gymnasium_id,
        "versions": {name: version(name) for name in PACKAGES},
    }


def folder_of(cell: Cell, results_folder: Path) -> Path:
    """The cell's folder, named by the first 12 digits of its identity's SHA-256."""
    text = json.dumps(identity(cell, cell.data), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    parent = results_folder / "runs" / cell.settings.source / cell.task.name
    return parent / cell.algorithm / digest
