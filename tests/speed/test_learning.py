"""Updates per second of the methods in `flops.COUNTS`, beside the machine's peak at that moment.

On a CPU a program runs on one thread (``bench/__init__.py``), so both figures are of one processor.

Each phase's chunk is compiled ahead of time, then run from the middle of the phase, over and over.
A method of several phases counts as its whole run: phases weigh as much as they have steps.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import core, views
from algos.settings import resolve
from bench.run.profiles import get_profile
from bench.run.train import INIT, TRAIN, Run, build, stream
from envs.dataset import Dataset
from envs.tasks import get_task
from tests.speed import flops

pytestmark = pytest.mark.speed

TASK = "halfcheetah-medium"
NUM_ROWS, EPISODE_STEPS = 50_000, 500
STATED_AT = {"hidden_dims": (256, 256), "batch_size": 256}  # sizes the targets are for
STATED = ("iql", "td3_bc", "cql")
SHORT = (
    *((name, "quick", seeds) for name in ("bc", "iql") for seeds in (1, 5)),
    *((name, "published", 1) for name in STATED),
)
MAX_MEMORY = 10e9  # bytes
# To aim at. Drawing a block's batches costs about 10 ms on a CPU, however few there are: a
# twentieth of a round of 0.3 s, next to nothing of a cell's chunk of 1,000 steps.
ROUND_SECONDS = 1.5
SLOW_SECONDS = 5.0  # of a round that is repeated less
ROUNDS, SHORT_ROUNDS = 6, 3


def pytest_generate_tests(metafunc):
    every = [
        (n, size, s) for n in flops.COUNTS for size in ("published", "quick") for s in (1, 5, 10)
    ]
    cases = SHORT if metafunc.config.getoption("--short", False) else every
    metafunc.parametrize(("name", "size", "num_seeds"), cases)


@functools.cache
def noise(num_rows: int = NUM_ROWS) -> Dataset:
    """Noise in the shape of halfcheetah-medium, in whole episodes that time cuts off."""
    spec, generator = get_task(TASK).spec, np.random.default_rng(0)
    observations = generator.standard_normal((num_rows, spec.observation_dim), np.float32)
    ends = np.arange(num_rows) % EPISODE_STEPS == EPISODE_STEPS - 1
    return Dataset(
        observations=observations,
        actions=generator.uniform(-1.0, 1.0, (num_rows, spec.action_dim)).astype(np.float32),
        rewards=generator.standard_normal(num_rows, np.float32),
        terminations=np.zeros(num_rows, bool),
        truncations=ends,
        episode_ends=np.flatnonzero(ends),
        final_observations=observations[ends],
    )


def settings(name: str, size: str) -> core.Config:
    """The method's Config at ``size``."""
    if size == "quick":
        return resolve(name, "locomotion", get_profile("quick").sizes["locomotion"]).config
    config = resolve(name, "locomotion").config
    return dataclasses.replace(config, **STATED_AT) if name in STATED else config


class Chunk(NamedTuple):
    """One phase's updates in a row, compiled.

    Attributes:
        run: states -> (states, metrics), for ``num_updates`` from the middle of the phase,
            drawing their batches included.
        compiled: the program that learns.
        num_updates: of one run.
        flops: of one update, all seeds.
        weight: the phase's share of the method's steps.
    """

    run: Callable[[core.State], tuple[core.State, core.Metrics]]
    compiled: jax.stages.Compiled
    num_updates: int
    flops: int
    weight: float

    @property
    def memory_bytes(self) -> int:
        """What the device holds during a run; donated states are arguments and results in one."""
        memory = self.compiled.memory_analysis()
        inputs_and_outputs = memory.argument_size_in_bytes + memory.output_size_in_bytes
        return memory.temp_size_in_bytes + inputs_and_outputs - memory.alias_size_in_bytes


def fill_round(config: core.Config, flops_per_second: float, flops_per_update: float) -> int:
    """Updates that make a round, if half the peak is reached and each update costs 0.2 ms more.

    A multiple of the actor's delay, so that each chunk has its share of updates that come only so
    often.
    """
    delay = getattr(config, "actor_delay", 1)
    seconds = 2 * flops_per_update / flops_per_second + 2e-4
    return delay * max(1, round(ROUND_SECONDS / seconds / delay))


