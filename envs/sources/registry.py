"""One reader per source of data; each gives a checked ``Dataset`` and its provenance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from envs import audit as audits
from envs.dataset import Dataset
from envs.errors import InputError
from envs.sources import d4rl, minari, own, regenerated
from envs.sources.download import Progress
from envs.spaces import Array
from envs.tasks import OWN, TASKS, Task, World, get_task, look_up, world

Provenance = dict[str, Any]

_NOT_OWN = tuple(name for name, task in TASKS.items() if task.family != OWN)


class Source(NamedTuple):
    """Where data come from.

    Attributes:
        provenance: (task, scale) -> at least ``dataset_id`` and ``hash``, without reading the data;
            ``doubts``, where there are any, say in a line each why the data may be the wrong ones.
        read: (task, scale) -> the checked dataset and its provenance.
        fetch: (task, mirror, overwrite, progress) -> whether it had to be downloaded; None for
            data that are made here.
        version: gymnasium's version of the locomotion environments that the data are of; own data
            have none.
        scored_in: (task, version) -> the environment.
        tasks: names of the tasks that it has data for.
        states: (task, rows) -> unclipped observations of those rows, see ``audit``.
    """

    provenance: Callable[[Task, float], Provenance]
    read: Callable[[Task, float], tuple[Dataset, Provenance]]
    fetch: Callable[[Task, str | None, bool, Progress], bool] | None = None
    version: str = "v4"
    scored_in: Callable[[Task, str], World] = world
    tasks: tuple[str, ...] = _NOT_OWN
    states: Callable[[Task, Array], Array | None] = lambda task, rows: None


# Each reading of the same files is a source, so that no table mixes them.
SOURCES = {
    "regenerated": Source(regenerated.provenance, regenerated.read),
    "d4rl": Source(
        d4rl.provenance, d4rl.read, d4rl.fetch, tasks=d4rl.OFFERED, states=d4rl.read_states
    ),
    "d4rl-qlearning": Source(d4rl.provenance, d4rl.read_qlearning, d4rl.fetch, tasks=d4rl.OFFERED),
    "minari": Source(
        minari.provenance, minari.read, minari.fetch, "v5", minari.scored_in, minari.OFFERED
    ),
    "minari-goal": Source(
        minari.provenance,
        minari.read_with_goal,
        minari.fetch,
        "v5",
        partial(minari.scored_in, show_goal=True),
        minari.OFFERED,
    ),
    "own": Source(own.provenance, own.read, own.fetch, "", own.scored_in, own.OFFERED),
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
        InputError: no such task or source; a source without data for the task; or D4RL's name with
            data that are not D4RL's.
    """
    task = get_task(name.removesuffix(D4RL_SUFFIX))
    implied = "d4rl" if name.endswith(D4RL_SUFFIX) else None
    usual = OWN if task.family == OWN else DEFAULT_SOURCE
    meant = source if source is not None else implied or usual
    if task.name not in get_source(meant).tasks:
        raise InputError(
            f"{meant} has no data for {task.name}; it has {', '.join(get_source(meant).tasks)}"
        )
    if implied and source is not None and not source.startswith(implied):
        raise InputError(
            f"{name} is D4RL's file, the source is {source}; say {task.name} or --source d4rl"
        )
    return task, meant


def choose_scale(source: str, asked: float | None, usual: float) -> float:
    """``asked``, or ``usual`` if that is None.

    Raises:
        InputError: a scale is asked for of data that are not made here, and have one size.
    """
    if asked is None:
        return usual
    if get_source(source).fetch is not None:
        raise InputError(f"data of source {source} have one size; leave --scale out")
    return asked


def environment(task: Task, source: str, version: str | None = None) -> World:
    """The environment that scores ``task`` learned from ``source``.

    Args:
        task: a row of the registry.
        source: a key of ``SOURCES``.
        version: gymnasium's version of it, ``v4`` or ``v5``; that of the data by default.
    """
    row = get_source(source)
    return row.scored_in(task, version or row.version)


def provenance(task: Task, source: str, scale: float, version: str | None = None) -> Provenance:
    """What the data of ``task`` are, without reading them; see ``environment`` for arguments.

    ``doubts`` has a line for every reason why data and environment may not belong together.
    """
    facts = get_source(source).provenance(task, scale)
    theirs, ours = environment(task, source), environment(task, source, version)
    if theirs.gymnasium_id == ours.gymnasium_id:
        return facts
    doubt = (
        f"{task.name} of source {source} was collected in {theirs.gymnasium_id}, and is scored in "
        f"{ours.gymnasium_id}"
    )
    return facts | {"doubts": [*facts.get("doubts", []), doubt]}


def require_trust(provenance: Provenance, insist: bool) -> None:
    """Refuse data with ``doubts`` unless the user insists; tables then say so.

    Raises:
        InputError: the first doubt, and how to insist.
    """
    doubts = provenance.get("doubts", [])
    if doubts and not insist:
        raise InputError(f"{doubts[0]}; mend that, or --insist and the table will say so")


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


def audit(
    task: Task,
    source: str,
    scale: float,
    version: str | None = None,
    loaded: tuple[Dataset, Provenance] | None = None,
) -> dict[str, Any]:
    """What there is to know of the data of ``task``; see ``envs.audit``.

    Args:
        task: a row of the registry.
        source: a key of ``SOURCES``.
        scale: share of D4RL's rows, for sources that can be made in any size.
        version: gymnasium's version of the environment; that of the data by default.
        loaded: what ``load`` gave for the same arguments, if that is at hand.
    """
    dataset, details = loaded or load(task, source, scale)
    facts = details | provenance(task, source, scale, version)
    world = environment(task, source, version)
    states = partial(get_source(source).states, task)
    return audits.audit(dataset, task, world, facts, states)
