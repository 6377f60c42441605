"""How the cost of an update of IQL grows along one axis at a time, from the quick size."""

import dataclasses
import functools
import statistics
import time

import jax
import numpy as np
import pytest

from algos.views import statistics as observation_statistics
from bench.run.train import INIT, build, stream
from envs.tasks import get_task
from tests.speed.test_learning import TASK, compile_chunks, fill_round, noise, settings

pytestmark = pytest.mark.speed

AXES = {
    "seeds": (1, 2, 3, 5, 10, 20),
    "width": (32, 64, 128, 256, 512),
    "batch": (32, 64, 128, 256, 512),
    "rows": (20_000, 80_000, 320_000, 1_000_000),
}
ROUNDS = 5


def pytest_generate_tests(metafunc):
    points = [(axis, value) for axis, values in AXES.items() for value in values]
    short = metafunc.config.getoption("--short", False)
    metafunc.parametrize(("axis", "value"), [] if short else points)


def test_scaling(benchmark, axis, value, peak):
    given = {"seeds": 3, "width": 64, "batch": 64, "rows": 80_000} | {axis: value}
    config = dataclasses.replace(
        settings("iql", "quick"),
        hidden_dims=(given["width"],) * 2,
        batch_size=given["batch"],
    )
    dataset = noise(given["rows"])
    program = build("iql", config, get_task(TASK).spec)
    states = program.init(stream(range(given["seeds"]), INIT), observation_statistics(dataset))
    peak()  # compiles
    choose = functools.partial(fill_round, config, peak())
    (chunk,) = compile_chunks("iql", config, given["seeds"], states, dataset, choose)
    states, _ = chunk.run(states)
    seconds = []

    def run():
        nonlocal states
        start = time.perf_counter()
        states, metrics = chunk.run(states)
        seconds.append((time.perf_counter() - start) / chunk.num_updates)
        assert np.isfinite(jax.device_get(metrics["critic_loss"])).all()

    benchmark.pedantic(run, rounds=ROUNDS)
    assert len(seconds) == ROUNDS
    benchmark.extra_info |= {
        "kind": "scaling",
        "axis": axis,
        "value": value,
        "seconds_per_update": statistics.median(seconds),
        "memory_bytes": chunk.memory_bytes,
    }
