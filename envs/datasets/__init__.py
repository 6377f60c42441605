"""One reader per source of data; each gives a checked ``Dataset`` and its provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from envs.datasets import regenerated
from envs.registry import Task, look_up
from envs.types import Dataset

Provenance = dict[str, Any]


class Source(NamedTuple):
    """Where data come from.

    Attributes:
        provenance: (task, scale) -> at least ``dataset_id`` and ``hash``, without reading the data.
        read: (task, scale) -> the checked dataset and its provenance.
    """

    provenance: Callable[[Task, float], Provenance]
    read: Callable[[Task, float], tuple[Dataset, Provenance]]


SOURCES = {"regenerated": Source(regenerated.provenance, regenerated.read)}


def get_source(name: str) -> Source:
    """The source called ``name``.

    Raises:
        InputError: no such source; the nearest name is in the message.
    """
    return look_up("source", name, SOURCES)


def load(task: Task, source: str, scale: float) -> tuple[Dataset, Provenance]:
    """The data of ``task`` from ``source``.

    Args:
        task: a row of the registry.
        source: a key of ``SOURCES``.
        scale: share of D4RL's rows, for sources that can be made in any size.

    Returns:
        the dataset, and its provenance.

    Raises:
        InputError: unknown source; data missing, half written, corrupt or of another recipe.
    """
    return get_source(source).read(task, scale)
