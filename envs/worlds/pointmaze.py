"""PointMaze: a point mass in the mazes of ``envs.worlds.maze``, for nets that learn in seconds.

Not in the post, and no copy of any other PointMaze: the maps, starts, goals and the rule of success
are AntMaze's; the robot is a ball that two forces push over the plane, so that nothing has to be
learned of walking and all of a maze's difficulty is left. Observation ``(x, y, vx, vy)``.

The ball has 1 kg and is braked by 4 N s/m; forces of up to 16 N per axis bring it to 4 m/s within
half a second. An action holds for 0.2 s (10 time steps of 0.02 s), so a cell takes five steps, and
the way from start to goal about 50 in medium and 70 in large: few enough for thousands of updates
to carry values over, many enough to have to. The time limits are a way as long as AntMaze's: an ant
of 0.9 m/s goes 90 m in its 1,000 steps, the ball up to 120 m in 150.

Chosen by trial, so no evidence for the post's claim by itself: about a dozen versions of ball, data
and settings were tried on the seeds 0 to 2 until methods that stitch and methods that do not came
apart. On whole tours cut into legs one-step RL did as well as IQL (88 and 65 in large-diverse); the
data wander for that reason. The time limit also ends balls that drift to the goal by luck.
"""

from __future__ import annotations

import functools

import gymnasium
import mujoco
import numpy as np

from envs.spaces import Array
from envs.worlds.maps import MAPS, cell_to_xy, find_cells
from envs.worlds.maze import Maze, MazeEnv, Robot, add_walls
from envs.worlds.simulate import Simulator

_RADIUS = 0.4  # metres
_MASS = 1.0  # kg
_DAMPING = 4.0  # N s/m
# Against walls. Measured on first data: with none, cloning slides into the goal's corner by luck
# (10%BC 60 on pointmaze-medium-play); with the ant's 1, IQL crawls along the walls (400 steps to
# the goal).
_FRICTION = 0.5
_MAX_FORCE = 16.0  # N per axis


class PointMaze(Maze):
    """N point masses in one maze in lock step; an ``envs.environment.Environment``."""

    def __init__(self, maze: str, num_envs: int, num_threads: int | None = None) -> None:
        """Build ``num_envs`` lanes of ``maze``, a key of ``envs.worlds.maze.MAPS``."""
        super().__init__(POINT, maze, num_envs, num_threads)


class PointMazeEnv(MazeEnv):
    """One PointMaze episode at a time, for gymnasium."""

    metadata = {"render_modes": [], "render_fps": 5}  # noqa: RUF012

    def __init__(self, maze: str) -> None:
        """Build ``maze``, a key of ``envs.worlds.maze.MAPS``."""
        super().__init__(PointMaze(maze, num_envs=1, num_threads=1))


def reset_point(simulator: Simulator, lane: int, xy: Array, generator: np.random.Generator) -> None:
    """Put one ball at ``xy`` ``[2]`` metres, with the ant's reset noise."""
    qpos = xy + generator.uniform(-0.1, 0.1, 2)
    simulator.reset(lane, qpos, 0.1 * generator.standard_normal(2))


@functools.cache
def load_point(maze: str) -> mujoco.MjModel:
    """The ball in ``maze``."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.02
    spec.option.gravity = [0.0, 0.0, 0.0]  # it slides in a plane, held by its joints
    ball = spec.worldbody.add_body(pos=[0.0, 0.0, _RADIUS])
    # Its friction has priority over the walls'.
    ball.add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[_RADIUS, 0.0, 0.0],
        mass=_MASS,
        friction=[_FRICTION, 0.0, 0.0],
        condim=3,
        priority=1,
    )
    for name, axis in (("x", [1.0, 0.0, 0.0]), ("y", [0.0, 1.0, 0.0])):
        ball.add_joint(
            name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, damping=[_DAMPING, 0.0, 0.0]
        )
        motor = spec.add_actuator(
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-1.0, 1.0],
        )
        motor.gear[0] = _MAX_FORCE
    add_walls(spec, cell_to_xy(find_cells(maze, "1")))
    return spec.compile()


POINT = Robot(
    load=load_point,
    place=reset_point,
    frame_skip=10,
    max_episode_steps={"umaze": 105, "medium": 150, "large": 150},
)

for _maze in MAPS:
    gymnasium.register(
        id=f"PointMaze-{_maze}-v0",
        entry_point="envs.worlds.pointmaze:PointMazeEnv",
        kwargs={"maze": _maze},
        max_episode_steps=POINT.max_episode_steps[_maze],
    )
