"""Files that a cell writes while it runs: its episodes, its losses, its tracks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench import store
from envs.spaces import Array

EVAL_COLUMNS = ("seed", "step", "episode", "return", "length")
TRAIN_COLUMNS = ("seed", "step", "metric", "value")
# These tracks of the first seed show where a method goes, and are few enough for a repository.
TRACKS, TRACK_POINTS = 5, 50


class Loss(NamedTuple):
    """The first metric of a seed that is not finite."""

    step: int
    metric: str
    value: float


class Records:
    """Rows of ``evals.csv`` and ``train.csv`` of a cell's folder.

    Attributes:
        lost: seeds that ended in a metric that is not finite; from then on they have no rows.
    """

    def __init__(self, folder: Path, seeds: Sequence[int]) -> None:
        """Read what is there.

        Raises:
            InputError: a file is damaged.
        """
        self._folder, self._seeds = folder, tuple(seeds)
        self._evals = [store.read_rows(folder / "evals.csv", EVAL_COLUMNS)]
        self._train = [store.read_rows(folder / "train.csv", TRAIN_COLUMNS)]
        self.lost = _lost(self._train[0])

    def cut(self, step: int) -> None:
        """Drop the rows after ``step``, of work that will be done again."""
        self._evals = [rows[rows["step"] <= step] for rows in self._evals]
        self._train = [rows[rows["step"] <= step] for rows in self._train]
        self.lost = _lost(_concatenate(self._train))

    def has_evaluations(self, steps: Sequence[int], num_episodes: int) -> bool:
        """True if these and no others are here: ``num_episodes`` of each seed at ``steps``."""
        wanted = [
            (step, seed, episode)
            for step in steps
            for seed in self._seeds
            if seed not in self.lost or step < self.lost[seed].step
            for episode in range(num_episodes)
        ]
        rows = _concatenate(self._evals)[["step", "seed", "episode"]]
        return sorted(rows.itertuples(index=False, name=None)) == sorted(wanted)

    def add_metrics(self, step: int, metrics: dict[str, Any]) -> dict[int, Loss]:
        """Metrics ``[S]`` each, of the steps up to ``step``; returns the seeds lost in them."""
        rows = [
            (seed, step, name, float(value))
            for name, values in sorted(metrics.items())
            for seed, value in zip(self._seeds, values, strict=True)
            if seed not in self.lost
        ]
        self._train.append(pd.DataFrame(rows, columns=list(TRAIN_COLUMNS)))
        lost = _lost(self._train[-1])
        self.lost |= lost
        return lost

    def add_episodes(self, step: int, returns: Array, lengths: Array) -> None:
        """Episodes played after ``step``: returns and lengths ``[S, E]``."""
        rows = [
            (seed, step, episode, float(returns[i, episode]), int(lengths[i, episode]))
            for i, seed in enumerate(self._seeds)
            if seed not in self.lost
            for episode in range(returns.shape[1])
        ]
        self._evals.append(pd.DataFrame(rows, columns=list(EVAL_COLUMNS)))

    def write(self) -> None:
        """Replace the files."""
        store.write_rows(self._folder / "evals.csv", _concatenate(self._evals))
        store.write_rows(self._folder / "train.csv", _concatenate(self._train))


def write_tracks(folder: Path, seed: int, paths: Array, lengths: Array) -> None:
    """Write ``tracks.csv``: points at even distances in time, first and last of each included.

    Args:
        folder: of the cell.
        seed: whose episodes.
        paths: ``[K, T, 2]`` x and y, in metres, of its first episodes.
        lengths: ``[E]`` of all of its episodes.
    """
    rows = []
    for episode, (path, length) in enumerate(zip(paths, lengths.tolist(), strict=False)):
        steps = np.unique(np.linspace(0, length, min(length, TRACK_POINTS) + 1).astype(int))
        for step, (x, y) in zip(steps.tolist(), path[steps].tolist(), strict=True):
            rows.append((seed, episode, step, round(x, 2), round(y, 2)))
    columns = list(store.TRACK_COLUMNS[2:])
    store.write_rows(folder / "tracks.csv", pd.DataFrame(rows, columns=columns))


def _lost(train: pd.DataFrame) -> dict[int, Loss]:
    lost: dict[int, Loss] = {}
    bad = train[~np.isfinite(train["value"].astype(float))]
    for seed, step, metric, value in bad.itertuples(index=False):
        lost.setdefault(int(seed), Loss(int(step), metric, value))
    return lost


def _concatenate(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
