"""Which policies make which dataset, in which shares: D4RL's recipe, task by task."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from envs.collect import policy
from envs.errors import InputError
from envs.family import Collection
from envs.tasks import Task

SEED = 0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The making of one task's dataset at one size.

    Attributes:
        task: the table's row.
        scale: share of D4RL's rows, above 0 and at most 1.
    """

    task: Task
    scale: float

    def __post_init__(self) -> None:
        """Refuse what no recipe can give."""
        if self.task.kind.collection is None:
            raise InputError(f"data of {self.task.name} are not made here")
        if not 0.0 < self.scale <= 1.0:
            raise InputError(f"scale {self.scale:g} is not above 0 and at most 1")

    @property
    def collection(self) -> Collection:
        """The collection of the task's family."""
        assert self.task.kind.collection is not None
        return self.task.kind.collection

    @property
    def num_rows(self) -> int:
        """Rows of the dataset."""
        return max(1, round(self.scale * self.task.num_rows))

    @property
    def dataset_id(self) -> str:
        """Minari id; the size is part of it, so that sizes live side by side."""
        return f"rl-or-bc/{self.task.name}-{self.num_rows}-v{self.collection.version}"

    @property
    def parts(self) -> list[tuple[str | None, int]]:
        """(the policy that acts or None, rows) in the order they stand in the dataset."""
        actors = self.collection.actors(self.task.environment, self.task.data)
        bounds = [self.num_rows * i // len(actors) for i in range(len(actors) + 1)]
        return [(actor, bounds[i + 1] - bounds[i]) for i, actor in enumerate(actors)]

    @property
    def policies(self) -> list[str]:
        """The committed policies that it takes."""
        return [actor for actor, _ in self.parts if actor is not None]

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the arrays, short of the simulator's version."""
        return {
            "version": self.collection.version,
            "seed": SEED,
            "rows": self.num_rows,
            "policies": {name: _policy_hash(name) for name in self.policies},
        }


def _policy_hash(name: str) -> str:
    path = policy.POLICY_FOLDER / f"{name}.npz"
    if not path.exists():
        raise InputError(f"behaviour policy {path} is missing; run: make policies")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
