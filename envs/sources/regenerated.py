"""Datasets made here by ``rl-or-bc data make``, kept as Minari datasets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from minari.storage import get_dataset_path

from envs.dataset import Dataset, check, content_hash
from envs.errors import InputError
from envs.recipes import Recipe
from envs.sources import stored
from envs.sources.reader import Reader
from envs.sources.reading import Unreadable, read_json, readable, reading
from envs.tasks import Task

_ROOT = "MINARI_DATASETS_PATH"
METADATA_KEY = "rl_or_bc"  # our own entry in Minari's metadata.json
# These are taken from that entry; nothing else that a file may say is passed on.
_FACTS = {
    "hash": str,
    "recipe": dict,
    "reference_returns": list,
    "versions": dict,
    "goals_reached_fraction": float,
    "flipped_fraction": float,
}


def dataset_folder(dataset_id: str) -> Path:
    """Minari's folder of ``dataset_id``, under ``$MINARI_DATASETS_PATH`` if set and not empty.

    Raises:
        InputError: that folder cannot be made.
    """
    if not os.environ.get(_ROOT):
        os.environ.pop(_ROOT, None)  # or Minari, which reads it too, would make a folder of no name
    try:
        # Minari looks for a relative place below itself, and an environment may change the folder.
        return get_dataset_path(dataset_id).absolute()
    except OSError as error:
        raise InputError(
            f"datasets cannot be kept at {error.filename}: {error.strerror}; name a folder in "
            f"${_ROOT}"
        ) from None


def read_metadata(recipe: Recipe) -> dict[str, Any]:
    """The provenance stored with the recipe's dataset.

    Raises:
        InputError: the dataset is missing, half written, or made by another recipe.
    """
    folder = dataset_folder(recipe.dataset_id)
    fix = f"run: rl-or-bc data make --tasks {recipe.task.name} --scale {recipe.scale:g}"
    if not folder.exists():
        raise InputError(f"dataset {recipe.dataset_id} is not in {folder.parent}; {fix}")
    try:
        with reading():
            found = json.loads(read_json(folder / "data" / "metadata.json")[METADATA_KEY])
            facts = {name: found[name] for name in _FACTS}
            if not all(isinstance(facts[name], kind) for name, kind in _FACTS.items()):
                raise Unreadable("its provenance is of other types", damaged=True)
    except Unreadable as error:
        if not error.damaged:
            raise InputError(f"dataset {recipe.dataset_id} cannot be read ({error})") from None
        raise InputError(
            f"dataset {recipe.dataset_id} in {folder} is half written or was not made here; "
            f"{fix} --overwrite"
        ) from None
    if facts["recipe"] != recipe.fingerprint():
        raise InputError(
            f"dataset {recipe.dataset_id} was made by another version of the recipe or its "
            f"policies; {fix} --overwrite"
        )
    known = {"dataset_id": recipe.dataset_id, "source": "regenerated", "scale": recipe.scale}
    return known | facts


def provenance(task: Task, scale: float) -> dict[str, Any]:
    """The provenance of the task's dataset at ``scale``; see ``read_metadata`` for errors."""
    return read_metadata(Recipe(task, scale))


def read(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's regenerated dataset at ``scale``; see ``envs.sources.registry.load``."""
    recipe = Recipe(task, scale)
    metadata = read_metadata(recipe)
    fix = f"run: rl-or-bc data make --tasks {task.name} --scale {scale:g} --overwrite"
    folder = dataset_folder(recipe.dataset_id) / "data"
    with readable(f"dataset {recipe.dataset_id}", fix):
        dataset = Dataset.from_episodes(
            (e.observations, e.actions, e.rewards, e.terminations, e.truncations)
            for e in stored.episodes(folder, stored.read_metadata(folder))
        )
    check(dataset, task.spec, recipe.dataset_id)
    if content_hash(dataset) != metadata["hash"]:
        raise InputError(f"dataset {recipe.dataset_id} differs from its recorded hash; {fix}")
    return dataset, metadata


READER = Reader(provenance, read)
