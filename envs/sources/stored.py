"""Minari datasets as they lie on disk, read without Minari's own loader.

That one makes the environment which ``env_spec`` names where a space is missing, and so runs
whatever a dataset names. Here a dataset is arrays and text: nothing it says is ever imported or
called, and shapes that its metadata do not state are those of its arrays.

Files, in the folder ``data`` of a dataset: ``metadata.json``; and ``main_data.hdf5``, with a group
for each episode, or for the formats ``arrow`` and ``parquet`` a folder for each episode.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import minari
import numpy as np
from gymnasium import spaces

from envs.sources import hdf5
from envs.sources.reading import Unreadable, file_size, read_json, reading, require_memory
from envs.spaces import Array
from envs.text import reason_of

HDF5_FILE = "main_data.hdf5"
_OURS = re.compile(
    r"metadata\.json|main_data\.hdf5|\d+/(metadata\.json|[^._][^/]*\.(arrow|parquet))"
)
_FLAGS = ("terminations", "truncations")


class Steps(NamedTuple):
    """One episode of T steps as it is stored.

    Attributes:
        number: its place in the dataset.
        observations: ``[T + 1, ...]``, or parts of that as a dict or a tuple.
        actions: the same, ``[T, ...]``.
        rewards: ``[T]`` in the type that is stored.
        terminations: ``[T]`` bool.
        truncations: ``[T]`` bool.
    """

    number: int
    observations: Any
    actions: Any
    rewards: Array
    terminations: Array
    truncations: Array


class Spaces(NamedTuple):
    """The spaces of a dataset.

    Attributes:
        observations: as the metadata say, or else of the arrays' shapes and types, without bounds.
        actions: the same.
        stated: names of those that the metadata say.
    """

    observations: spaces.Space
    actions: spaces.Space
    stated: tuple[str, ...]


def read_metadata(folder: Path) -> dict[str, Any]:
    """Minari's metadata of the dataset in ``folder``; nothing in them has been believed yet.

    Raises:
        Unreadable: missing, no JSON object, or ``env_spec`` is none.
    """
    metadata = read_json(folder / "metadata.json")
    if not isinstance(metadata, dict):
        raise Unreadable("metadata.json is no JSON object", damaged=True)
    read_spec(metadata)
    return metadata


def read_spec(metadata: dict[str, Any]) -> dict[str, Any]:
    """The dataset's own word on its environment: gymnasium's ``EnvSpec`` as text, or nothing.

    Raises:
        Unreadable: it is no JSON object in a string.
    """
    text = metadata.get("env_spec")
    if text is None:
        return {}
    with reading():
        spec = json.loads(text)
    if not isinstance(spec, dict):
        raise Unreadable("env_spec is no JSON object", damaged=True)
    return spec


def read_spaces(folder: Path, metadata: dict[str, Any]) -> Spaces:
    """The dataset's spaces.

    Raises:
        Unreadable: the metadata's are damaged or of a kind that Minari does not write; or they are
            missing, and so are the arrays.
    """
    stated = _stated_spaces(metadata)
    if len(stated) < 2:
        first = next(episodes(folder, metadata))
        shapes = {"observation_space": first.observations, "action_space": first.actions}
        by_name = {name: _space_of(values) for name, values in shapes.items()} | stated
    else:
        by_name = stated
    return Spaces(by_name["observation_space"], by_name["action_space"], tuple(stated))


def _stated_spaces(metadata: dict[str, Any]) -> dict[str, spaces.Space]:
    by_name = {}
    for name in ("observation_space", "action_space"):
        text = metadata.get(name)
        if text is None:
            continue
        try:
            description = json.loads(text)
            _require_sizes(description)
            by_name[name] = minari.serialization.deserialize_space(description)
        except Exception as error:  # whatever gymnasium's spaces raise at what they are given
            raise Unreadable(
                f"its {name} cannot be read: {reason_of(error)}", damaged=True
            ) from None
    return by_name


def _require_sizes(description: Any) -> None:
    """Refuse a space that is larger than its own description, before gymnasium allocates it."""
    if description["type"] in ("Dict", "Tuple"):
        parts = description["subspaces"]
        for part in parts.values() if isinstance(parts, dict) else parts:
            _require_sizes(part)
    elif description["type"] == "Box":
        if np.dtype(description["dtype"]).kind not in hdf5.NUMBERS:  # text may be of any length
            raise ValueError(f"{description['dtype']} is no type of numbers")
        for bound in ("low", "high"):
            if np.shape(description[bound]) != tuple(description["shape"]):
                raise ValueError(f"{bound} is not of shape {description['shape']}")


def _space_of(values: Any) -> spaces.Space:
    """The space of arrays, with nothing known of their bounds."""
    if isinstance(values, dict):
        return spaces.Dict({name: _space_of(part) for name, part in values.items()})
    if isinstance(values, tuple):
        return spaces.Tuple([_space_of(part) for part in values])
    if values.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, values.shape[1:], values.dtype.type)
    limits = (0, 1) if values.dtype.kind == "b" else np.iinfo(values.dtype)
    low, high = limits if isinstance(limits, tuple) else (limits.min, limits.max)
    return spaces.Box(low, high, values.shape[1:], values.dtype.type)


def episodes(folder: Path, metadata: dict[str, Any]) -> Iterator[Steps]:
    """All episodes, in order, those of no step among them.

    Raises:
        Unreadable: damaged, of a format or a version that is not read here, no episode, not as
            many episodes or steps as the metadata count, or more than fits into memory.
    """
    version = metadata.get("minari_version")
    if version not in tuple(minari.supported_dataset_versions):  # of any type, a list as well
        raise Unreadable(
            f"the installed Minari {minari.__version__} does not support the dataset generated by "
            f"Minari {version}"
        )
    total, steps = (_count(metadata, f"total_{name}") for name in ("episodes", "steps"))
    stored_as = metadata.get("data_format")
    if stored_as == "hdf5":
        every = _hdf5_episodes(folder, total)
    elif stored_as in ("arrow", "parquet"):
        every = _arrow_episodes(folder, total, stored_as, _stated_spaces(metadata))
    else:
        raise Unreadable(f"its data_format is {stored_as!r}; hdf5, arrow and parquet are read")
    held = 0
    for episode in every:
        held += len(episode.rewards)
        yield episode
    if total == 0:
        raise Unreadable("it holds no episode", damaged=True)
    if held != steps:
        raise Unreadable(
            f"metadata.json counts {steps:,} steps, the arrays hold {held:,}", damaged=True
        )


def _count(metadata: dict[str, Any], name: str) -> int:
    value = metadata.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"its {name} is {value!r}, expected a count", damaged=True)
    return value


def _require_count(total: int, count: int, where: str) -> None:
    if total != count:
        raise Unreadable(
            f"metadata.json counts {total:,} episodes, {where} holds {count:,}", damaged=True
        )


def _hdf5_episodes(folder: Path, total: int) -> Iterator[Steps]:
    needed = 0
    with hdf5.open_file(folder / HDF5_FILE) as file:
        _require_count(total, len(file), HDF5_FILE)
        for number in range(total):
            name = f"episode_{number}"
            group = hdf5.find(file, name)
            if not isinstance(group, h5py.Group):
                raise Unreadable(f"{HDF5_FILE} has no {name}", damaged=True)
            parts = {}
            for key in ("observations", "actions", "rewards", *_FLAGS):
                part = hdf5.find(group, key)
                if part is None:
                    raise Unreadable(f"{name} has no {key}", damaged=True)
                parts[key] = part
            rewards = hdf5.read(_require_array(parts["rewards"], f"{name}/rewards"), "rewards")
            rows = len(rewards)
            observations = _read_tree(parts["observations"], f"{name}/observations", rows + 1)
            actions = _read_tree(parts["actions"], f"{name}/actions", rows)
            flags = [_read_tree(parts[key], f"{name}/{key}", rows) for key in _FLAGS]
            # Rows are float32 here, and once more where the episodes are put together.
            needed += 8 * (_num_entries(observations) + _num_entries(actions) + rows)
            require_memory(needed)
            yield _steps(number, observations, actions, rewards, flags)


def _require_array(node: Any, name: str) -> h5py.Dataset:
    if not isinstance(node, h5py.Dataset):
        raise Unreadable(f"{name} is no array", damaged=True)
    return node


def _read_tree(node: h5py.Group | h5py.Dataset, name: str, rows: int) -> Any:
    """The arrays below ``node``, each of ``rows`` rows."""
    if isinstance(node, h5py.Dataset):
        _require_rows(name, node.shape[0] if node.ndim else 0, rows)
        return hdf5.read(node, name)
    parts = {}
    for key in node:
        part = hdf5.find(node, key)
        if part is None:
            raise Unreadable(f"{name}/{key} is no array", damaged=True)
        parts[key] = _read_tree(part, f"{name}/{key}", rows)
    return _in_order(parts, "_index_")


def _in_order(parts: dict[str, Any], prefix: str) -> Any:
    """A tuple of parts that are called ``prefix`` and a number, other parts as they are."""
    names = [f"{prefix}{position}" for position in range(len(parts))]
    return tuple(parts[name] for name in names) if set(names) == set(parts) else parts


def _require_rows(name: str, count: int, rows: int) -> None:
    if count == rows:
        return
    episode, _, key = name.partition("/")
    title, key = episode.replace("_", " "), key.partition("/")[0]
    if key == "observations":
        raise Unreadable(
            f"{title} has {count} observations for {rows - 1} steps, expected one more than steps",
            damaged=True,
        )
    raise Unreadable(f"{title} has {count} {key} for {rows} steps", damaged=True)


def _num_entries(tree: Any) -> int:
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return sum(map(_num_entries, tree)) if isinstance(tree, tuple) else tree.size


def _steps(
    number: int, observations: Any, actions: Any, rewards: Array, flags: list[Array]
) -> Steps:
    """The arrays of one episode, each in the shape and with the values that it must have."""
    title = f"episode {number}"
    rows = len(rewards)
    if rewards.shape not in ((rows,), (rows, 1)):
        raise Unreadable(f"{title} has rewards of shape {rewards.shape}, expected ({rows},)")
    checked = []
    for key, flag in zip(_FLAGS, flags, strict=True):
        if flag.shape not in ((rows,), (rows, 1)):
            raise Unreadable(f"{title} has {key} of shape {flag.shape}, expected ({rows},)")
        flag = flag.reshape(rows)
        bad = np.flatnonzero((flag != 0) & (flag != 1))
        if len(bad):
            raise Unreadable(f"{title} has {key} of {flag[bad[0]]} at step {bad[0]}, not 0 or 1")
        checked.append(flag.astype(bool))
    return Steps(number, observations, actions, rewards.reshape(rows), *checked)


def _arrow_episodes(
    folder: Path, total: int, stored_as: str, stated: dict[str, spaces.Space]
) -> Iterator[Steps]:
    try:
        import pyarrow.dataset
    except ImportError:
        raise Unreadable(
            f"it is stored as {stored_as}; to read that, install the extra: "
            "pip install 'rl-or-bc[arrow]'"
        ) from None
    places = [path for path in folder.iterdir() if path.name.isdecimal()]
    _require_count(total, len(places), folder.name)
    needed = 0
    for number in range(total):
        place = folder / str(number)
        if place.is_symlink() or not place.is_dir():
            raise Unreadable(f"episode {number} is a link or missing; store each episode once")
        files = [path for path in place.glob(f"*.{stored_as}") if path.name[0] not in "._"]
        if len(files) != 1:
            raise Unreadable(f"episode {number} has {len(files)} files, expected one", damaged=True)
        file_size(files[0])
        with reading():
            opened = pyarrow.dataset.dataset(str(files[0]), format=stored_as)
            columns = ["observations", "actions", "rewards", *_FLAGS]
            rows = opened.count_rows()
            if rows == 0:
                raise Unreadable(f"episode {number} has no observation", damaged=True)
            needed += rows * sum(_width(opened.schema.field(name).type) for name in columns)
            require_memory(needed)
            table = opened.to_table(columns=columns).combine_chunks()
            table.validate(full=True)
            tree = {
                name: _arrow_tree(table.column(name).combine_chunks(), f"episode_{number}/{name}")
                for name in columns
            }
        # The last row is the observation after the last step; its other columns are filled up.
        steps = {name: _first(max(rows - 1, 0), tree[name]) for name in columns[1:]}
        observations, actions = tree["observations"], steps["actions"]
        if "observation_space" in stated:
            observations = _unflattened(stated["observation_space"], observations)
        if "action_space" in stated:
            actions = _unflattened(stated["action_space"], actions)
        flags = [steps[name] for name in _FLAGS]
        yield _steps(number, observations, actions, steps["rewards"], flags)


def _width(kind: Any) -> int:
    """Bytes of one entry of a pyarrow type, as numpy will have it."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return sum(_width(kind.field(index).type) for index in range(kind.num_fields))
    if pyarrow.types.is_fixed_size_list(kind):
        return kind.list_size * _width(kind.value_type)
    return 8


