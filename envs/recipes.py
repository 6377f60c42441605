"""Which policies make which dataset, in which shares: D4RL's recipe, task by task."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from envs.collect import policy
from envs.errors import InputError
from envs.tasks import Task

# Of the collection code of a family: a change that moves an array raises it.
VERSIONS = {"locomotion": 0, "antmaze": 1, "pointmaze": 0}
SEED = 0
NUM_REPLAY_SNAPSHOTS = 12
WAYPOINTS = "waypoints"  # no policy: a force towards the next waypoint


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the dataset of one task is made at one size.

    Attributes:
        task: the table's row.
        scale: share of D4RL's rows, above 0 and at most 1.
    """

    task: Task
    scale: float

    def __post_init__(self) -> None:
        """Refuse sizes that no recipe can give."""
        if not 0.0 < self.scale <= 1.0:
            raise InputError(f"scale {self.scale:g} is not above 0 and at most 1")

    @property
    def num_rows(self) -> int:
        """Rows of the dataset."""
        return max(1, round(self.scale * self.task.num_rows))

    @property
    def dataset_id(self) -> str:
        """Minari id; the size is part of it, so that sizes live side by side."""
        return f"rl-or-bc/{self.task.name}-{self.num_rows}-v{VERSIONS[self.task.family]}"

    @property
    def parts(self) -> list[tuple[str, int]]:
        """(what acts, rows) in the order they stand in the dataset.

        medium-expert is half and half; medium-replay has an equal share of each of the actor
        snapshots spread evenly over training up to ``medium``, standing in for SAC's buffer.
        """
        if self.task.family == "antmaze":
            return [("ant", self.num_rows)]
        if self.task.family == "pointmaze":
            return [(WAYPOINTS, self.num_rows)]
        names = {
            "medium": [f"{self.task.environment}-medium"],
            "medium-expert": [f"{self.task.environment}-{p}" for p in ("medium", "expert")],
            "medium-replay": [
                f"{self.task.environment}-replay-{i:02d}" for i in range(NUM_REPLAY_SNAPSHOTS)
            ],
        }[self.task.data]
        bounds = [self.num_rows * i // len(names) for i in range(len(names) + 1)]
        return [(name, bounds[i + 1] - bounds[i]) for i, name in enumerate(names)]

    @property
    def policies(self) -> list[str]:
        """The committed policies that it takes; pointmaze needs none."""
        return [name for name, _ in self.parts if name != WAYPOINTS]

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the arrays, short of the simulator's version."""
        return {
            "version": VERSIONS[self.task.family],
            "seed": SEED,
            "rows": self.num_rows,
            "policies": {name: _policy_hash(name) for name in self.policies},
        }


def _policy_hash(name: str) -> str:
    path = policy.POLICY_FOLDER / f"{name}.npz"
    if not path.exists():
        raise InputError(f"behaviour policy {path} is missing; run: make policies")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
