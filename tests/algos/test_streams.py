"""The random numbers of a whole cell: nothing draws what something else draws as well."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.run import cell as cells
from bench.run import evaluate, train
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from bench.run.train import Program
from envs.tasks import get_task

NUM_SEEDS, NUM_EPISODES, NUM_STEPS = 3, 2, 8


class Spy:
    """Stands in for a cell's compiled parts, which learn nothing, and notes the keys they get.

    Attributes:
        init: keys ``[S]`` of the first states.
        sample: keys ``[steps, S]`` of batches, a list for each phase.
        update: the same of updates.
        reset: keys ``[S, E]`` of policies, for each evaluation.
        episodes: seeds ``[S * E]`` of episodes, for each evaluation.
    """

    def __init__(self, program, phases):
        self.init, self.reset, self.episodes = [], [], []
        self.sample, self.update = ([[] for _ in range(phases)] for _ in range(2))
        runs = [run._replace(learn=self._learn(i)) for i, run in enumerate(program.runs)]
        self.program = Program(
            algorithm=program.algorithm,
            init=self._init,
            runs=tuple(
                run._replace(sample=self._sample(i, run.sample)) for i, run in enumerate(runs)
            ),
            reset=self._reset,
            act=lambda states, carries, observations, rewards: (
                np.zeros((*observations.shape[:2], 3)),
                carries,
            ),
        )

    def _init(self, keys, statistics):
        del statistics
        self.init.append(data(keys))
        return jnp.zeros(NUM_SEEDS)

    def _sample(self, phase, sample):
        def noted(keys, view):
            if not isinstance(keys, jax.core.Tracer):  # not where only sizes are asked for
                self.sample[phase].append(data(keys))
            return sample(keys, view)

        return noted

    def _learn(self, phase):
        def noted(states, batches, keys, steps):
            del batches, steps
            self.update[phase].append(data(keys))
            return states, {"loss": jnp.zeros(NUM_SEEDS)}

        return noted

    def _reset(self, keys, goals):
        del goals
        self.reset.append(data(keys))
        return ()


def data(keys):
    """Keys as rows of numbers, ``[N, 2]``."""
    return np.asarray(jax.random.key_data(keys)).reshape(-1, 2)


@pytest.fixture
def spy(datasets, tmp_path, monkeypatch):
    """What a cell of one-step RL, which has three phases, drew from in two evaluations."""
    plan = lambda **options: plans.plan(
        get_task("hopper-medium"),
        "onestep",
        PROFILES["smoke"],
        "regenerated",
        num_seeds=NUM_SEEDS,
        num_episodes=NUM_EPISODES,
        num_evaluations=2,
        **options,
    )
    config = dataclasses.replace(
        plan().config, num_steps=NUM_STEPS, behaviour_steps=2, sarsa_steps=4
    )
    cell = plan(config=config)
    program = train.build("onestep", config, cell.world.spec)
    spy = Spy(program, phases=3)
    monkeypatch.setattr(cells, "build", lambda *_: spy.program)
    world = cell.world.make(1, 1)
    reset = type(world).reset

    def noted(self, seeds, lanes=None):
        spy.episodes.append(seeds.copy())
        return reset(self, seeds, lanes)

    monkeypatch.setattr(type(world), "reset", noted)
    cells.run(cell, tmp_path)
    return spy


def test_nothing_in_a_cell_draws_what_something_else_draws(spy):
    assert [len(np.concatenate(keys)) for keys in spy.sample] == [2 * 3, 4 * 3, 2 * 3]
    assert [len(keys) for keys in (*spy.init, *spy.reset)] == [3, 3 * 2, 3 * 2]
    parts = {"init": spy.init, "policies": spy.reset[:1]}
    for phase in range(3):
        parts |= {f"batches of phase {phase}": spy.sample[phase]}
        parts |= {f"updates of phase {phase}": spy.update[phase]}
    drawn = {name: set(map(tuple, np.concatenate(keys).tolist())) for name, keys in parts.items()}
    for name, keys in parts.items():  # each seed, step and episode its own
        assert len(drawn[name]) == len(np.concatenate(keys)), name
    assert len(set().union(*drawn.values())) == sum(map(len, drawn.values()))


def test_every_stream_of_a_cell_is_asked_for_once(datasets, tmp_path, monkeypatch, request):
    """Of keys that were split, the parts differ even where the wholes are one."""
    asked = []
    stream = train.stream

    def noted(seeds, purpose):
        asked.append((tuple(seeds), purpose))
        return stream(seeds, purpose)

    for module in (cells, evaluate):
        monkeypatch.setattr(module, "stream", noted)
    request.getfixturevalue("spy")
    seeds = tuple(range(NUM_SEEDS))
    # Three phases and two evaluations.
    expected = [train.INIT, train.EVAL, train.EVAL, *(train.TRAIN + i for i in range(3))]
    assert sorted(asked) == sorted((seeds, purpose) for purpose in expected)


def test_draws_are_those_of_every_cell_so_far(spy):
    """Another number here makes all results anew, and no committed cell can be had again."""
    seeds = evaluate.episode_seeds([0, 1], 2)
    assert seeds.tolist() == [[1835504127, 1731038949], [1189033389, 18114953]]
    # Of seeds 0 and 1 at their first step; of the first two episodes of seed 0.
    first = {
        "init": (spy.init[0], [[1797259609, 2579123966], [507451445, 1853169794]]),
        "sample": (spy.sample[0][0], [[3879954003, 4142096212], [350002334, 3866986286]]),
        "update": (spy.update[0][0], [[576043609, 327779266], [1511218304, 1480423399]]),
        "policies": (spy.reset[0], [[346279018, 360566543], [3968330031, 3923691647]]),
    }
    for name, (found, expected) in first.items():
        assert found[:2].tolist() == expected, name


def test_evaluations_of_a_cell_play_the_same_episodes_with_the_same_draws(spy):
    for found in (spy.reset, spy.episodes):
        assert len(found) == 2
        np.testing.assert_array_equal(*found)
    assert len(np.unique(spy.episodes[0])) == NUM_SEEDS * NUM_EPISODES
