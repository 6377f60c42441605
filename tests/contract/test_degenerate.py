"""Data at the edge of what can be learned from: a method trains on them or says why it cannot."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from algos.registry import ALGORITHMS
from algos.settings import Size, resolve
from algos.views import statistics
from bench.run import cell as cells
from bench.run.train import INIT, TRAIN, build, stream
from envs import toy
from envs.errors import Fault
from envs.spaces import Box


def episodes(lengths, rewards=0.0, terminated=False, same=False):
    """Episodes of these lengths; ``same`` repeats one observation and action."""
    generator = np.random.default_rng(0)
    made = []
    for number, length in enumerate(lengths):
        observations = generator.standard_normal((length + 1, 3))
        actions = generator.uniform(-1.0, 1.0, (length, 2))
        if same:
            observations, actions = np.ones_like(observations), np.ones_like(actions)
        paid = np.full(length, rewards * (number + 1))
        made.append(toy._episode(observations, actions, paid, terminated))
    return toy._join(made)


DATA = {
    "one row": episodes([1]),
    "one row that terminated": episodes([1], 1.0, terminated=True),
    "one episode": episodes([3], 1.0),
    "steps that time cut": episodes([1] * 5, 1.0),
    "steps that terminated": episodes([1] * 5, 1.0, terminated=True),
    "equal returns": episodes([3, 3]),
    "nothing varies": episodes([4, 4], same=True),
    "large rewards": episodes([4, 4], 1e6),
}
NO_NEXT_ACTION = {"one row", "steps that time cut"}


def make(name, data):
    config = resolve(name, "own", Size(8, 4, (8, 8))).config
    dataset, spec = DATA[data]
    spec = dataclasses.replace(spec, max_episode_steps=4, goal=Box((2,)))
    return build(name, config, spec), dataset


def refusal(name, data):
    """The line with which a cell of the method refuses the data; empty if it takes them."""
    program, dataset = make(name, data)
    try:
        cells._require_rows(
            SimpleNamespace(title=f"tiny/{name}"), program.algorithm.phases, dataset
        )
    except Fault as fault:
        return str(fault)
    return ""


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_method_that_finds_no_rows_says_so_before_it_trains(name):
    refused = {data: line for data in DATA if (line := refusal(name, data))}
    assert set(refused) == (NO_NEXT_ACTION if name.startswith("onestep") else set())
    for line in refused.values():
        assert line.startswith(f"tiny/{name} has no rows to learn from in phase 2 of ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_method_trains_on_the_little_that_it_takes(name):
    for data in DATA:
        if refusal(name, data):
            continue
        program, dataset = make(name, data)
        states = program.init(stream([0], INIT), statistics(dataset))
        for index, phase in enumerate(program.algorithm.phases):
            view = jax.device_put(phase.view(dataset))
            keys = stream([0], TRAIN + index)
            states, metrics = program.runs[index](states, keys, view, 0, phase.num_steps)
            for metric, value in metrics.items():
                assert np.isfinite(value).all(), (data, metric)
        leaves = [leaf for leaf in jax.tree.leaves(states) if leaf.dtype.kind == "f"]
        assert all(np.isfinite(leaf).all() for leaf in leaves), data
