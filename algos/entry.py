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
from envs.spaces import Box, Discrete, Space

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
        actions: the kinds of action space that it takes, ``Box``, ``Discrete`` or both.
        changes: settings that make a variant, in place of the method's.
        mazes: further ones in antmaze and pointmaze.
    """

    method: ModuleType
    title: str
    style: str
    paper: str
    told: str = "nothing"
    actions: tuple[type[Space], ...] = (Box,)
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mazes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what tables and plans do not know, and settings that the method does not have."""
        if not self.actions or not set(self.actions) <= {Box, Discrete}:
            raise InputError("actions must be a tuple of envs.spaces.Box, Discrete or both")
        if self.style not in STYLES:
            raise InputError(f"style must be one of {list(STYLES)}, got {self.style!r}")
        fields = {field.name for field in dataclasses.fields(self.method.Config)}
        if unknown := sorted({*self.changes, *self.mazes} - fields):
            raise InputError(f"changes has {unknown[0]!r}, which is no field of the Config")

    def require_actions(self, task: str, kind: type[Space]) -> None:
        """Refuse a task whose action space is of another kind than the method takes.

        Raises:
            InputError: naming both.
        """
        if kind not in self.actions:
            taken = " and ".join(space.__name__ for space in self.actions)
            raise InputError(
                f"{self.title} takes {taken} actions and those of {task} are {kind.__name__}; "
                "leave one of them out"
            )

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
