"""D4RL's AntMaze (the ``-v2`` tasks) on modern MuJoCo: the ant in ``envs.worlds.maze``.

D4RL's rules, all of them: ant with gear 30 on controls in [-1, 1], 0.02 s time step, 5 steps per
action (10 Hz); flat observation of 15 joint positions (x and y first) and 14 velocities, goal not
shown; start at the origin with +-0.1 on every position and 0.1 standard deviations on every
velocity; falling over does not end an episode; 700 steps in umaze, 1,000 elsewhere.

Source: Farama-Foundation/D4RL@89141a6, ``d4rl/locomotion/ant.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path

import gymnasium
import mujoco
import numpy as np

from envs.spaces import Array
from envs.worlds.maps import MAPS, cell_to_xy, find_cells
from envs.worlds.maze import Maze, MazeEnv, Robot, add_walls
from envs.worlds.simulate import Simulator


class AntMaze(Maze):
    """N ants in one maze in lock step; an ``envs.environment.Environment``."""

    def __init__(self, maze: str, num_envs: int, num_threads: int | None = None) -> None:
        """Build ``num_envs`` lanes of ``maze``, a key of ``envs.worlds.maze.MAPS``."""
        super().__init__(ANT, maze, num_envs, num_threads)


class AntMazeEnv(MazeEnv):
    """One AntMaze episode at a time, for gymnasium."""

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(self, maze: str) -> None:
        """Build ``maze``, a key of ``envs.worlds.maze.MAPS``."""
        super().__init__(AntMaze(maze, num_envs=1, num_threads=1))


def reset_ant(simulator: Simulator, lane: int, xy: Array, generator: np.random.Generator) -> None:
    """Stand one ant at ``xy`` ``[2]`` metres with D4RL's reset noise on every joint."""
    qpos = simulator.model.qpos0 + generator.uniform(-0.1, 0.1, simulator.model.nq)
    qpos[:2] += xy
    simulator.reset(lane, qpos, 0.1 * generator.standard_normal(simulator.model.nv))


@functools.cache
def load_ant(maze: str | None) -> mujoco.MjModel:
    """D4RL's ant in ``maze``, or on open ground if None.

    gymnasium's ant differs from D4RL's by the time step, the gear and the contact impedance
    (``solimp``, on walls too); with these set, every dynamics field of the compiled model agrees.
    """
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
    spec = mujoco.MjSpec.from_file(str(path))
    spec.option.timestep = 0.02
    for actuator in spec.actuators:
        actuator.gear[0] = 30.0
    if maze:
        add_walls(spec, cell_to_xy(find_cells(maze, "1")))
    for geom in spec.geoms:
        geom.solimp[:3] = (0.8, 0.8, 0.01)
    return spec.compile()


ANT = Robot(
    load=load_ant,
    place=reset_ant,
    frame_skip=5,
    max_episode_steps={"umaze": 700, "medium": 1000, "large": 1000},
)

for _maze in MAPS:
    gymnasium.register(
        id=f"AntMaze-{_maze}-v0",
        entry_point="envs.worlds.antmaze:AntMazeEnv",
        kwargs={"maze": _maze},
        max_episode_steps=ANT.max_episode_steps[_maze],
    )
