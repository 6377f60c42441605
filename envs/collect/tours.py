"""Tours through the mazes: a robot follows waypoints from goal to goal, with noise on its actions.

Rewards and terminations are those of an evaluation goal drawn for each episode. (D4RL drew one for
the whole file, while evaluation draws anew for each episode: a policy that learned to head exactly
for the one labelled spot then misses most evaluation goals.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from envs.collect import policy
from envs.collect.episode import Episode, record
from envs.collect.walker import torso_up, walker_observation
from envs.spaces import Array
from envs.tasks import Task
from envs.worlds.antmaze import ANT
from envs.worlds.maps import MAPS, Waypoints, cell_to_xy, find_cells, xy_to_cell
from envs.worlds.maze import draw_goal, draw_goal_noise, is_at
from envs.worlds.pointmaze import POINT
from envs.worlds.simulate import Simulator

ANT_NOISE = 0.2  # standard deviation on actions, D4RL's generate_ant_maze_datasets.py
# The ant's waypoints lie anywhere within ``ANT_SPREAD`` metres of a cell's centre in each
# direction, somewhere else every two seconds on average, and for ``LINGER_SHARE`` of the time in
# the ant's own cell. In D4RL it is up to 1 m, anew at every step (maze_env.py,
# create_navigation_policy), and the ant staggers besides; ours walks straight, and a policy that
# learned from a track a metre or two wide gets stuck at the first wall.
ANT_SPREAD = 1.5
CHANGE_PROBABILITY = 1 / 20
LINGER_SHARE = 0.25
STAY_STEPS = 50  # at the goal, before an episode ends
POINT_NOISE = 0.5  # standard deviation on actions
# These are a point's. A step is at most 0.8 m, so a leg is 16 m or four cells, where the way from
# start to goal is 24 m in umaze, 40 m in medium and 56 m in large.
LEG_STEPS = 20
POINT_STEPS = 100  # from one start: five legs
POINT_SPREAD = 1.5  # metres from a cell's centre, in each direction, of starts and waypoints
# Goals of the play datasets besides G, (row, column): D4RL's maze_env.py BIG_MAZE, HARDEST_MAZE.
PLAY_GOALS = {
    "medium": [(2, 6), (5, 1), (6, 5)],
    "large": [(1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6), (7, 9)],
}

Seeds = list[np.random.SeedSequence]
Step = tuple[Array, Array, Array, Array, Array]


def tour_with_ant(
    task: Task, walker: policy.Policy, seeds: Seeds, num_threads: int | None
) -> list[Episode]:
    """AntMaze: the walker goes to one goal by way of random waypoints and stays there for a while.

    In D4RL it stays until time is up. With this walker four rows in five would then be of an ant
    that stands, and nothing would be learned from those.
    """
    maze, lanes = task.environment, len(seeds)
    simulator = Simulator(ANT.load(maze), lanes, ANT.frame_skip, num_threads)
    waypoints = Waypoints(maze)
    generators = [np.random.default_rng(seed) for seed in seeds]
    goals, labels = np.zeros((lanes, 2)), np.zeros((lanes, 2))
    for lane, generator in enumerate(generators):
        start = _draw_start(task, generator)
        goals[lane] = _draw_stop(task, generator)
        labels[lane] = draw_goal(maze, generator)
        ANT.place(simulator, lane, start, generator)
    reached, flipped = np.zeros(lanes, bool), np.zeros(lanes, bool)
    offsets, lingers = np.zeros((lanes, 2)), np.zeros(lanes, bool)
    stayed = np.zeros(lanes, np.int64)
    limit = task.spec.max_episode_steps

    def step(observations: Array, noise: Array, active: Array) -> Step:
        del observations
        for lane in np.flatnonzero(active):
            generator = generators[lane]
            if generator.random() < CHANGE_PROBABILITY:
                offsets[lane] = generator.uniform(-ANT_SPREAD, ANT_SPREAD, 2)
                lingers[lane] = generator.random() < LINGER_SHARE
        xy = simulator.qpos[:, :2]
        targets = np.where(
            (lingers & ~reached)[:, None],
            cell_to_xy(xy_to_cell(xy)) + offsets,
            waypoints.target(xy, goals, offsets),
        )
        inputs = walker_observation(simulator.qpos, simulator.qvel, targets)
        actions = walker.noisy_mean(inputs, ANT_NOISE * noise)
        simulator.step(actions, active)
        xy = simulator.qpos[:, :2]
        np.logical_or(reached, is_at(goals, xy), out=reached)
        np.logical_or(flipped, torso_up(simulator.qpos) < 0.0, out=flipped)
        np.add(stayed, reached, out=stayed)
        at_label = is_at(labels, xy)
        rewards = at_label.astype(np.float64)
        return actions, simulator.states(), rewards, at_label, stayed > STAY_STEPS

    return [
        dataclasses.replace(
            episode, goal=labels[lane], reached=bool(reached[lane]), flipped=bool(flipped[lane])
        )
        for lane, episode in enumerate(record(simulator.states(), step, seeds, task.spec, limit))
    ]


def tour_with_point(task: Task, seeds: Seeds, num_threads: int | None) -> list[Episode]:
    """PointMaze: the ball wanders from cell to neighbouring cell, and its way is cut into legs.

    In ``umaze``, where start and goal are always the same, it goes straight to the goal.
    """
    maze, lanes = task.environment, len(seeds)
    simulator = Simulator(POINT.load(maze), lanes, POINT.frame_skip, num_threads)
    waypoints = Waypoints(maze)
    generators = [np.random.default_rng(seed) for seed in seeds]
    for lane, generator in enumerate(generators):
        POINT.place(simulator, lane, _draw_point_start(task, generator), generator)
    stop = lambda lane: _draw_point_stop(task, simulator.qpos[lane], generators[lane])
    goals = np.stack([stop(lane) for lane in range(lanes)])

    def step(observations: Array, noise: Array, active: Array) -> Step:
        del observations
        offsets = waypoints.target(simulator.qpos, goals, np.zeros(2)) - simulator.qpos
        lengths = np.linalg.norm(offsets, axis=1, keepdims=True)
        # Full force towards the waypoint, less within a metre of it.
        actions = np.clip(offsets / np.maximum(lengths, 1.0) + POINT_NOISE * noise, -1.0, 1.0)
        simulator.step(actions, active)
        arrived = active & is_at(goals, simulator.qpos)
        for lane in np.flatnonzero(arrived):
            goals[lane] = stop(lane)
        over = arrived & (task.data == "")
        return actions, simulator.states(), np.zeros(lanes), np.zeros(lanes, bool), over

    ways = record(simulator.states(), step, seeds, task.spec, POINT_STEPS)
    return [
        leg
        for way, generator in zip(ways, generators, strict=True)
        for leg in _cut_into_legs(way, maze, generator)
    ]


def _cut_into_legs(way: Episode, maze: str, generator: np.random.Generator) -> Iterator[Episode]:
    """Episodes of ``LEG_STEPS`` rows, the last of what is left, each with a goal of its own."""
    for first in range(0, len(way.rewards), LEG_STEPS):
        leg = way.rows(first, first + LEG_STEPS)
        goal = draw_goal(maze, generator)
        at_goal = is_at(goal, leg.observations[1:, :2])
        yield dataclasses.replace(
            leg,
            rewards=at_goal.astype(np.float32),
            terminations=at_goal,
            goal=goal,
            reached=bool(at_goal.any()),
        )


def _draw_point_start(task: Task, generator: np.random.Generator) -> Array:
    """The start of a ball, ``[2]`` metres: as the ant's, but in play data where ants go."""
    if task.data != "play":
        return _draw_start(task, generator)
    cells = np.concatenate([PLAY_GOALS[task.environment], find_cells(task.environment, "RG")])
    return cell_to_xy(generator.choice(cells)) + generator.uniform(-POINT_SPREAD, POINT_SPREAD, 2)


