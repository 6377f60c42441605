"""``rl-or-bc data make``: collect a recipe's dataset into Minari's folder, resumable and whole."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from envs import files
from envs.collect.behave import collect_block
from envs.collect.episode import Episode
from envs.dataset import Dataset, check, content_hash
from envs.recipes import Recipe
from envs.sources.regenerated import METADATA_KEY, dataset_folder, read_metadata

# In the folder of a dataset that is being made: where it stands until it is whole, and a mark that
# all that is left to do is to move it.
_MINARI, _OVER = "dataset", "over"
_BYTES = 4  # of a number, in blocks as in datasets


def make(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    num_threads: int | None = None,
    progress: Callable[[int], None] = lambda rows: None,
    report: files.Report = lambda line: None,
) -> bool:
    """Collect the recipe's dataset unless it is already there.

    Blocks of episodes are kept beside the dataset as they come, so a killed run goes on where it
    was; the dataset itself appears in one move. A second process waits for the first. A dataset
    that is there may be on a disk that is read-only.

    Args:
        recipe: what to make.
        overwrite: make it again even if a dataset of this id exists.
        num_threads: simulation threads, one per core by default; changes no array.
        progress: told the number of rows collected so far.
        report: told if another process has to be waited for.

    Returns:
        whether anything was made.

    Raises:
        InputError: a dataset of this id exists but is half written or of another recipe.
        OSError: it cannot be written; what was collected is kept for the next time.
    """
    target = dataset_folder(recipe.dataset_id)
    work = target.parent / f".{target.name}.making"
    # A dataset is there as a whole, so that to look at one no lock is needed.
    if target.exists() and not overwrite and not _is_over(work):
        read_metadata(recipe)
        return False
    lock = target.parent / f".{target.name}.lock"
    with files.locked(lock, recipe.dataset_id, report, leftovers=target.name):
        if target.exists() and _is_over(work):
            with contextlib.suppress(OSError):
                files.remove(work)
        if target.exists() and not overwrite:
            read_metadata(recipe)
            return False
        # Blocks of another physics or other random numbers would not fit those to come.
        made_with = {name: version(name) for name in ("mujoco", "numpy")}
        fingerprint = json.dumps(recipe.fingerprint() | made_with, sort_keys=True)
        stamp = work / "recipe.json"
        if work.is_symlink() or not stamp.exists() or stamp.read_text() != fingerprint:
            files.remove(work)
            files.write_text(stamp, fingerprint)
        files.remove_leftovers(work)
        files.ask_for_room(target, _room(recipe, work))
        episodes = _collect(recipe, work, num_threads, progress)
        files.remove(work / _OVER)
        _write(recipe, episodes, work)
        files.write_text(work / _OVER, "")
        with files.replacing(target) as new:
            os.replace(work / _MINARI, new)
        files.remove(work)
    return True


def _is_over(work: Path) -> bool:
    """True if the dataset was moved away from here, and the process killed before it cleared up."""
    return (work / _OVER).exists() and not (work / _MINARI).exists()


def _room(recipe: Recipe, work: Path) -> int:
    """Bytes still to be written, at least: each array goes into a block and into the dataset."""
    spec = recipe.task.spec
    once = recipe.num_rows * (spec.observation_dim + spec.action_dim + 1) * _BYTES
    there = sum(path.stat().st_size for path in work.glob("part-*.npz"))
    return once + max(0, once - there)


def _collect(
    recipe: Recipe, work: Path, num_threads: int | None, progress: Callable[[int], None]
) -> list[Episode]:
    """All parts, each of whole episodes; only the dataset's very last one is cut, if need be."""
    episodes: list[Episode] = []
    total = bound = 0
    for part, (_, rows) in enumerate(recipe.parts):
        bound += rows
        block = 0
        while total < bound:
            path = work / f"part-{part:02d}-block-{block:04d}.npz"
            if not (found := _load_block(path)):
                _save_block(path, collect_block(recipe, part, block, num_threads))
                found = _load_block(path)
            for episode in found:
                if total < bound:
                    episodes.append(episode)
                    total += len(episode.rewards)
            progress(min(total, recipe.num_rows))
            block += 1
    spare = total - recipe.num_rows
    return [*episodes[:-1], episodes[-1].rows(0, len(episodes[-1].rewards) - spare)]


