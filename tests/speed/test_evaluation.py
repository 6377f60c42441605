"""Steps per second of a cell's evaluation beside those of one gymnasium environment in a loop.

Both play the same policies, and steps count only where an episode was still running. A policy at
its first parameters plays to the time limit where none can fall, in halfcheetah and the maze. A
hopper or walker would fall within a hundred steps, which no evaluation worth its time looks like:
there BC gets the parameters of the expert behaviour policy, as if it had cloned it.

``physics_share`` is how much of the evaluation is spent in MuJoCo: divided by it, the ratio is what
physics alone would allow.
"""

import dataclasses
import statistics
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import core
from algos.settings import resolve
from algos.views import Statistics
from bench.run.evaluate import episode_seeds, evaluate
from bench.run.profiles import get_profile
from bench.run.train import INIT, Program, build, stream
from envs.collect import policy
from envs.spaces import Array
from envs.tasks import Task, get_task
from envs.worlds.simulate import Simulator

pytestmark = pytest.mark.speed

SEEDS, NUM_EPISODES = (0, 1, 2), 5
TASKS = ("hopper-medium", "halfcheetah-medium", "walker2d-medium", "antmaze-umaze")
SHORT = ("halfcheetah-medium",)
FALLS = ("hopper", "walker2d")


def pytest_generate_tests(metafunc):
    short = metafunc.config.getoption("--short", False)
    metafunc.parametrize("name", SHORT if short else TASKS)


def policies(task: Task) -> tuple[Program, core.State]:
    """A program of BC and states ``[S, ...]``, at first parameters or at the expert's."""
    config = resolve("bc", task.family, get_profile("quick").sizes[task.family]).config
    if task.environment not in FALLS:
        program = build("bc", config, task.spec)
        zeros = jnp.zeros(task.spec.observation_dim)
        return program, program.init(stream(SEEDS, INIT), Statistics(zeros, zeros + 1.0))
    expert = policy.load(f"{task.environment}-expert")
    hidden_dims = tuple(len(bias) for bias in expert.biases[:-1])
    program = build("bc", dataclasses.replace(config, hidden_dims=hidden_dims), task.spec)
    states = program.init(stream(SEEDS, INIT), Statistics(expert.mean, expert.std))
    means = slice(task.spec.action_dim)  # beside them the last layer gives deviations
    kernels = (*expert.kernels[:-1], expert.kernels[-1][:, means])
    biases = (*expert.biases[:-1], expert.biases[-1][means])
    # A dense layer's leaves come in the order of their names, bias before kernel.
    cloned = [leaf for layer in zip(biases, kernels, strict=True) for leaf in layer]
    replaced, structure = jax.tree.flatten(states.method.params)
    assert [leaf.shape[1:] for leaf in replaced] == [leaf.shape for leaf in cloned]
    stacked = [jnp.broadcast_to(leaf, (len(SEEDS), *leaf.shape)) for leaf in cloned]
    params = jax.tree.unflatten(structure, stacked)
    return program, states.replace(method=states.method.replace(params=params))


def gymnasium_seconds(
    act: core.Act, state: core.State, environment: gymnasium.Env, seeds: Array, num_steps: int
) -> float:
    """Seconds for ``num_steps`` steps of one seed's policy in whole episodes, one by one.

    Longer than what ``seeds`` give, it starts over with them; the last episode is cut.
    """
    done, observation, reward, episode = True, None, 0.0, 0
    start = time.perf_counter()
    for _ in range(num_steps):
        if done:
            observation, _ = environment.reset(seed=int(seeds[episode % len(seeds)]))
            reward, episode = 0.0, episode + 1
        action, _ = act(state, (), observation.astype(np.float32), np.float32(reward))
        observation, reward, terminated, truncated, _ = environment.step(np.asarray(action))
        done = terminated or truncated
    return time.perf_counter() - start


def test_evaluation(benchmark, monkeypatch, name, short):
    task = get_task(name)
    program, states = policies(task)
    lanes = task.make_environment(len(SEEDS) * NUM_EPISODES)
    single = gymnasium.make(task.gymnasium_id)
    act, first = jax.jit(program.algorithm.act), jax.tree.map(lambda leaf: leaf[0], states)
    seeds = episode_seeds(SEEDS, NUM_EPISODES)[0]

    step, in_physics = Simulator.step, []

    def timed_step(simulator, actions, active):
        start = time.perf_counter()
        step(simulator, actions, active)
        in_physics.append(time.perf_counter() - start)

    monkeypatch.setattr(Simulator, "step", timed_step)

    def play():
        in_physics.clear()
        start = time.perf_counter()
        returns, lengths = evaluate(program, states, lanes, SEEDS, NUM_EPISODES)
        seconds = time.perf_counter() - start
        batched.append(lengths.sum() / seconds)
        shares.append(sum(in_physics) / seconds)
        assert np.isfinite(returns).all()
        steps.append(int(lengths.sum()))

    def play_single():
        looped.append(steps[-1] / gymnasium_seconds(act, first, single, seeds, steps[-1]))

    batched, looped, shares, steps = [], [], [], []
    play()  # compiles
    gymnasium_seconds(act, first, single, seeds, 10)
    batched.clear()
    shares.clear()
    # By turns, so that what else the machine does falls on both alike.
    benchmark.pedantic(play, setup=play_single, rounds=2 if short else 5)
    single.close()

    assert len(batched) == len(looped) > 0
    assert steps[-1] > 0.5 * len(SEEDS) * NUM_EPISODES * task.spec.max_episode_steps
    figures = {
        "steps_per_second": statistics.median(batched),
        "gymnasium_steps_per_second": statistics.median(looped),
    }
    benchmark.extra_info |= figures | {
        "kind": "evaluation",
        "task": name,
        "ratio": figures["steps_per_second"] / figures["gymnasium_steps_per_second"],
        "physics_share": statistics.median(shares),
        "steps": steps[-1],
        "mean_episode_steps": steps[-1] / (len(SEEDS) * NUM_EPISODES),
        "rounds": len(batched),
    }