def _draw_point_stop(task: Task, xy: Array, generator: np.random.Generator) -> Array:
    """The next place of a ball at ``xy``, ``[2]`` metres: any of the neighbouring cells."""
    if task.data == "":
        return draw_goal(task.environment, generator)
    free = find_cells(task.environment, "0RG")
    near = free[np.abs(free - xy_to_cell(xy)).sum(axis=1) == 1]
    cell = generator.choice(near)
    if MAPS[task.environment][cell[0]][cell[1]] == "G":
        return draw_goal(task.environment, generator)
    return cell_to_xy(cell) + generator.uniform(-POINT_SPREAD, POINT_SPREAD, 2)


def _draw_start(task: Task, generator: np.random.Generator) -> Array:
    """The start of a tour, ``[2]`` metres: any cell but the evaluation's goal.

    D4RL leaves out the goals of its collection instead, and adds no noise to the place drawn.
    """
    if task.data == "":
        return np.zeros(2)
    cell = generator.choice(find_cells(task.environment, "0R"))
    return cell_to_xy(cell) + generator.uniform(0.0, 1.0, 2)


def _draw_stop(task: Task, generator: np.random.Generator) -> Array:
    """The end of a tour, ``[2]`` metres, as in D4RL."""
    maze = task.environment
    if task.data == "":
        return draw_goal(maze, generator)
    cells = find_cells(maze, "0RG")
    if task.data == "play":
        cells = np.concatenate([np.array(PLAY_GOALS[maze]), find_cells(maze, "G")])
    noise = draw_goal_noise(generator)
    return cell_to_xy(generator.choice(cells)) + noise
