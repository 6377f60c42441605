"""D4RL's ``-v2`` files, read with h5py alone: no gym, no mujoco_py, no d4rl.

What the files hold (scripts/generation in Farama-Foundation/D4RL@89141a6):

- locomotion: ``next_observations`` as the simulator gave them; ``terminals`` where the robot fell,
  ``timeouts`` on the last row of an episode that time ended, never both;
- antmaze: no ``next_observations``. ``terminals`` and ``rewards`` were written afterwards from
  where the ant is in the *next row of the file*, within 0.5 m of one goal, and the episode goes on
  there; an episode ends at ``timeouts`` alone. Its last row thus carries the reward of another
  episode's first state, and what followed it is not in ``observations``.

Two readings:

- ``full``: every row whose successor the file holds. In locomotion that is all of them, also those
  at a timeout; in antmaze the last row of an episode is left out. A jump between two rows that no
  flag explains ends an episode as well, as in files whose timeouts are out of step (D4RL issues 77
  and 146): a successor that is not the next row, or an ant that moves a metre in 0.1 s.
- ``qlearning``: row for row what ``d4rl.qlearning_dataset`` gives: no timeout rows, not the file's
  last row, and the file's next row as successor, even where that is another episode's first.

Departures: an observation after a termination that the file does not hold is the one before it;
everything that reads successors masks it there. Files are read whole: ``scale`` cuts nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from envs.dataset import Dataset, check, require_finite
from envs.errors import InputError
from envs.sources import hdf5
from envs.sources.d4rl_files import ADDRESS, FILES, dataset_folder
from envs.sources.download import Download, Progress, address_below
from envs.sources.narrow import Narrowing
from envs.sources.reader import Reader
from envs.sources.reading import Unreadable, file_size, reading
from envs.spaces import Array
from envs.tasks import Task

MIRROR_VARIABLE = "D4RL_MIRROR"  # base address of a server with the same folders as D4RL's
SAME = 1e-6  # of observations; ikostrikov/implicit_q_learning@09d7002 dataset_utils.py
JUMP = 1.0  # metres in one step of 0.1 s; the ant runs at about 1 m/s
MOST_JUMPS = 0.01  # share of rows; with more, the file itself is out of step


class _Marks(NamedTuple):
    """The arrays of a file with N rows.

    Attributes:
        terminals: ``[N]`` bool.
        timeouts: ``[N]`` bool.
        ends: ``[N]`` bool, the last row of each episode, whatever ended it.
        num_jumps: how many ends no flag of the file explains.
    """

    terminals: Array
    timeouts: Array
    ends: Array
    num_jumps: int


def path_of(task: Task) -> Path:
    """The path of the task's file on this machine."""
    return dataset_folder() / FILES[task.name].name


def provenance(task: Task, scale: float) -> dict[str, Any]:
    """The task's file and its checksum; ``doubts`` if it is not the one that D4RL published.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    del scale
    path, published = path_of(task), FILES[task.name]
    checksum = file_hash(path, task)
    doubts = []
    if published.sha256 not in (None, checksum):
        doubts.append(
            f"{path} is not the file that D4RL published for {task.name}: its SHA-256 begins with "
            f"{checksum[:8]} instead of {str(published.sha256)[:8]}"
        )
    return {
        "dataset_id": f"d4rl/{path.name}",
        "source": "d4rl",
        "hash": checksum,
        "published": ADDRESS + published.path,
        "doubts": doubts,
    }


def fetch(task: Task, mirror: str | None, overwrite: bool, progress: Progress) -> bool:
    """Download the task's file to where ``read`` looks for it, unless it is there already.

    Args:
        task: whose file.
        mirror: base address to use instead of ``$D4RL_MIRROR`` or D4RL's own.
        overwrite: replace a file that is there.
        progress: told (bytes so far, bytes in all).

    Returns:
        whether anything was downloaded.

    Raises:
        InputError: another file is there; or see ``envs.sources.download``.
    """
    target, published = path_of(task), FILES[task.name]
    if target.exists() and not overwrite:
        doubts = provenance(task, 1.0)["doubts"]
        if doubts:
            raise InputError(f"{doubts[0]}; move it away, or --overwrite replaces it")
        return False
    base = mirror or os.environ.get(MIRROR_VARIABLE) or ADDRESS
    address = address_below(base, published.path)
    Download(address, target, num_bytes=published.num_bytes, sha256=published.sha256).run(progress)
    return True


def read(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's file in the reading ``full``; see ``envs.sources.registry.load``."""
    dataset, facts = read_file(path_of(task), task)
    return dataset, provenance(task, scale) | facts


def read_qlearning(task: Task, scale: float) -> tuple[Dataset, dict[str, Any]]:
    """The task's file in the reading ``qlearning``; see ``envs.sources.registry.load``."""
    dataset, facts = read_file(path_of(task), task, qlearning=True)
    return dataset, provenance(task, scale) | facts


