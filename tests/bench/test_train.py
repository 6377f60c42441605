"""Seeds, chunks and the programs that cells share."""

import dataclasses
import os
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import core
from algos.registry import TABLE1
from algos.settings import Size, resolve
from algos.views import statistics
from bench.run import placement, train
from bench.run.placement import chunk_steps
from bench.run.train import EVAL, INIT, TRAIN, build, stream
from envs.dataset import Dataset


@pytest.fixture(params=sorted(TABLE1))
def program_and_views(request, toy):
    dataset, spec = toy
    config = resolve(request.param, "own", Size(8, 8, (16, 16))).config
    program = build(request.param, config, spec)
    views = [jax.device_put(phase.view(dataset)) for phase in program.algorithm.phases]
    return program, views, dataset


def learn(program, views, dataset, seeds, chunks):
    """The states and last metrics after ``chunks`` in every phase."""
    states = program.init(stream(seeds, INIT), statistics(dataset))
    for number, (run, view) in enumerate(zip(program.runs, views, strict=True)):
        keys, step = stream(seeds, TRAIN + number), 0
        for chunk in chunks:
            states, metrics = run(states, keys, view, step, chunk)
            step += chunk
    return states, metrics


def test_a_vmapped_seed_equals_the_same_seed_alone(program_and_views):
    together, _ = learn(*program_and_views, [0, 1, 2], [8])
    alone, _ = learn(*program_and_views, [1], [8])
    chex.assert_trees_all_close(
        jax.tree.map(lambda x: x[1], together),
        jax.tree.map(lambda x: x[0], alone),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "expected"), [("iql", [[9], [2], [1]]), ("onestep", [[9, 9, 9], [5, 5, 1], [1, 1, 1]])]
)
def test_seeds_by_turns_equal_seeds_side_by_side(monkeypatch, toy, name, expected):
    dataset, spec = toy
    config = resolve(name, "own", Size(9, 8, (16, 16))).config
    decide, decided, found = placement.seeds_side_by_side, [], []

    def noted(*arguments):
        decided[-1].append(min(9, decide(*arguments)))
        return decided[-1][-1]

    monkeypatch.setattr(placement, "seeds_side_by_side", noted)
    for limit in (1e9, 5 * 1024, 1):
        monkeypatch.setattr(placement, "_SIDE_BY_SIDE_BYTES", limit)
        program = build.__wrapped__(name, config, spec)  # not one that was compiled before
        views = [jax.device_put(phase.view(dataset)) for phase in program.algorithm.phases]
        decided.append([])
        found.append(learn(program, views, dataset, [0, 1, 2, 3, 4], [3]))

    assert decided == expected
    for by_turns in found[1:]:
        chex.assert_trees_all_close(by_turns, found[0], rtol=1e-4, atol=1e-5)


def test_seeds_differ(program_and_views):
    states, _ = learn(*program_and_views, [0, 1], [8])
    kernels = [x for x in jax.tree.leaves(states) if x.ndim == 3]
    assert kernels
    assert all(np.any(x[0] != x[1]) for x in kernels)


def test_chunks_change_no_bit(program_and_views):
    whole, _ = learn(*program_and_views, [0, 1], [8])
    halves, _ = learn(*program_and_views, [0, 1], [4, 4])
    chex.assert_trees_all_equal(whole, halves)


def test_a_phase_compiles_once_for_all_its_chunks(program_and_views):
    runs = program_and_views[0].runs
    learn(*program_and_views, [0, 1], [4, 4])
    sizes = [run.learn._cache_size() for run in runs]
    learn(*program_and_views, [0, 1], [4, 4, 4])
    assert [run.learn._cache_size() for run in runs] == sizes


def test_batches_of_datasets_of_all_sizes_look_alike(program_and_views):
    program, views, dataset = program_and_views
    arrays = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
    ends, final = (arrays.pop(name)[:-1] for name in ("episode_ends", "final_observations"))
    rows = {name: array[: ends[-1] + 1] for name, array in arrays.items()}
    shorter = Dataset(**rows, episode_ends=ends, final_observations=final)
    for phase, run, view in zip(program.algorithm.phases, program.runs, views, strict=True):
        batches = [
            jax.eval_shape(run.sample, stream([0, 1], TRAIN)[None], either)
            for either in (view, phase.view(shorter))
        ]
        assert batches[0] == batches[1]


