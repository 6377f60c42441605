"""One reader per source of data; each gives a checked ``Dataset`` and its provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envs.datasets import regenerated
from envs.registry import Task, unknown_name
from envs.types import Dataset

Reader = Callable[[Task, float], tuple[Dataset, dict[str, Any]]]

SOURCES: dict[str, Reader] = {"regenerated": regenerated.read}


def load(task: Task, source: str, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The data of ``task`` from ``source``.

    Args:
        task: a row of the registry.
        source: a key of ``SOURCES``.
        scale: share of D4RL's rows, for sources that can be made in any size.

    Returns:
        the dataset, and its provenance with at least ``dataset_id`` and ``hash``.

    Raises:
        InputError: unknown source; data missing, half written, corrupt or of another recipe.
    """
    if source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    return SOURCES[source](task, scale)
