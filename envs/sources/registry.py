"""One row per source of data: where a checked ``Dataset`` and its provenance come from."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

from envs import audit as audits
from envs.dataset import Dataset
from envs.environment import World
from envs.errors import InputError
from envs.sources.download import Progress
from envs.sources.reader import Provenance, Reader
from envs.tasks import OWN, TASKS, Task, get_task, look_up


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A source of data.

    Attributes:
        place: module and name of its ``Reader``, which is imported when it is asked for: a list of
            sources needs none of the libraries that files need.
        offers: task -> whether it has data for it.
        made_here: whether data are made here, in any size, or are files of one size.
        version: gymnasium's version of the locomotion environments that the data are of; own data
            have none.
    """

    place: str
    offers: Callable[[Task], bool]
    made_here: bool = False
    version: str = "v4"

    @property
    def reader(self) -> Reader:
        """Reads its files."""
        reader: Reader = pkgutil.resolve_name(self.place)
        return reader

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it has data for."""
        return tuple(name for name, task in TASKS.items() if self.offers(task))


def _in_d4rl(task: Task) -> bool:
    return task.kind.d4rl_path is not None


def _in_minari(task: Task) -> bool:
    minari = task.kind.minari
    return minari is not None and len(minari.ids(task.environment, task.data)) > 0


# Each reading of the same files is a source, so that no table mixes them.
SOURCES = {
    "regenerated": Source(
        place="envs.sources.regenerated:READER",
        offers=lambda task: task.kind.collection is not None,
        made_here=True,
    ),
    "d4rl": Source(place="envs.sources.d4rl:FULL", offers=_in_d4rl),
    "d4rl-qlearning": Source(place="envs.sources.d4rl:QLEARNING", offers=_in_d4rl),
    "minari": Source(place="envs.sources.minari:PLAIN", offers=_in_minari, version="v5"),
    "minari-goal": Source(place="envs.sources.minari:WITH_GOAL", offers=_in_minari, version="v5"),
    "own": Source(
        place="envs.sources.own:READER", offers=lambda task: task.family == OWN, version=""
    ),
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
    if not get_source(meant).offers(task):
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
    if not get_source(source).made_here:
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
    return row.reader.scored_in(task, version or row.version)


def provenance(task: Task, source: str, scale: float, version: str | None = None) -> Provenance:
    """The provenance of the unread data of ``task``; see ``environment`` for arguments.

    ``doubts`` has a line for every reason why data and environment may not belong together.
    """
    facts = get_source(source).reader.provenance(task, scale)
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
    download = get_source(source).reader.fetch
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
    return get_source(source).reader.read(task, scale)


def audit(
    task: Task,
    source: str,
    scale: float,
    version: str | None = None,
    loaded: tuple[Dataset, Provenance] | None = None,
) -> dict[str, Any]:
    """The audit of the data of ``task``; see ``envs.audit``.

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
    states = partial(get_source(source).reader.states, task)
    return audits.audit(dataset, task, world, facts, states)
