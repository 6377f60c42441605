"""Minari's own datasets: ``mujoco/*-v0`` and ``D4RL/antmaze/*-v1``.

Other data than D4RL's files of the same names, and other environments: gymnasium's ``-v5`` and
Gymnasium-Robotics' AntMaze. Their scores stand in tables of their own.

- ``mujoco``: medium-expert is medium and then expert, put together in memory; Minari's own way of
  combining loses the environment and the views. There is no medium-replay.
- ``antmaze`` was collected as a continuing task: nothing terminates, every episode runs to the time
  limit, and each step at the goal pays 1. Here an episode is cut at its first success, which
  terminates it, so that a return is 0 or 1 and the score is the rate of success. Observations are
  ``achieved_goal`` before ``observation``, D4RL's 29 numbers; the source ``minari-goal`` has the
  goal, ``desired_goal``, behind them, and shows it to policies as well.

Departures: scores are normalised by D4RL's reference returns, for Minari stores none with its
locomotion data, and with its antmaze data those of the continuing task. The stored evaluation
environment is never used (see ``envs.worlds.antmaze_robotics``).

Source: Farama-Foundation/minari-dataset-generation-scripts, as of 2026-07; Minari issues 199, 301.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np

from envs.dataset import Dataset, check
from envs.environment import EnvSpec, World
from envs.errors import InputError
from envs.family import MinariData
from envs.sources import stored
from envs.sources.collected_in import Scorer, defaults_of, differences, spec_of
from envs.sources.download import Progress
from envs.sources.narrow import Narrowing
from envs.sources.reader import Reader
from envs.sources.reading import Unreadable, readable, require_memory
from envs.sources.regenerated import dataset_folder
from envs.spaces import Array, Space
from envs.tasks import Task, world
from envs.text import reason_of

REMOTE_VARIABLE = "MINARI_REMOTE"  # Minari's own


def dataset_ids(task: Task) -> list[str]:
    """Minari's ids of what makes up the task's data, in this order."""
    return list(_offered(task).ids(task.environment, task.data))


def scored_in(task: Task, version: str, *, show_goal: bool = False) -> World:
    """The environment that the task's data were collected in; see ``envs.tasks.world``."""
    collected_in = _offered(task).collected_in
    if collected_in is None:
        return world(task, version)
    if version != "v5":  # the source's own, which is of locomotion
        raise InputError(f"{task.name} has no environment {version!r}; leave it out")
    return collected_in(task.environment, show_goal)


def provenance(task: Task, scale: float) -> dict[str, Any]:
    """The provenance of the task's data, with ``doubts`` if they are of another environment.

    Raises:
        InputError: a dataset is missing or half written.
    """
    del scale
    expected = scored_in(task, "v5").gymnasium_id
    digest, doubts, requirements = hashlib.sha256(), [], []
    for dataset_id in dataset_ids(task):
        metadata = read_metadata(dataset_id, _fix(task), f"{_fix(task)} --overwrite")
        theirs = stored.read_spec(metadata)
        found = str(theirs.get("id", "an environment it does not name"))
        if found != expected and not _is_variant(task, found, expected):
            doubts.append(f"{dataset_id} was collected in {found}, and is scored in {expected}")
        else:
            with readable(f"dataset {dataset_id}", f"{_fix(task)} --overwrite"):
                spaces = stored.read_spaces(dataset_folder(dataset_id) / "data", metadata)
                lines = differences(theirs, spaces, _scorer(task))
            doubts += [
                f"{dataset_id} was collected in another {expected} than it is scored in: {line}"
                for line in lines
            ]
        digest.update(data_hash(dataset_id).encode())
        stated = metadata.get("requirements")
        requirements += [str(line) for line in stated] if isinstance(stated, list) else []
    return {
        "dataset_id": " + ".join(dataset_ids(task)),
        "source": "minari",
        "hash": digest.hexdigest(),
        "requirements": requirements,
        "doubts": doubts,
    }