def _save_block(path: Path, episodes: list[Episode]) -> None:
    """One array per field, for a file of thousands of small ones is slow to write and to read."""
    arrays: dict[str, Any] = {
        name: np.concatenate([np.atleast_1d(getattr(e, name)) for e in episodes])
        for name in Episode.__dataclass_fields__
    }
    arrays["steps"] = np.array([len(e.rewards) for e in episodes])
    files.write_arrays(path, arrays)


def _load_block(path: Path) -> list[Episode]:
    """The episodes of a block; none if it is not there, or a power cut took some of it."""
    fields = {}
    try:
        # Opened here, for numpy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            steps, count = file["steps"], len(file["steps"])
            for name in Episode.__dataclass_fields__:
                array = file[name]
                if name in ("goal", "reached", "flipped"):
                    fields[name] = np.split(array, count)
                else:
                    rows = steps + (name == "observations")
                    fields[name] = np.split(array, np.cumsum(rows)[:-1])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return []
    episodes = []
    for values in zip(*fields.values(), strict=True):
        episode = dict(zip(fields, values, strict=True))
        flags = {name: bool(episode[name][0]) for name in ("reached", "flipped")}
        episodes.append(Episode(**episode | flags))
    return episodes


def _write(recipe: Recipe, episodes: list[Episode], work: Path) -> None:
    """Write the Minari dataset under ``work``, with our provenance in its metadata."""
    task = recipe.task
    dataset = Dataset.from_episodes(
        (e.observations, e.actions, e.rewards, e.terminations, e.truncations) for e in episodes
    )
    check(dataset, task.spec, recipe.dataset_id)
    packages = ("mujoco", "numpy", "gymnasium", "minari")
    provenance = {
        "dataset_id": recipe.dataset_id,
        "source": "regenerated",
        "scale": recipe.scale,
        "hash": content_hash(dataset),
        "recipe": recipe.fingerprint(),
        "reference_returns": task.reference_returns,
        "versions": {name: version(name) for name in packages},
        "goals_reached_fraction": float(np.mean([e.reached for e in episodes])),
        "flipped_fraction": float(np.mean([e.flipped for e in episodes])),
    }
    buffers = [
        EpisodeBuffer(
            id=i,
            observations=e.observations,
            actions=e.actions,
            rewards=e.rewards,
            terminations=e.terminations,
            truncations=e.truncations,
            infos={"goal": np.tile(e.goal, (len(e.rewards) + 1, 1))} if len(e.goal) else None,
        )
        for i, e in enumerate(episodes)
    ]
    spec = task.spec
    with files.replacing(work / _MINARI) as made:
        made.mkdir()
        storage = MinariStorage.new(
            made / "data",
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (spec.observation_dim,)),
            action_space=gymnasium.spaces.Box(-1.0, 1.0, (spec.action_dim,)),
        )
        # HDF5 writes a file piece by piece, and where the disk takes no more of them it ends the
        # process: so Minari writes to memory.
        on_disk, storage._file_path = storage._file_path, io.BytesIO()
        storage.update_episodes(buffers)
        files.write_bytes(on_disk, storage._file_path.getvalue())
        storage.update_metadata(
            {
                "dataset_id": recipe.dataset_id,
                "algorithm_name": recipe.collection.algorithm,
                "minari_version": version("minari"),
                "requirements": [f"mujoco=={version('mujoco')}"],
                "dataset_size": float(storage.get_size()),
                "env_spec": gymnasium.spec(task.gymnasium_id).to_json(),
                "ref_min_score": task.reference_returns[0],
                "ref_max_score": task.reference_returns[1],
                METADATA_KEY: json.dumps(provenance),
            }
        )
