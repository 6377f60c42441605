"""Gymnasium-Robotics' AntMaze (``-v4``), in which Minari's antmaze data were collected.

Not D4RL's: gymnasium's ant as it is (gear 150, 0.01 s time step, 5 steps per action, 20 Hz), the
origin in the middle of the maze with y growing upwards, a start U(-1, 1) m around the centre of the
start cell without noise on joints or velocities, a goal U(-1, 1) m around the centre of the goal
cell, reward 1 within 0.45 m of it. Time limits are D4RL's numbers of steps, thus half its seconds.

Choices, where the data leave one: an episode ends at the goal, ``continuing_task=False``; the start
and the goal are D4RL's R and G cells, as in the data of umaze and in the stored evaluation
environments of medium and large. That of umaze is not used: its maze is the mirror image of the one
in the data. The goal is shown to the policy only on demand.

Stepped side by side from the same states with the same actions, the states were those of
gymnasium_robotics 1.4.2 bit for bit; tests/envs/test_minari.py holds on to one of them.

Source: gymnasium_robotics 1.4.2, ``envs/maze/{ant_maze_v4,maze_v4}.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path

import gymnasium
import mujoco
import numpy as np

from envs.environment import EnvSpec
from envs.spaces import Array, Box
from envs.worlds.antmaze import ANT
from envs.worlds.maps import CELL_SIZE, MAPS, find_cells
from envs.worlds.maze import add_walls
from envs.worlds.simulate import Simulator, view_from_above

GOAL_RADIUS = 0.45  # metres
_NOISE = 1.0  # metres, half the width of starts and goals: 0.25 of a cell


def cell_to_xy(maze: str, cells: Array) -> Array:
    """Centres in metres ``[..., 2]`` (x, y) of ``cells`` ``[..., 2]`` (row, column) of ``maze``."""
    rows, columns = len(MAPS[maze]), len(MAPS[maze][0])
    row, column = np.moveaxis(np.asarray(cells), -1, 0)
    x = (column + 0.5 - columns / 2) * CELL_SIZE
    return np.stack([x, (rows / 2 - row - 0.5) * CELL_SIZE], axis=-1)


class RoboticsAntMaze:
    """N ants in one maze in lock step; an ``envs.environment.Environment``.

    An observation is ``achieved_goal`` (x, y) before ``observation`` (27), which is 15 positions
    and 14 velocities as in D4RL; then, if shown, ``desired_goal`` (2).
    """

    def __init__(
        self, maze: str, num_envs: int, num_threads: int | None = None, *, show_goal: bool = False
    ) -> None:
        """Build ``num_envs`` lanes of ``maze``, a key of ``envs.worlds.maze.MAPS``."""
        model = load_ant(maze)
        self._simulator = Simulator(model, num_envs, 5, num_threads)
        self._maze, self._show_goal = maze, show_goal
        self._goals = np.zeros((num_envs, 2))
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation=Box((model.nq + model.nv + (2 if show_goal else 0),)),
            action=Box((model.nu,), limit=1.0),
            max_episode_steps=ANT.max_episode_steps[maze],
            goal=Box((2,)),
        )

    @property
    def goals(self) -> Array:
        """``[N, 2]`` goal of each lane's episode, x and y in metres."""
        return self._goals

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes: the goal first, then the start, both from the lane's seed."""
        start, goal = (cell_to_xy(self._maze, find_cells(self._maze, mark)[0]) for mark in "RG")
        model = self._simulator.model
        for lane, seed in self._simulator.pair_lanes(lanes, seeds):
            generator = np.random.default_rng(seed)
            self._goals[lane] = goal + generator.uniform(-_NOISE, _NOISE, 2)
            qpos = model.qpos0.copy()
            qpos[:2] = start + generator.uniform(-_NOISE, _NOISE, 2)
            self._simulator.reset(lane, qpos, np.zeros(model.nv))
        return self._observations()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.environment.Environment``."""
        self._simulator.step(actions, active)
        distances = np.linalg.norm(self._simulator.qpos[:, :2] - self._goals, axis=1)
        at_goal = active & (distances <= GOAL_RADIUS)
        return self._observations(), at_goal.astype(np.float64), at_goal

    def restorable(self, observations: Array) -> Array:
        """``[K]`` all; see ``envs.environment.Replayable``."""
        return np.ones(len(observations), bool)

    def restore(self, observations: Array) -> Array:
        """See ``envs.environment.Replayable``; goals are restored where they are shown."""
        self._simulator.restore(observations)
        if self._show_goal:
            self._goals[:] = observations[:, -2:]
        return self._observations()

    @property
    def time_step(self) -> float:
        """Seconds of simulated time in one step."""
        return self._simulator.time_step

    def render(self, lane: int) -> Array:
        """The maze from above; see ``envs.environment.Filmable``."""
        return self._simulator.render(lane, view_from_above(self._simulator.model))

    def close(self) -> None:
        """End the simulator's threads; see ``envs.environment.Environment``."""
        self._simulator.close()

    def _observations(self) -> Array:
        shown = [self._goals] if self._show_goal else []
        return np.concatenate([self._simulator.qpos, self._simulator.qvel, *shown], axis=1)


@functools.cache
def load_ant(maze: str) -> mujoco.MjModel:
    """Gymnasium's ant in ``maze``."""
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
    spec = mujoco.MjSpec.from_file(str(path))
    add_walls(spec, cell_to_xy(maze, find_cells(maze, "1")))
    return spec.compile()
