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
from algos.registry import get_algorithm
from algos.settings import resolve
from bench.run import groups, typed
from bench.run.groups import Seeds
from bench.run.profiles import Profile
from envs.environment import World
from envs.errors import InputError
from envs.sources.registry import choose_scale, environment, provenance
from envs.tasks import Task

# Packages whose version can change a number.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "numpy", "mujoco")

# JAX's switches that do, and what they are unless chosen.
_SWITCHES = {
    "matmul_precision": ("jax_default_matmul_precision", None),
    "enable_x64": ("jax_enable_x64", False),
    "prng": ("jax_default_prng_impl", "threefry2x32"),
}

# In the metadata of a field of a Config: the name under which cells have it, if not the field's.
KEY = "key"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a run, beside the method's own Config.

    Attributes:
        source: where the data come from.
        scale: share of D4RL's rows, for regenerated data.
        seeds: training seeds, rising.
        eval_interval: gradient steps between evaluations.
        num_episodes: episodes per seed and evaluation.
    """

    source: str
    scale: float
    seeds: Seeds
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
        label: tells it from others of its task and method where cells are named to people, such as
            ``expectile 0.7``; moves no number.
    """

    task: Task
    algorithm: str
    config: core.Config
    settings: Settings
    version: str | None = None
    insist: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run, before anything is.

        Raises:
            InputError: naming the value and the rule.
        """
        settings = self.settings
        environment(self.task, settings.source, self.version)
        groups.require(settings.seeds)
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
    def title(self) -> str:
        """``task/algorithm`` and its label, for people."""
        return f"{self.name} {self.label}".rstrip()

    @property
    def world(self) -> World:
        """The environment that scores it."""
        return environment(self.task, self.settings.source, self.version)

    @property
    def data(self) -> dict[str, Any]:
        """The provenance of the unread data; see ``envs.sources.registry.provenance``."""
        settings = self.settings
        return provenance(self.task, settings.source, settings.scale, self.version)


def plan(task: Task, algorithm: str, profile: Profile, source: str, **overrides: Any) -> Cell:
    """The cell of ``task`` and ``algorithm`` as ``profile`` has it.

    Args:
        task: the row.
        algorithm: the column.
        profile: sizes.
        source: where the data come from.
        overrides: ``config`` (a whole Config), ``seeds`` or ``num_seeds`` (0, 1, ...),
            ``num_evaluations``, ``num_episodes``, ``scale``, each in place of the profile's unless
            None; ``version``, ``insist`` and ``label`` of the cell.

    Raises:
        InputError: a value that no run can have, or actions that the method does not take.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    size = profile.sizes[task.family]
    if task.kind.actions is not None:
        get_algorithm(algorithm).require_actions(task.name, task.kind.actions)
    config = given.get("config") or resolve(algorithm, task.family, size, task.name).config
    num_evaluations = given.get("num_evaluations", size.num_evaluations)
    if num_evaluations < 1:
        raise InputError(f"num_evaluations must be at least 1, got {num_evaluations}")
    if config.num_steps % num_evaluations:
        raise InputError(
            f"num_steps {config.num_steps} is not divisible by num_evaluations {num_evaluations}"
        )
    if "seeds" in given and "num_seeds" in given:
        raise InputError("--seeds and --num-seeds both say which seeds; leave one out")
    num_seeds = given.get("num_seeds", profile.num_seeds)
    if not 1 <= num_seeds <= groups.MOST:
        raise InputError(f"num_seeds must be 1 to {groups.MOST:,}, got {num_seeds}")
    return Cell(
        task=task,
        algorithm=algorithm,
        config=config,
        settings=Settings(
            source=source,
            scale=choose_scale(source, given.get("scale"), size.scale),
            seeds=given.get("seeds", tuple(range(num_seeds))),
            eval_interval=config.num_steps // num_evaluations,
            num_episodes=given.get("num_episodes", size.num_episodes),
        ),
        version=given.get("version"),
        insist=given.get("insist", False),
        label=given.get("label", ""),
    )


def identity(cell: Cell, data: dict[str, Any]) -> dict[str, Any]:
    """Everything that decides the cell's numbers; its hash names the cell's folder.

    The keys are written out, so that a name in the code can change and no cell's with it. Seeds are
    no part, for a cell may get more of them: see ``bench.run.groups``. Nor is the code: see
    ``bench.run.code``. Switches of JAX are part of it where they were chosen.

    Args:
        cell: planned.
        data: its provenance, `Cell.data`.
    """
    switches = {
        name: (getattr(jax.config, flag), usual) for name, (flag, usual) in _SWITCHES.items()
    }
    chosen = {name: value for name, (value, usual) in switches.items() if value != usual}
    # An environment's name leaves open what a user's own one was made with.
    details = {"scored_in": data["scored_in"]} if "scored_in" in data else {}
    return chosen | {
        "task": {"name": cell.task.name, "reference_returns": list(cell.task.reference_returns)},
        "algorithm": cell.algorithm,
        "config": settings_of(cell.config),
        "settings": {
            "source": cell.settings.source,
            "scale": cell.settings.scale,
            "eval_interval": cell.settings.eval_interval,
            "num_episodes": cell.settings.num_episodes,
        },
        "dataset": {"dataset_id": data["dataset_id"], "hash": data["hash"]},
        "environment": cell.world.gymnasium_id,
        **details,
        "versions": {name: version(name) for name in PACKAGES},
    }


def settings_of(config: core.Config) -> dict[str, Any]:
    """A method's settings under the names that stay.

    A field that gets another name keeps the former one here as its ``key``; see `KEY`.
    """
    return {key_of(field): getattr(config, field.name) for field in dataclasses.fields(config)}


def key_of(field: dataclasses.Field[Any]) -> str:
    """The name under which cells have a field of a Config."""
    return str(field.metadata.get(KEY, field.name))


def to_json(cell: Cell) -> Any:
    """The cell as JSON, from which `from_json` makes it again, on another machine as well."""
    described = {
        "task": dataclasses.asdict(cell.task),
        "algorithm": cell.algorithm,
        "config": settings_of(cell.config),
        "settings": dataclasses.asdict(cell.settings),
        "version": cell.version,
        "insist": cell.insist,
        "label": cell.label,
    }
    return json.loads(json.dumps(described))  # lists in place of tuples


def from_json(value: Any) -> Cell:
    """The cell that `to_json` gave ``value`` of.

    Raises:
        InputError: a part is missing, is none of a cell's or cannot be its value.
    """
    described = typed.require_keys(
        value, ("task", "algorithm", "config", "settings", "version", "insist", "label"), "a cell"
    )
    algorithm = typed.convert(str, described["algorithm"], "algorithm")
    config_type = get_algorithm(algorithm).method.Config
    return Cell(
        task=typed.build(Task, described["task"], "task"),
        algorithm=algorithm,
        config=typed.build(config_type, described["config"], "config", key_of),
        settings=typed.build(Settings, described["settings"], "settings"),
        version=typed.convert(str | None, described["version"], "version"),
        insist=typed.convert(bool, described["insist"], "insist"),
        label=typed.convert(str, described["label"], "label"),
    )


def folder_of(cell: Cell, results_folder: Path) -> Path:
    """The cell's folder, named by the first 12 digits of its identity's SHA-256."""
    text = json.dumps(identity(cell, cell.data), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    parent = results_folder / "runs" / cell.settings.source / cell.task.name
    return parent / cell.algorithm / digest