def test_blocks_change_no_batch(program_and_views):
    program, views, _ = program_and_views
    keys = stream([0, 1], TRAIN)
    for run, view in zip(program.runs, views, strict=True):
        whole = run.draw(keys, view, 0, 4)
        halves = [run.draw(keys, view, first, 2) for first in (0, 2)]
        joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), *halves)
        chex.assert_trees_all_equal(whole, joined)


def test_a_run_learns_in_blocks_that_hold_few_bytes(monkeypatch, toy):
    config = resolve("bc", "own", Size(8, 8, (16,))).config
    program, keys = build("bc", config, toy[1]), stream([0, 1], TRAIN)
    view = jax.device_put(program.algorithm.phases[0].view(toy[0]))
    learn, lengths = program.runs[0].learn, []
    watched = lambda *inputs: lengths.append(len(inputs[-1])) or learn(*inputs)
    states = program.init(stream([0, 1], INIT), statistics(toy[0]))
    monkeypatch.setattr(
        train, "_BATCHES_BYTES", 4 * 2 * 8 * 4 * (toy[1].observation_dim + toy[1].action_dim)
    )
    program.runs[0]._replace(learn=watched)(states, keys, view, 0, 8)
    assert lengths == [4, 4]


def test_metrics_are_means_over_the_chunk_for_each_seed(program_and_views):
    _, metrics = learn(*program_and_views, [0, 1, 2], [4])
    assert metrics
    assert all(value.shape == (3,) for value in metrics.values())


def test_metrics_are_means_of_all_steps_whatever_the_blocks(monkeypatch):
    # The metric at step t of the seed whose state is s is t + s.
    phase = core.Phase(
        num_steps=8,
        view=lambda dataset: dataset,
        sample=lambda key, view: view,
        update=lambda state, batch, key, step: (state, {"t": step + state}),
    )
    run, keys, view = train._make_run(phase), stream([0, 1], TRAIN), jnp.zeros(4)
    for limit in (1 << 20, 2 * 16 * 2):  # all eight steps at once, then two by two
        monkeypatch.setattr(train, "_BATCHES_BYTES", limit)
        assert run.block_steps(keys, view, 8) == (8 if limit > 1000 else 2)
        _, metrics = run(jnp.array([0.0, 100.0]), keys, view, 4, 8)
        # Steps 4 to 11.
        np.testing.assert_allclose(metrics["t"], [7.5, 107.5])


def test_streams_of_different_purposes_and_seeds_share_no_key():
    data = [jax.random.key_data(stream([0, 1, 2], purpose)) for purpose in (INIT, EVAL, TRAIN)]
    rows = np.concatenate(data)
    assert len(np.unique(rows, axis=0)) == 9


@pytest.mark.parametrize(
    ("interval", "expected"), [(10_000, 1000), (1500, 750), (200, 200), (1009, 1009), (997, 997)]
)
def test_chunks_divide_the_interval(interval, expected):
    assert chunk_steps(interval) == expected


def test_equal_settings_share_one_program(toy):
    config = resolve("bc", "own", Size(8, 8, (16,))).config
    assert build("bc", config, toy[1]) is build("bc", dataclasses.replace(config), toy[1])


SHARDED = """
import functools
import jax, numpy as np
from algos.settings import Size, resolve
from algos.views import statistics
from bench.run.placement import replicated_sharding
from bench.run.train import INIT, TRAIN, build, stream
from envs import toy

dataset, spec = toy.random_episodes()
every_device, seeds = jax.local_devices(), range(4)
assert len(every_device) == 4
results = []
for count in (1, 2, 4):
    jax.local_devices = lambda: every_device[:count]
    config = resolve("td3_bc", "own", Size(8, 8, (16, 16))).config
    program = build("td3_bc", config, spec)
    states = program.init(stream(seeds, INIT), statistics(dataset))
    view = program.algorithm.phases[0].view(dataset)
    view = jax.device_put(view, replicated_sharding(len(seeds)))
    states, _ = program.runs[0](states, stream(seeds, TRAIN), view, 0, 8)
    assert all(len(leaf.sharding.device_set) == count for leaf in jax.tree.leaves(states))
    results.append(jax.device_get(states))
for result in results[1:]:
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, results[0], result)
"""


def test_seeds_split_over_devices_give_the_same_numbers_but_for_rounding():
    flags = dict(os.environ, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    subprocess.run([sys.executable, "-c", SHARDED], check=True, env=flags)
