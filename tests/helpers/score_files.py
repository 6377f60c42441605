"""Small results folders for the tests of what is made of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from bench import store
from bench.report import scores as model
from envs.tasks import TASKS

METHODS = {"bc": ("BC", "imitation"), "dt": ("D<T>", "imitation"), "iql": ("IQL", "offline RL")}


def sound(name, **more):
    """The least that the provenance of the cell called ``task/algorithm`` may say."""
    task, algorithm = name.split("/")
    facts = {"algorithm": algorithm, "title": "X", "style": "imitation", "told": "nothing"}
    facts |= {"paper": "arXiv:2110.06169"}
    facts |= {"task": {"name": task}, "dataset": {"hash": "d"}, "hash": "0"}
    facts |= {"settings": {"seeds": [0], "num_episodes": 1, "source": "regenerated", "scale": 0.1}}
    return facts | more


def write_scores(folder, tasks=TASKS, steps=(50, 100), seeds=(0, 1, 2), scores=None, spread=1.0):
    """Raw rows of every method on ``tasks``: method number i scores about 20 (i + 1) at the end.

    ``scores`` has (task, method) -> what it scores about instead, with a deviation of ``spread``.
    """
    generator = np.random.default_rng(0)
    rows, provenance = [], {}
    for task in tasks:
        low, high = TASKS[task].reference_returns
        for index, (name, (title, style)) in enumerate(METHODS.items()):
            provenance[f"{task}/{name}"] = {
                "task": {"name": task},
                "algorithm": name,
                "title": title,
                "style": style,
                "told": "nothing",
                "paper": "arXiv:2110.06169",
                "config": {"hidden_dims": [8, 8], "learning_rate": 1e-3},
                "settings": {
                    "seeds": list(seeds),
                    "num_episodes": 1,
                    "source": "regenerated",
                    "scale": 0.1,
                },
                "dataset": {"dataset_id": "a</script><b>", "hash": "f" * 64},
                "versions": {"jax": "1.2.3"},
                "environment": "Some-v4",
                "device": "cpu: cpu",
                "commit": "c0ffee",
                "hash": "0123456789ab",
            }
            for step in steps:
                for seed in seeds:
                    level = (scores or {}).get((task, name), 20 * (index + 1))
                    score = (level + spread * generator.normal()) * step / max(steps)
                    value = low + score / 100 * (high - low)
                    rows.append((task, name, seed, step, 0, value, 5))
    frame = pd.DataFrame(rows, columns=list(store.SCORE_COLUMNS))
    store.publish(folder, frame, provenance, [])
    return folder


def results_of(rows, provenance, columns=None, published=None):
    """The model of raw rows and their provenance, in profile quick, with other columns if given."""
    no_tracks = pd.DataFrame(columns=list(store.TRACK_COLUMNS))
    stored = store.Stored(Path("regenerated") / "quick", rows, no_tracks, provenance, {})
    results = model.gather(stored, published or {})
    return dataclasses.replace(results, columns=columns or results.columns)


def write_tracks(folder, task, algorithm, *paths):
    """Episodes 0, 1, ... of seed 0 of one cell, each a list of (x, y)."""
    points = [
        (task, algorithm, 0, episode, step, x, y)
        for episode, path in enumerate(paths)
        for step, (x, y) in enumerate(path)
    ]
    tracks = pd.DataFrame(points, columns=list(store.TRACK_COLUMNS))
    store.write_tracks(folder / "tracks.csv", tracks)
