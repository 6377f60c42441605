"""Collection of the regenerated datasets: behaviour policies in lock step, block by block.

Every block of episodes is a function of the recipe and its index alone, so that a collection that
was killed goes on where it was cut, and the number of threads changes nothing.
"""

from __future__ import annotations

import math

import numpy as np

from envs.collect import policy
from envs.collect.episode import Episode, record
from envs.recipes import SEED, Recipe
from envs.spaces import Array
from envs.tasks import Task

MAX_LANES = 50  # part of the recipe: rows of one matrix product share their rounding


def num_lanes(num_rows: int, max_episode_steps: int) -> int:
    """Episodes per block: as few as a small dataset can use, at most ``MAX_LANES``."""
    return min(MAX_LANES, math.ceil(num_rows / max_episode_steps))


def block_seeds(recipe: Recipe, part: int, block: int, lanes: int) -> list[np.random.SeedSequence]:
    """The seed of each episode of one block."""
    name = list(recipe.task.name.encode())
    return np.random.SeedSequence([SEED, *name, part, block]).spawn(lanes)


def collect_block(
    recipe: Recipe, part: int, block: int, num_threads: int | None = None
) -> list[Episode]:
    """One block of whole episodes of one part of the recipe."""
    actor, rows = recipe.parts[part]
    lanes = num_lanes(rows, recipe.task.spec.max_episode_steps)
    seeds = block_seeds(recipe, part, block, lanes)
    return list(recipe.collection.collect(recipe.task, actor, seeds, num_threads))


def behave(
    task: Task,
    actor: policy.Policy,
    seeds: list[np.random.SeedSequence],
    num_threads: int | None,
) -> list[Episode]:
    """Actions sampled from the distribution of an actor that SAC trained, one episode a lane."""
    environment = task.make_environment(len(seeds), num_threads)
    spec = environment.spec
    first = environment.reset(np.array([int(seed.generate_state(1)[0]) for seed in seeds]))

    def step(
        observations: Array, noise: Array, active: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        actions = actor.squashed_gaussian(observations, noise)
        observations, rewards, terminations = environment.step(actions, active)
        return actions, observations, rewards, terminations, terminations

    return list(record(first, step, seeds, spec, spec.max_episode_steps))
