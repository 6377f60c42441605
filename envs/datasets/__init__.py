"""One reader per source of data; each gives a checked ``Dataset`` and its provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from envs.datasets import d4rl, regenerated
from envs.datasets.download import Progress
from envs.registry import Task, get_task, look_up
from envs.types import Dataset, InputError

Provenance = dict[str, Any]


class Source(NamedTuple):
    """Where data come from.

    Attributes:
        provenance: (task, scale) -> at least ``dataset_id`` and ``hash``, without reading the data;
            ``doubts``, where there are any, say in a line each why the data may be the wrong ones.
        read: (task, scale) -> the checked dataset and its provenance.
        fetch: (task, mirror, overwrite, progress) -> whether it had to be downloaded; None for
            data that are made here.
    """

    provenance: Callable[[Task, float], Provenance]
    read: Callable[[Task, float], tuple[Dataset, Provenance]]
    fetch: Callable[[Task, str | None, bool, Progress], bool] | None = None


# The two readings of D4RL's files are two sources, so that no table mixes them.
SOURCES = {
    "regenerated": Source(regenerated.provenance, regenerated.read),
    "d4rl": Source(d4rl.provenance, d4rl.read, d4rl.fetch),
    "d4rl-qlearning": Source(d4rl.provenance, d4rl.read_qlearning, d4rl.fetch),
}
DEFAULT_SOURCE = "regenerated"
D4RL_SUFFIX = "-v2"


def get_source(name: str) -> Source:
    """The source called ``name``.

    Raises:
        InputError: no such source; the nearest name is in the message.
    """
    return look_up("source", name, SOURCES)


def resolve(name: str, source: str | None) -> tuple[Task, str]:
    """The task and the source that a user means.

    Args:
        name: a task, or D4RL's name for it and its file, such as ``hopper-medium-v2``.
        source: a key of ``SOURCES``, or None for that which the name implies.

    Raises:
        InputError: no such task or source, or D4RL's name with data that are not D4RL's.
    """
    task = get_task(name.removesuffix(D4RL_SUFFIX))
    implied = "d4rl" if name.endswith(D4RL_SUFFIX) else None
    if source is not None:
        get_source(source)
    if implied and source is not None and not source.startswith(implied):
        raise InputError(
            f"{name} is D4RL's file, the source is {source}; say {task.name} or --source d4rl"
        )
    return task, source or implied or DEFAULT_SOURCE


def require_trust(provenance: Provenance, insist: bool) -> None:
    """Refuse data with ``doubts`` unless the user insists; tables then say so.

    Raises:
        InputError: the first doubt, and how to insist.
    """
    doubts = provenance.get("doubts", [])
    if doubts and not insist:
        raise InputError(f"{doubts[0]}; fetch it again, or --insist and the table will say so")


def fetch(task: Task, source: str, mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """Download the data of ``task`` from ``source`` unless they are there.

    Args:
        task: a row of the registry.
        source: a key of ``SOURCES``.
        mirror: where to look instead of at the source's own server.
        overwrite: replace what is there.
        progress: told (done, total or 0 where that is unknown).

    Returns:
        whether anything was downloaded.

    Raises:
        InputError: the source has no downloads; or the data cannot be had, and which to put where.
    """
    download = get_source(source).fetch
    if download is None:
        raise InputError(f"{source} data are made here; run: rl-or-bc data make")
    return download(task, mirror, overwrite, progress)


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