def read_file(path: Path, task: Task, *, qlearning: bool = False) -> tuple[Dataset, dict[str, Any]]:
    """Read and check one file.

    Args:
        path: an HDF5 file with D4RL's keys; keys that are not needed are not looked at.
        task: whose sizes and rules it follows.
        qlearning: which of the two readings.

    Returns:
        the dataset; and ``reading``, ``rows_in_file``, ``rows_left_out`` and ``jumps``.

    Raises:
        InputError: naming the file, the key and the fix.
    """
    spec = task.spec
    with open_file(path, task) as file:
        rows = _num_rows(file, path, task)
        observations = _numbers(file, path, "observations", rows, spec.observation_dim)
        successors = None
        if "next_observations" in file and not qlearning:
            successors = _numbers(file, path, "next_observations", rows, spec.observation_dim)
            require_finite("next_observations", successors, str(path))
        marks = _find_ends(
            observations,
            successors,
            terminals=_flags(file, path, "terminals", rows),
            timeouts=_flags(file, path, "timeouts", rows),
            goes_on=task.kind.has_goals,
            where=str(path),
        )
        actions = _numbers(file, path, "actions", rows, spec.action_dim)
        rewards = _numbers(file, path, "rewards", rows, 1).reshape(rows)
    if qlearning:
        kept = ~marks.timeouts
        kept[-1] = False
    elif successors is None:
        kept = ~marks.ends
        if not task.kind.has_goals:
            kept |= marks.terminals
    else:
        kept = np.ones(rows, bool)
    index = np.flatnonzero(kept)
    episodes = np.cumsum(marks.ends)[index] - marks.ends[index]
    last = np.append(episodes[1:] != episodes[:-1], len(index) > 0)[: len(index)]
    final = index[last]
    if successors is not None:
        final_observations = successors[final]
    else:
        final_observations = observations[final + 1 if qlearning else final + ~marks.ends[final]]
    if len(index) < rows:
        # No copy is made where no row is left out, as in locomotion.
        observations, actions = observations.take(index, axis=0), actions.take(index, axis=0)
        rewards = rewards[index]
    terminations = marks.terminals[index]
    dataset = Dataset(
        observations=observations,
        actions=actions,
        rewards=rewards,
        terminations=terminations,
        # Time alone ends an episode of data that go on at the goal.
        truncations=last if task.kind.has_goals else last & ~terminations,
        episode_ends=np.flatnonzero(last),
        final_observations=final_observations,
    )
    check(dataset, spec, str(path))
    return dataset, {
        "reading": "qlearning" if qlearning else "full",
        "rows_in_file": rows,
        "rows_left_out": rows - len(index),
        "jumps": marks.num_jumps,
    }


def read_states(task: Task, rows: Array) -> Array | None:
    """Observations as they would be if they clipped no velocity, at ``rows`` ``[K]`` of the file.

    Returns:
        ``[K, O]`` float32 from ``infos/qpos`` and ``infos/qvel``, or None: antmaze, which clips
        nothing (and stores the state after the row's action), a file without them, or one without
        ``next_observations``, of which rows are left out.
    """
    if task.kind.has_goals:
        return None
    with open_file(path_of(task), task) as file:
        infos = hdf5.find(file, "infos")
        size = _num_rows(file, path_of(task), task)
        if "next_observations" not in file or not isinstance(infos, h5py.Group):
            return None
        parts = []
        for name in ("qpos", "qvel"):
            part = hdf5.find(infos, name)
            if not isinstance(part, h5py.Dataset) or part.ndim != 2 or len(part) != size:
                return None
            parts.append(hdf5.read(part, f"infos/{name}")[rows])
        states = np.concatenate(parts, axis=1)[:, 1:]
    return states if states.shape[1] == task.spec.observation_dim else None


@contextlib.contextmanager
def open_file(path: Path, task: Task) -> Iterator[h5py.File]:
    """Open the task's HDF5 file for reading.

    Raises:
        InputError: missing, unreadable, empty, cut, damaged, or no HDF5.
    """
    with _named(path, task), hdf5.open_file(path) as file:
        yield file


@contextlib.contextmanager
def _named(path: Path, task: Task) -> Iterator[None]:
    """Name the file in whatever makes it unreadable, and say where to get it if it is gone."""
    try:
        with reading():
            yield
    except Unreadable as error:
        raise InputError(f"{path} cannot be read: {error.with_fix(_fix(task))}") from None