@functools.cache
def _scorer(task: Task) -> Scorer:
    """Our own simulator as gymnasium's environment of the same rules."""
    scored = scored_in(task, "v5")
    box = gymnasium.spaces.Box
    observed = lambda size: box(-np.inf, np.inf, (size,), np.float64)
    size, actions = scored.spec.observation_dim, box(-1.0, 1.0, (scored.spec.action_dim,))
    if not _goes_on(task):
        spec = gymnasium.spec(scored.gymnasium_id)
        kind = gymnasium.envs.registration.load_env_creator(str(spec.entry_point))
        return Scorer(spec_of(spec), defaults_of(kind), observed(size), actions)
    spec = gymnasium.envs.registration.EnvSpec(
        scored.gymnasium_id, max_episode_steps=scored.spec.max_episode_steps
    )
    sizes = {"achieved_goal": 2, "desired_goal": 2, "observation": size - 2}
    shown = gymnasium.spaces.Dict({name: observed(count) for name, count in sizes.items()})
    # The data's are of a continuing task in a map of its own, which is put right in `_read`.
    return Scorer(spec_of(spec), {}, shown, actions, whole=False)


def read(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's data; goals are not shown. See ``envs.sources.registry.load``."""
    return _read(task, show_goal=False), provenance(task, scale)


def read_with_goal(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The data of ``envs.sources.registry.load``; in antmaze observations end with the goal."""
    return _read(task, show_goal=True), provenance(task, scale)


def fetch(task: Task, mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """See ``envs.sources.registry.fetch``."""
    return download(dataset_ids(task), mirror, overwrite, progress)


def download(ids: Sequence[str], mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """Download datasets by Minari's own client, unless they are there already.

    Each appears whole or not at all. Returns whether there was one to download.
    """
    fetched = False
    for number, dataset_id in enumerate(ids):
        target = dataset_folder(dataset_id)
        if overwrite or not target.exists():
            _download(dataset_id, target, mirror)
            fetched = True
        progress(number + 1, len(ids))
    return fetched


def _download(dataset_id: str, target: Path, mirror: str | None) -> None:
    root = dataset_folder("")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=root) as folder:
        # Minari takes both folder and server from the environment alone.
        given = {"MINARI_DATASETS_PATH": folder}
        given |= {REMOTE_VARIABLE: mirror} if mirror else {}
        saved = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            minari.download_dataset(dataset_id, force_download=True)
            work = dataset_folder(dataset_id)
            if not (work / "data" / "metadata.json").exists():
                raise InputError(f"Minari's server has no {dataset_id}")
        # Any of its three clients may fail in ways of its own; all mean that it is not there.
        except Exception as error:
            raise InputError(
                f"{dataset_id} cannot be downloaded ({reason_of(error)}); name another server with "
                f"--mirror or ${REMOTE_VARIABLE}, or put the dataset at {target}"
            ) from None
        finally:
            for name, value in saved.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)


def _read(task: Task, show_goal: bool) -> Dataset:
    where = " + ".join(dataset_ids(task))
    spec = scored_in(task, "v5", show_goal=show_goal).spec
    keys = ["achieved_goal", "observation", *(["desired_goal"] if show_goal else [])]

    def observed(observations: Any) -> Array:
        if not _goes_on(task):
            return np.asarray(observations)
        if not isinstance(observations, dict) or not set(keys) <= set(observations):
            raise Unreadable(f"observations do not have the parts {', '.join(keys)}")
        return np.concatenate([observations[key] for key in keys], axis=1)

    fix = f"{_fix(task)} --overwrite"
    parts = [episodes(i, observed, np.asarray, spec, fix) for i in dataset_ids(task)]
    whole = itertools.chain.from_iterable(parts)
    goes_on = _goes_on(task)
    dataset = Dataset.from_episodes(itertools.starmap(_until_success, whole) if goes_on else whole)
    check(dataset, spec, where)
    return dataset


def episodes(
    dataset_id: str,
    observed: Callable[[Any], Array],
    acted: Callable[[Array], Array],
    spec: EnvSpec,
    fix: str,
) -> Iterator[tuple[Array, Array, Array, Array, Array]]:
    """Episodes for ``Dataset.from_episodes``, in the types of their spaces to save memory.

    Args:
        dataset_id: of a dataset that is there.
        observed: what an episode has as observations -> ``[T + 1, O]``.
        acted: its actions -> ``[T, A]``.
        spec: the sizes that episodes must have.
        fix: what to do about a damaged one, for the message.

    Raises:
        InputError: the files are damaged, hold no step or an episode of other sizes, or numbers
            that float32 cannot hold.
    """
    folder = dataset_folder(dataset_id) / "data"
    watched: dict[str, Narrowing] = {}

    def watch(name: str, tree: Any) -> None:
        if isinstance(tree, (dict, tuple)):
            for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
                watch(f"{name}/{key}", part)
            return
        watched.setdefault(name, Narrowing(dataset_id, name)).watch(tree)

    steps = needed = 0
    with readable(f"dataset {dataset_id}", fix):
        for episode in stored.episodes(folder, stored.read_metadata(folder)):
            for name in ("observations", "actions", "rewards"):
                watch(name, getattr(episode, name))
            observations, actions = observed(episode.observations), acted(episode.actions)
            _require_shape(f"episode {episode.number}", observations, spec.observation)
            # One of many choices is stored as a number and becomes as many numbers as choices.
            needed += 8 * observations.size
            require_memory(needed)
            _require_shape(f"episode {episode.number}", actions, spec.action, "actions")
            yield (
                observations.astype(spec.observation.dtype),
                actions.astype(spec.action.dtype),
                episode.rewards.astype(np.float32),
                episode.terminations,
                episode.truncations,
            )
            steps += len(actions)
        if steps == 0:
            raise Unreadable("its episodes have no steps", damaged=True)
        for array in watched.values():
            array.finish()


def _require_shape(episode: str, rows: Array, space: Space, name: str = "observations") -> None:
    if rows.shape[1:] != space.shape:
        raise Unreadable(f"{episode} has {name} of shape {rows.shape[1:]}, expected {space.shape}")


def _until_success(
    observations: Array, actions: Array, rewards: Array, terminations: Array, truncations: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """The episode up to its first reward, which terminates it; all of it if there is none."""
    paid = np.flatnonzero(rewards > 0)
    if len(paid) == 0:
        return observations, actions, rewards, terminations, truncations
    steps = paid[0] + 1
    last = np.arange(steps) == steps - 1
    return observations[: steps + 1], actions[:steps], rewards[:steps], last, np.zeros(steps, bool)


def read_metadata(dataset_id: str, missing: str, damaged: str) -> dict[str, Any]:
    """Minari's metadata of a dataset; the last two say what to do if there is none to be read.

    Raises:
        InputError: the dataset is missing or half written.
    """
    folder = dataset_folder(dataset_id)
    if not folder.exists():
        raise InputError(f"dataset {dataset_id} is not in {dataset_folder('')}; {missing}")
    try:
        return stored.read_metadata(folder / "data")
    except Unreadable as error:
        fix = f"; {damaged}" if error.damaged else ""
        raise InputError(
            f"dataset {dataset_id} in {folder} has no metadata that can be read{fix} ({error})"
        ) from None


def _fix(task: Task) -> str:
    return f"run: rl-or-bc data fetch {task.name} --source minari"


def _offered(task: Task) -> MinariData:
    assert task.kind.minari is not None
    return task.kind.minari


def _goes_on(task: Task) -> bool:
    """True if the data go on at the goal, with observations in parts."""
    return _offered(task).collected_in is not None


def _is_variant(task: Task, found: str, expected: str) -> bool:
    """True if ``found`` differs from ``expected`` in starts and goals alone."""
    name, _, version = expected.rpartition("-")
    return _goes_on(task) and found.startswith(name) and found.endswith(f"-{version}")


def data_hash(dataset_id: str) -> str:
    """See ``envs.sources.stored``.

    Raises:
        InputError: a file cannot be read.
    """
    with readable(f"dataset {dataset_id}", "make it readable"):
        return stored.data_hash(dataset_folder(dataset_id) / "data")


PLAIN = Reader(provenance, read, fetch, scored_in)
WITH_GOAL = Reader(provenance, read_with_goal, fetch, functools.partial(scored_in, show_goal=True))
