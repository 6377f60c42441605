"""D4RL's mazes for any robot: evaluation goals, the rule of success, walls of MuJoCo boxes.

4 m cells, walls 2 m high; an episode starts at the origin, the R cell; its goal is the G cell plus
U(0, 1) + U(0, 0.5) m per axis, redrawn each episode and not shown; reward 1 and the end of the
episode within 0.5 m of it, so that a return is 0 or 1, as ``EnvSpec`` has it by default.

Departures: everything is drawn from the episode's own seed, where D4RL draws goals from numpy's
global generator and so ignores seeds (D4RL issue 202).

Source: Farama-Foundation/D4RL@89141a6, ``d4rl/locomotion/{maze_env,goal_reaching_env}.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np

from envs.environment import EnvSpec
from envs.spaces import Array, Box
from envs.worlds.maps import CELL_SIZE, cell_to_xy, find_cells
from envs.worlds.simulate import Simulator, view_from_above

GOAL_RADIUS = 0.5  # metres
_WALL_HEIGHT = 2.0  # metres


class Robot(NamedTuple):
    """A robot of the mazes; x and y are its first two joint positions.

    Attributes:
        load: maze, a key of ``MAPS`` -> the compiled model.
        place: (simulator, lane, xy ``[2]`` metres, generator) puts one robot there, with noise.
        frame_skip: MuJoCo time steps in one step.
        max_episode_steps: time limit per maze.
    """

    load: Callable[[str], mujoco.MjModel]
    place: Callable[[Simulator, int, Array, np.random.Generator], None]
    frame_skip: int
    max_episode_steps: dict[str, int]


class Maze:
    """N robots in one maze in lock step; an ``envs.environment.Environment``."""

    def __init__(
        self, robot: Robot, maze: str, num_envs: int, num_threads: int | None = None
    ) -> None:
        """Build ``num_envs`` lanes of ``maze``, a key of ``MAPS``."""
        model = robot.load(maze)
        self._simulator = Simulator(model, num_envs, robot.frame_skip, num_threads)
        self._robot, self._maze = robot, maze
        self._goals = np.zeros((num_envs, 2))
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation=Box((model.nq + model.nv,)),
            action=Box((model.nu,), limit=1.0),
            max_episode_steps=robot.max_episode_steps[maze],
            goal=Box((2,)),
        )

    @property
    def goals(self) -> Array:
        """``[N, 2]`` goal of each lane's episode, x and y in metres."""
        return self._goals

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes: state first, then the goal, both from the lane's seed."""
        for lane, seed in self._simulator.pair_lanes(lanes, seeds):
            generator = np.random.default_rng(seed)
            self._robot.place(self._simulator, lane, np.zeros(2), generator)
            self._goals[lane] = draw_goal(self._maze, generator)
        return self._simulator.states()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.environment.Environment``."""
        self._simulator.step(actions, active)
        at_goal = active & is_at(self._goals, self._simulator.qpos[:, :2])
        return self._simulator.states(), at_goal.astype(np.float64), at_goal

    def restorable(self, observations: Array) -> Array:
        """``[K]`` all; see ``envs.environment.Replayable``."""
        return np.ones(len(observations), bool)

    def restore(self, observations: Array) -> Array:
        """See ``envs.environment.Replayable``; goals stay."""
        self._simulator.restore(observations)
        return self._simulator.states()

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


class MazeEnv(gymnasium.Env[Array, Array]):
    """One maze episode at a time, for gymnasium; ``info`` holds ``goal`` and ``success``."""

    def __init__(self, maze: Maze) -> None:
        """Play in ``maze``, of one lane."""
        self._maze = maze
        spec = maze.spec
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (spec.observation_dim,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (spec.action_dim,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode; the same ``seed`` gives the episode that the batched maze gives."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**32))
        observation = self._maze.reset(np.array([seed]))[0].astype(np.float32)
        return observation, {"goal": self._maze.goals[0].copy(), "success": False}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Apply ``action`` ``[A]`` in [-1, 1] for one step."""
        observations, rewards, terminations = self._maze.step(action[None], np.array([True]))
        success = bool(terminations[0])
        info = {"goal": self._maze.goals[0].copy(), "success": success}
        return observations[0].astype(np.float32), float(rewards[0]), success, False, info


def draw_goal(maze: str, generator: np.random.Generator) -> Array:
    """One evaluation goal ``[2]`` in metres: the G cell's centre plus D4RL's two noises."""
    return cell_to_xy(find_cells(maze, "G")[0]) + draw_goal_noise(generator)


def draw_goal_noise(generator: np.random.Generator) -> Array:
    """D4RL's distance ``[2]`` in metres of a goal from the centre of its cell."""
    return generator.uniform(0.0, 1.0, 2) + generator.uniform(0.0, 0.5, 2)


def is_at(goals: Array, xy: Array) -> Array:
    """``[N]`` whether ``xy`` ``[N, 2]`` is a success for ``goals`` ``[N, 2]``, in metres."""
    return np.linalg.norm(xy - goals, axis=1) <= GOAL_RADIUS


def add_walls(spec: mujoco.MjSpec, centres: Array) -> None:
    """Put a box of one cell on each of ``centres`` ``[K, 2]``, in metres, into the model."""
    for x, y in centres:
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[x, y, _WALL_HEIGHT / 2],
            size=[CELL_SIZE / 2, CELL_SIZE / 2, _WALL_HEIGHT / 2],
            contype=1,
            conaffinity=1,
            # ant.xml gives every geom these by default.
            condim=3,
            friction=[1.0, 0.5, 0.5],
            margin=0.01,
            rgba=[0.4, 0.4, 0.4, 1.0],
        )
