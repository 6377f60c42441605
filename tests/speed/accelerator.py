"""Updates per second of every method on an accelerator, at published sizes.

``python -m tests.speed.accelerator results/bench/gpu.json`` compiles the programs of one number of
seeds side by side, then measures one after the other, and writes the file anew after each of them:
a lease that ends early keeps what was measured. ``tests/speed/report.py`` reads the file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from algos import core, views
from bench.run.train import INIT, build, stream
from envs.tasks import get_task
from tests.speed import flops
from tests.speed.conftest import measure_peak
from tests.speed.test_learning import TASK, Chunk, compile_chunks, noise, settings

SEEDS = (10, 1, 5, 20)  # those that the projection needs come first
NUM_UPDATES = 200  # of a round: a multiple of every method's actor delay
ROUNDS = 3
# Those that the post argues about come first.
METHODS = sorted(flops.COUNTS, key=lambda name: name not in ("iql", "td3_bc", "bc", "cql"))

Case = tuple[str, int]


def prepare(case: Case) -> tuple[core.State, list[Chunk], float]:
    """First states, compiled phases and the seconds that both took, of (method, seeds)."""
    start = time.perf_counter()
    name, num_seeds = case
    config = settings(name, "published")
    program = build(name, config, get_task(TASK).spec)
    observed = jax.tree.map(jnp.asarray, views.statistics(noise()))
    states = program.init(stream(range(num_seeds), INIT), observed)
    chunks = compile_chunks(name, config, num_seeds, states, noise(), lambda count: NUM_UPDATES)
    return states, chunks, time.perf_counter() - start


def measure(case: Case, states: core.State, chunks: list[Chunk], peak: float) -> dict[str, Any]:
    """The figures of one case; ``peak`` is in operations per second."""
    name, num_seeds = case
    rounds = []
    for _ in range(ROUNDS + 1):
        seconds = 0.0
        for chunk in chunks:
            start = time.perf_counter()
            states, _ = chunk.run(states)
            seconds += chunk.weight * (time.perf_counter() - start) / chunk.num_updates
        rounds.append(seconds)
    seconds = statistics.median(rounds[1:])  # the first one warms up
    count = sum(chunk.weight * chunk.flops for chunk in chunks)
    return {
        "kind": "learning",
        "method": name,
        "size": "published",
        "seeds": num_seeds,
        "num_steps": settings(name, "published").num_steps,
        "updates_per_second": 1.0 / seconds,
        "flops_per_update": count,
        "peak_gflops": peak / 1e9,
        "share_of_peak": count / seconds / peak,
        "memory_bytes": max(chunk.memory_bytes for chunk in chunks),
        "updates_per_round": NUM_UPDATES,
        "rounds": ROUNDS,
    }


def main() -> None:
    """Measure until the time is up, and exit; with status 1 if nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=Path, help="where the figures go")
    parser.add_argument("--seconds", type=float, default=420.0, help="when to stop")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="numbers of seeds")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    device = jax.devices()[0]
    machine = {
        "processor": platform.machine(),
        "cpu": {"count": os.cpu_count()},
        "jax": {
            "version": jax.__version__,
            "platform": device.platform,
            "device": device.device_kind,
        },
    }
    report = {"datetime": datetime.datetime.now(datetime.UTC).isoformat(), "machine_info": machine}
    noise()  # once, before threads ask for it
    measure_peak()  # compiles
    peak, measured, console = measure_peak(), [], Console(highlight=False)
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    for num_seeds in arguments.seeds:
        futures = {(name, num_seeds): pool.submit(prepare, (name, num_seeds)) for name in METHODS}
        # A program that compiles for longer than half of what is left is given up.
        done, _ = wait(futures.values(), timeout=max(0.0, (end - time.monotonic()) / 2))
        for case, future in futures.items():
            if future not in done or time.monotonic() > end:
                console.print(f"{case} not measured, the time is up")
                continue
            states, chunks, seconds = future.result()
            figures = measure(case, states, chunks, peak) | {"compile_seconds": seconds}
            measured.append({"extra_info": figures})
            arguments.file.write_text(json.dumps(report | {"benchmarks": measured}, indent=1))
            rate = figures["updates_per_second"]
            console.print(f"{case} compiled in {seconds:.1f} s, {rate:.1f} updates/s")
    sys.stdout.flush()
    os._exit(0 if measured else 1)  # without waiting for programs that still compile


if __name__ == "__main__":
    main()
