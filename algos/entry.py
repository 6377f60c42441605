"""A column of the table: a method's file, and what tables and plans say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from algos import core
from envs.environment import EnvSpec
from envs.errors import InputError

STYLES = ("imitation", "offline RL")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One column.

    Attributes:
        method: the method's file, which offers ``Config``, ``CONFIGS`` and ``make``.
        title: what the table calls it.
        style: one of ``STYLES``, the post's two sides.
        paper: where it comes from.
        told: what the policy is told at evaluation, beside observations and rewards.
        actions: the kinds of action space that it takes, classes of ``envs.spaces`` by name.
        changes: settings that make a variant, in place of the method's.
        mazes: further ones in antmaze and pointmaze.
    """

    method: ModuleType
    title: str
    style: str
    paper: str
    told: str = "nothing"
    actions: tuple[str, ...] = ("Box",)
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mazes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a style that tables do not know, and settings that the method does not have."""
        if self.style not in STYLES:
            raise InputError(f"style must be one of {list(STYLES)}, got {self.style!r}")
        fields = {field.name for field in dataclasses.fields(self.method.Config)}
        if unknown := sorted({*self.changes, *self.mazes} - fields):
            raise InputError(f"changes has {unknown[0]!r}, which is no field of the Config")

    @property
    def make(self) -> Callable[[Any, EnvSpec], core.Algorithm]:
        """(config, spec) -> Algorithm."""
        return self.method.make

    @property
    def source(self) -> Path:
        """The method's file, for instance to take its hash."""
        return Path(str(self.method.__file__))

    @property
    def file(self) -> str:
        """The method's file in a few words, such as ``algos/iql.py``."""
        return "/".join(self.source.parts[-2:])

    def changes_in(self, family: str) -> dict[str, Any]:
        """The settings that make the variant in a task family; none of a method itself."""
        mazes = self.mazes if family in ("antmaze", "pointmaze") else {}
        return {**self.changes, **mazes}