def compile_chunks(
    name: str,
    config: core.Config,
    num_seeds: int,
    states: core.State,
    dataset: Dataset,
    choose: Callable[[int], int],
) -> list[Chunk]:
    """The chunk of each phase of the method; ``choose``: operations of an update -> updates."""
    spec = get_task(TASK).spec
    program, chunks = build(name, config, spec), []
    for i, (phase, run) in enumerate(zip(program.algorithm.phases, program.runs, strict=True)):
        view, middle = jax.device_put(phase.view(dataset)), phase.num_steps // 2
        keys = stream(range(num_seeds), TRAIN + i)
        count = num_seeds * flops.per_update(name, config, spec, middle)[i]
        length = choose(count)
        block = run.block_steps(keys, view, length)
        compiled = run.learn.lower(states, *run.draw(keys, view, middle, block)).compile()
        weight = phase.num_steps / config.num_steps
        bound = functools.partial(call, run._replace(learn=compiled), keys, view, middle, length)
        chunks.append(Chunk(bound, compiled, length, count, weight))
    return chunks


def call(
    run: Run, keys: jax.Array, view: Any, first: int, num_steps: int, states: core.State
) -> tuple[core.State, core.Metrics]:
    """Run to the end."""
    return jax.block_until_ready(run(states, keys, view, first, num_steps))


def test_learning(benchmark, name, size, num_seeds, peak, short):
    config, info = settings(name, size), benchmark.extra_info
    statistics_ = jax.tree.map(jnp.asarray, views.statistics(noise()))
    program = build(name, config, get_task(TASK).spec)
    states = program.init(stream(range(num_seeds), INIT), statistics_)
    peak()  # compiles
    flops_per_second = peak()

    start = time.perf_counter()
    choose = functools.partial(fill_round, config, flops_per_second)
    chunks = compile_chunks(name, config, num_seeds, states, noise(), choose)
    compile_seconds = time.perf_counter() - start
    info |= {"kind": "learning", "method": name, "size": size, "seeds": num_seeds}
    info |= {"num_steps": config.num_steps, "compile_seconds": compile_seconds}
    info |= {"memory_bytes": max(chunk.memory_bytes for chunk in chunks)}
    if info["memory_bytes"] > MAX_MEMORY:
        info["not_run"] = "too large for this machine"
        benchmark.pedantic(lambda: None)  # or there would be no entry that says so
        return

    def run_chunks():
        """Every phase's chunk once; the states go on."""
        nonlocal states
        seconds = 0.0
        for chunk in chunks:
            start = time.perf_counter()
            states, metrics = chunk.run(states)
            seconds += chunk.weight * (time.perf_counter() - start) / chunk.num_updates
            assert all(np.isfinite(metric).all() for metric in metrics.values())
        seconds_per_update.append(seconds)

    seconds_per_update, peaks = [], []
    start = time.perf_counter()
    run_chunks()
    first = time.perf_counter() - start
    seconds_per_update.clear()
    rounds = SHORT_ROUNDS if short or first > SLOW_SECONDS else ROUNDS
    benchmark.pedantic(run_chunks, setup=lambda: peaks.append(peak()), rounds=rounds)

    assert len(seconds_per_update) == len(peaks) == rounds
    flops_per_update = sum(chunk.weight * chunk.flops for chunk in chunks)
    shares = [
        flops_per_update / seconds / top
        for seconds, top in zip(seconds_per_update, peaks, strict=True)
    ]
    assert min(shares) > 0
    info |= {
        "updates_per_second": 1.0 / statistics.median(seconds_per_update),
        "flops_per_update": flops_per_update,
        "peak_gflops": statistics.median(peaks) / 1e9,
        "share_of_peak": statistics.median(shares),
        "first_chunk_seconds": compile_seconds + first,
        "updates_per_round": [chunk.num_updates for chunk in chunks],
        "rounds": rounds,
    }
