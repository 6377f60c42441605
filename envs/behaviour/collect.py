"""Collection of the regenerated datasets: behaviour policies in lock step, block by block.

Every block of episodes is a function of the recipe and its index alone, so that a collection that
was killed goes on where it was cut, and the number of threads changes nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from envs.antmaze import (
    GOAL_RADIUS,
    cell_to_xy,
    draw_goal,
    find_cells,
    load_ant,
    reset_ant,
)
from envs.behaviour import policy
from envs.behaviour.recipes import SEED, Recipe
from envs.behaviour.walker import Waypoints, torso_up, walker_observation
from envs.simulate import Simulator
from envs.types import Array, EnvSpec

MAX_LANES = 50  # part of the recipe: rows of one matrix product share their rounding
ANT_NOISE = 0.2  # standard deviation on actions, D4RL's generate_ant_maze_datasets.py
# Goals of the play datasets besides G, (row, column): D4RL's maze_env.py BIG_MAZE, HARDEST_MAZE.
PLAY_GOALS = {
    "medium": [(2, 6), (5, 1), (6, 5)],
    "large": [(1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6), (7, 9)],
}


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode as it is stored.

    Attributes:
        observations: ``[T + 1, O]`` float32.
        actions: ``[T, A]`` float32.
        rewards: ``[T]`` float32.
        terminations: ``[T]`` bool; the last row only, except in antmaze (see ``Dataset``).
        truncations: ``[T]`` bool; the last row of an episode that time cut off.
        goal: ``[G]`` the goal that rewards are relabelled against, G = 0 where there is none.
        reached: whether the ant came to its own goal; true in locomotion.
        flipped: whether the ant ever lay upside down; false in locomotion.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminations: Array
    truncations: Array
    goal: Array
    reached: bool = True
    flipped: bool = False

    def cut(self, num_rows: int) -> Episode:
        """The first ``num_rows`` rows; the last is truncated if any are left out."""
        if num_rows == len(self.rewards):
            return self
        truncations = self.truncations[:num_rows].copy()
        truncations[-1] = True
        return dataclasses.replace(
            self,
            observations=self.observations[: num_rows + 1],
            actions=self.actions[:num_rows],
            rewards=self.rewards[:num_rows],
            terminations=self.terminations[:num_rows],
            truncations=truncations,
        )


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
    name, rows = recipe.parts[part]
    lanes = num_lanes(rows, recipe.task.spec.max_episode_steps)
    seeds = block_seeds(recipe, part, block, lanes)
    behave = _behave_in_maze if recipe.task.family == "antmaze" else _behave
    return behave(recipe, policy.load(name), seeds, num_threads)


def _behave(
    recipe: Recipe,
    actor: policy.Policy,
    seeds: list[np.random.SeedSequence],
    num_threads: int | None,
) -> list[Episode]:
    """Locomotion: actions sampled from SAC's own distribution."""
    environment = recipe.task.make_environment(len(seeds), num_threads)
    first = environment.reset(np.array([int(seed.generate_state(1)[0]) for seed in seeds]))

    def step(
        observations: Array, noise: Array, active: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        actions = actor.squashed_gaussian(observations, noise)
        observations, rewards, terminations = environment.step(actions, active)
        return actions, observations, rewards, terminations, terminations

    episodes = _record(first, step, seeds, environment.spec)
    return list(episodes)


def _behave_in_maze(
    recipe: Recipe,
    actor: policy.Policy,
    seeds: list[np.random.SeedSequence],
    num_threads: int | None,
) -> list[Episode]:
    """AntMaze: the walker follows waypoints, with noise, and stays at its goal until time is up.

    Rewards and terminations are those of an evaluation goal drawn for each episode. (D4RL drew one
    for the whole file, while evaluation draws anew for each episode: a policy that learned to head
    exactly for the one labelled spot then misses most evaluation goals.)
    """
    task, lanes = recipe.task, len(seeds)
    simulator = Simulator(load_ant(task.environment), lanes, 5, num_threads)
    waypoints = Waypoints(task.environment)
    goals, labels = np.zeros((lanes, 2)), np.zeros((lanes, 2))
    for lane, seed in enumerate(seeds):
        generator = np.random.default_rng(seed)
        start, goals[lane] = _draw_tour(task.environment, task.data, generator)
        labels[lane] = draw_goal(task.environment, generator)
        reset_ant(simulator, lane, start, generator)
    reached, flipped = np.zeros(lanes, bool), np.zeros(lanes, bool)
    observe = lambda: np.concatenate([simulator.qpos, simulator.qvel], axis=1)

    def step(
        observations: Array, noise: Array, active: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        del observations
        targets = waypoints.target(simulator.qpos[:, :2], goals)
        inputs = walker_observation(simulator.qpos, simulator.qvel, targets)
        actions = actor.noisy_mean(inputs, ANT_NOISE * noise)
        simulator.step(actions, active)
        xy = simulator.qpos[:, :2]
        np.logical_or(reached, np.linalg.norm(xy - goals, axis=1) <= GOAL_RADIUS, out=reached)
        np.logical_or(flipped, torso_up(simulator.qpos) < 0.0, out=flipped)
        at_label = np.linalg.norm(xy - labels, axis=1) <= GOAL_RADIUS
        return actions, observe(), at_label.astype(np.float64), at_label, np.zeros(lanes, bool)

    return [
        dataclasses.replace(
            episode, goal=labels[lane], reached=bool(reached[lane]), flipped=bool(flipped[lane])
        )
        for lane, episode in enumerate(_record(observe(), step, seeds, task.spec))
    ]


def _draw_tour(maze: str, data: str, generator: np.random.Generator) -> tuple[Array, Array]:
    """Where an episode starts and where the walker goes, ``[2]`` metres each, as in D4RL."""
    free = find_cells(maze, "0R")
    if data == "":
        return np.zeros(2), draw_goal(maze, generator)
    start = cell_to_xy(generator.choice(free)) + generator.uniform(0.0, 1.0, 2)
    goals = find_cells(maze, "0RG")
    if data == "play":
        goals = np.concatenate([np.array(PLAY_GOALS[maze]), find_cells(maze, "G")])
    noise = generator.uniform(0.0, 1.0, 2) + generator.uniform(0.0, 0.5, 2)
    return start, cell_to_xy(generator.choice(goals)) + noise


def _record(
    observations: Array,
    step: Callable[[Array, Array, Array], tuple[Array, Array, Array, Array, Array]],
    seeds: list[np.random.SeedSequence],
    spec: EnvSpec,
) -> Iterator[Episode]:
    """Run all lanes to their ends and cut the record into episodes, lane by lane.

    Args:
        observations: ``[L, O]`` after the reset.
        step: (observations, noise ``[L, A]``, active ``[L]``) -> (actions, observations, rewards,
            terminations, ends).
        seeds: one per lane; each lane's noise is drawn from its own.
        spec: sizes and the time limit.
    """
    lanes, limit = len(seeds), spec.max_episode_steps
    noise = np.stack(
        [
            np.random.default_rng(seed.spawn(1)[0]).standard_normal(
                (limit, spec.action_dim), np.float32
            )
            for seed in seeds
        ],
        axis=1,
    )
    record: dict[str, Any] = {
        "observations": np.zeros((limit + 1, lanes, spec.observation_dim), np.float32),
        "actions": np.zeros((limit, lanes, spec.action_dim), np.float32),
        "rewards": np.zeros((limit, lanes), np.float32),
        "terminations": np.zeros((limit, lanes), bool),
    }
    record["observations"][0] = observations
    lengths, active = np.zeros(lanes, np.int64), np.ones(lanes, bool)
    ended = np.zeros(lanes, bool)
    for t in range(limit):
        actions, observations, rewards, terminations, ends = step(observations, noise[t], active)
        record["observations"][t + 1] = observations
        record["actions"][t] = actions
        record["rewards"][t] = rewards
        record["terminations"][t] = terminations
        lengths += active
        ended |= active & ends
        active &= ~ends
        if not active.any():
            break
    for lane, length in enumerate(lengths.tolist()):
        truncations = np.zeros(length, bool)
        truncations[-1] = not ended[lane]
        yield Episode(
            observations=record["observations"][: length + 1, lane],
            actions=record["actions"][:length, lane],
            rewards=record["rewards"][:length, lane],
            terminations=record["terminations"][:length, lane],
            truncations=truncations,
            goal=np.zeros(0),
        )
