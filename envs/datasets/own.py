"""Data that users bring: any Minari dataset with bounded actions.

Actions are scaled from the environment's range to [-1, 1]. The environment of the task's row is
the one that scores; a dataset that says it was collected in another is doubted.
"""

from __future__ import annotations

import json
from typing import Any

from envs.datasets.checks import check
from envs.datasets.download import Progress
from envs.datasets.minari import data_hash, download, episodes, read_metadata
from envs.datasets.regenerated import flatten
from envs.gymnasium_lanes import GymnasiumLanes
from envs.registry import OWN, TASKS, Task, World
from envs.types import Dataset, InputError

OFFERED = tuple(task.name for task in TASKS.values() if task.family == OWN)
_FIX = "write it again with Minari, from whole episodes"


def scored_in(task: Task, version: str) -> World:
    """The environment of the task's row.

    Raises:
        InputError: a ``version`` is asked for.
    """
    if version:
        raise InputError(f"{task.name} is scored in {task.gymnasium_id}; leave --environment out")
    return World(task.gymnasium_id, task.make_environment)


def provenance(task: Task, scale: float) -> dict[str, Any]:
    """What the task's data are; ``doubts`` if they say they are of another environment.

    Raises:
        InputError: the dataset is missing or half written.
    """
    del scale
    missing = f"write it with Minari, or run: rl-or-bc data fetch {task.name} --source own"
    metadata = read_metadata(task.data, missing, _FIX)
    expected = task.gymnasium_id.rpartition(":")[2]  # without the module that registers it
    found = json.loads(metadata.get("env_spec", "{}")).get("id", expected)
    doubt = f"{task.data} was collected in {found}, and is scored in {expected}"
    return {
        "dataset_id": task.data,
        "source": "own",
        "hash": data_hash(task.data),
        "doubts": [] if found == expected else [doubt],
    }


def read(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's data; see ``envs.datasets.load``."""
    facts = provenance(task, scale)
    lanes = GymnasiumLanes(task.environment, 1, task.reference_returns)
    dataset = flatten(episodes(task.data, lanes.flatten, lanes.actions.unscale, _FIX))
    check(dataset, lanes.spec, task.data)
    lanes.close()
    return dataset, facts


def fetch(task: Task, mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """Download the task's dataset from Minari's server; see ``envs.datasets.fetch``."""
    return download([task.data], mirror, overwrite, progress)
