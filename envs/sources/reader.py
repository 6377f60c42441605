"""The interface of modules that read data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from envs.dataset import Dataset
from envs.environment import World
from envs.sources.download import Progress
from envs.spaces import Array
from envs.tasks import Task, world

Provenance = dict[str, Any]


class Reader(NamedTuple):
    """One way to read one kind of files.

    Attributes:
        provenance: (task, scale) -> at least ``dataset_id`` and ``hash``, without reading the data;
            ``doubts``, where there are any, say in a line each why the data may be the wrong ones.
        read: (task, scale) -> the checked dataset and its provenance.
        fetch: (task, mirror, overwrite, progress) -> whether it had to be downloaded; None for
            data that are made here.
        scored_in: (task, version) -> the environment.
        states: (task, rows) -> unclipped observations of those rows, see ``envs.audit.audit``.
    """

    provenance: Callable[[Task, float], Provenance]
    read: Callable[[Task, float], tuple[Dataset, Provenance]]
    fetch: Callable[[Task, str | None, bool, Progress], bool] | None = None
    scored_in: Callable[[Task, str], World] = world
    states: Callable[[Task, Array], Array | None] = lambda task, rows: None