def file_hash(path: Path, task: Task) -> str:
    """SHA-256 of the file, computed once for each state of it.

    Raises:
        InputError: missing or unreadable.
    """
    with _named(path, task):
        file_size(path)
        status = path.stat()
        return _hash(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fix(task: Task) -> str:
    address = ADDRESS + FILES[task.name].path
    return f"run: rl-or-bc data fetch {task.name} --source d4rl, or put {address} there"


def _num_rows(file: h5py.File, path: Path, task: Task) -> int:
    dataset = _dataset(file, path, "observations")
    rows = int(dataset.shape[0]) if dataset.shape else 0
    if rows == 0:
        raise InputError(f"{path}: observations has no rows; {_fix(task)}")
    if rows > 10 * task.num_rows:  # before anything is allocated
        raise InputError(
            f"{path}: observations has {rows:,} rows, D4RL's {task.name} about "
            f"{task.num_rows:,}; {_fix(task)}"
        )
    return rows


def _dataset(file: h5py.File, path: Path, key: str) -> h5py.Dataset:
    dataset = hdf5.find(file, key)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(
            f"{path}: the key {key} is missing; it holds {', '.join(sorted(file)) or 'none'}: "
            "is this one of D4RL's v2 files?"
        )
    return dataset


def _numbers(file: h5py.File, path: Path, key: str, rows: int, width: int) -> Array:
    """``[rows, width]`` float32; a width of 1 may be stored without its axis."""
    dataset = _dataset(file, path, key)
    _require_shape(dataset, path, key, (rows, width))
    if dataset.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {key} has type {dataset.dtype}, expected numbers; download the file again"
        )
    hdf5.require_numbers(dataset, key)
    if np.result_type(dataset.dtype, np.float32) != np.float32:
        wide = dataset[()]
        numbers = Narrowing(str(path), key)
        numbers.watch(wide)
        numbers.finish()
        return wide.astype(np.float32).reshape(rows, width)
    array = np.empty(dataset.shape, np.float32)
    dataset.read_direct(array)
    return array.reshape(rows, width)


def _flags(file: h5py.File, path: Path, key: str, rows: int) -> Array:
    """``[rows]`` bool; antmaze files store the numbers 0 and 1."""
    dataset = _dataset(file, path, key)
    _require_shape(dataset, path, key, (rows, 1))
    if dataset.dtype.kind not in "bfiu":
        raise InputError(
            f"{path}: {key} has type {dataset.dtype}, expected true or false; download the file "
            "again"
        )
    array = hdf5.read(dataset, key).reshape(rows)
    bad = np.flatnonzero((array != 0) & (array != 1))
    if len(bad):
        raise InputError(
            f"{path}: {key} row {bad[0]} is {array[bad[0]]}, expected 0 or 1; download the file "
            "again"
        )
    return array.astype(bool)


def _require_shape(dataset: h5py.Dataset, path: Path, key: str, shape: tuple[int, int]) -> None:
    allowed = (shape, shape[:1]) if shape[1] == 1 else (shape,)
    if dataset.shape not in allowed:
        raise InputError(
            f"{path}: {key} has shape {dataset.shape}, expected {allowed[-1]}; is this the file of "
            "another task?"
        )


def _find_ends(
    observations: Array,
    successors: Array | None,
    *,
    terminals: Array,
    timeouts: Array,
    goes_on: bool,
    where: str,
) -> _Marks:
    """The last row of every episode; successors within ``SAME`` of the next row are that row."""
    ends = timeouts if goes_on else timeouts | terminals
    ends = ends.copy()
    ends[-1] = True
    jumps = np.zeros(len(ends), bool)
    if successors is not None:
        differ = _rows_that_differ(successors, observations)
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(successors[differ] - observations[differ + 1]).max(axis=1, initial=0)
        jumps[differ] = distance > SAME
    elif goes_on:
        with np.errstate(invalid="ignore", over="ignore"):
            moved = np.diff(observations[:, :2], axis=0)
            jumps[:-1] = np.hypot(moved[:, 0], moved[:, 1]) > JUMP
    jumps &= ~ends
    if jumps.sum() > MOST_JUMPS * len(ends):
        key = "observations" if successors is None else "next_observations"
        raise InputError(
            f"{where}: {key} row {np.flatnonzero(jumps)[0]} leads elsewhere than to the next row, "
            f"and so do {jumps.sum() - 1:,} others inside episodes; the file is out of step: "
            "download it again"
        )
    return _Marks(terminals, timeouts, ends | jumps, int(jumps.sum()))


def _rows_that_differ(successors: Array, observations: Array) -> Array:
    """``[K]`` rows, rising, whose row of ``successors`` ``[N, O]`` is not the next observation.

    By slices and in one sweep over the entries: copies of the arrays would double the memory in
    use, and numpy is slow to reduce over rows this short.
    """
    differ = np.flatnonzero((successors[:-1] != observations[1:]).reshape(-1))
    return np.unique(differ // observations.shape[1])


FULL = Reader(provenance, read, fetch, states=read_states)
QLEARNING = Reader(provenance, read_qlearning, fetch)