def _arrow_tree(array: Any, name: str) -> Any:
    import pyarrow

    if array.null_count:
        raise Unreadable(f"{name} has gaps", damaged=True)
    kind = array.type
    if pyarrow.types.is_struct(kind):
        fields = [kind.field(index).name for index in range(kind.num_fields)]
        parts = dict(zip(fields, array.flatten(), strict=True))
        return _in_order(
            {key: _arrow_tree(part, f"{name}/{key}") for key, part in parts.items()}, ""
        )
    if pyarrow.types.is_fixed_size_list(kind):
        inner = array.flatten()
        return _arrow_tree(inner, name).reshape(len(array), kind.list_size)
    if not (pyarrow.types.is_boolean(kind) or pyarrow.types.is_primitive(kind)):
        raise Unreadable(f"{name} holds {kind}, expected numbers of a fixed shape")
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in hdf5.NUMBERS:
        raise Unreadable(f"{name} holds {kind}, expected numbers of a fixed shape")
    return values


def _first(rows: int, tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _first(rows, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_first(rows, part) for part in tree)
    return tree[:rows]


def _unflattened(space: spaces.Space, tree: Any) -> Any:
    """Arrow keeps a row of a ``Box`` flat; in the shape that its space has."""
    if isinstance(space, spaces.Dict) and isinstance(tree, dict):
        return {key: _unflattened(space[key], tree[key]) for key in tree if key in space.spaces}
    if isinstance(space, spaces.Tuple) and isinstance(tree, tuple):
        return tuple(map(_unflattened, space.spaces, tree))
    if isinstance(tree, np.ndarray) and space.shape is not None:
        shape = (len(tree), *space.shape)
        if tree.size == math.prod(shape):
            return tree.reshape(shape)
    return tree


def data_hash(folder: Path) -> str:
    """SHA-256 of all files of the dataset and their names, computed once for each state.

    What file managers and backups leave beside them is not the dataset's.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if _OURS.fullmatch(path.relative_to(folder).as_posix()) and path.is_file()
    )
    states = tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files)
    return _hash_files(folder, states)


@functools.lru_cache(maxsize=64)
def _hash_files(folder: Path, states: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, _ in states:
        with Path(name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{Path(name).relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()
