"""Seconds from the command to a cell's first result, with nothing compiled and with all of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.speed

ROOT = Path(__file__).resolve().parents[2]
TASK = "hopper-medium"


@pytest.fixture
def command(tmp_path):
    """Runs the command line with data and compile cache of its own; gives the seconds it took."""
    environment = dict(
        os.environ,
        MINARI_DATASETS_PATH=str(tmp_path / "minari"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )

    def run(*arguments: str) -> float:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start

    return run


def test_start(benchmark, command, tmp_path, short):
    command("data", "make", "--profile", "smoke", "--tasks", TASK)
    cached = lambda: {path.name for path in (tmp_path / "cache").rglob("*-cache")}
    rounds = 1 if short else 3
    folders = [tmp_path / f"results-{i}" for i in range(rounds + 1)]
    fresh = iter(folders)

    def train() -> None:
        folder = str(next(fresh))
        seconds.append(command("train", "bc", TASK, "--profile", "smoke", "--results", folder))

    seconds: list[float] = []
    assert not cached()
    train()
    after_first = cached()
    assert after_first
    benchmark.pedantic(train, rounds=rounds)

    for folder in folders:
        (evaluations,) = folder.rglob("evals.csv")
        assert pd.read_csv(evaluations)["return"].notna().all()
    cold, *warm = seconds
    assert len(warm) == rounds
    benchmark.extra_info |= {
        "kind": "start",
        "cold_seconds": cold,
        "warm_seconds": sorted(warm)[rounds // 2],
        "compiled_first": len(after_first),
        "compiled_again": len(cached() - after_first),
        "rounds": rounds,
    }
