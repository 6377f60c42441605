"""D4RL's AntMaze (the ``-v2`` tasks) on modern MuJoCo.

D4RL's rules, all of them: ant with gear 30 on controls in [-1, 1], 0.02 s time step, 5 steps per
action (10 Hz); flat observation of 15 joint positions (x and y first) and 14 velocities, goal not
shown; 4 m cells, walls 2 m high; start at the origin with +-0.1 on every position and 0.1 standard
deviations on every velocity; goal cell plus U(0, 1) + U(0, 0.5) m per axis, redrawn each episode;
reward 1 and the end of the episode within 0.5 m of it; falling over does not end an episode; 700
steps in umaze, 1,000 elsewhere.

Departures: everything is drawn from the episode's own seed, where D4RL draws goals from numpy's
global generator and so ignores seeds (D4RL issue 202).

Source: Farama-Foundation/D4RL@89141a6, ``d4rl/locomotion/{ant,maze_env,goal_reaching_env}.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

from envs.scores import REFERENCE_RETURNS, TARGET_RETURNS
from envs.simulate import Simulator
from envs.types import Array, EnvSpec

CELL_SIZE = 4.0  # metres
GOAL_RADIUS = 0.5  # metres
_WALL_HEIGHT = 2.0  # metres

# 1 wall, 0 free, R start, G goal; rows from the top, as D4RL prints them.
MAPS = {
    "umaze": ("11111", "1R001", "11101", "1G001", "11111"),
    "medium": (
        "11111111",
        "1R011001",
        "10010001",
        "11000111",
        "10010001",
        "10100101",
        "100010G1",
        "11111111",
    ),
    "large": (
        "111111111111",
        "1R0001000001",
        "101101010101",
        "100000010001",
        "101111011101",
        "100101000001",
        "110101010111",
        "100100010G01",
        "111111111111",
    ),
}
MAX_EPISODE_STEPS = {"umaze": 700, "medium": 1000, "large": 1000}


def find_cells(maze: str, marks: str) -> Array:
    """Row and column ``[K, 2]`` of every cell of ``maze`` whose mark is one of ``marks``."""
    grid = np.array([list(row) for row in MAPS[maze]])
    return np.argwhere(np.isin(grid, list(marks)))


def cell_to_xy(cells: Array) -> Array:
    """Centres in metres ``[..., 2]`` (x, y) of ``cells`` ``[..., 2]`` (row, column).

    The start cell (1, 1) of every map is the origin; x grows with the column, y with the row.
    """
    return (np.asarray(cells)[..., ::-1] - 1) * CELL_SIZE


def xy_to_cell(xy: Array) -> Array:
    """The cell (row, column) ``[..., 2]`` that holds each of ``xy`` ``[..., 2]`` in metres."""
    return np.round(np.asarray(xy)[..., ::-1] / CELL_SIZE).astype(np.int64) + 1


def draw_goal(maze: str, generator: np.random.Generator) -> Array:
    """One evaluation goal ``[2]`` in metres: the G cell's centre plus D4RL's two noises."""
    noise = generator.uniform(0.0, 1.0, 2) + generator.uniform(0.0, 0.5, 2)
    return cell_to_xy(find_cells(maze, "G")[0]) + noise


class AntMaze:
    """N ants in one maze in lock step; an ``envs.types.Environment``."""

    def __init__(self, maze: str, num_envs: int, num_threads: int | None = None) -> None:
        """Build ``num_envs`` lanes of ``maze``, a key of ``MAPS``."""
        model = load_ant(maze)
        self._simulator = Simulator(model, num_envs, 5, num_threads)
        self._maze = maze
        self._goals = np.zeros((num_envs, 2))
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation_dim=model.nq + model.nv,
            action_dim=model.nu,
            max_episode_steps=MAX_EPISODE_STEPS[maze],
            goal_dim=2,
            reference_returns=REFERENCE_RETURNS["antmaze"],
            target_return=TARGET_RETURNS["antmaze"],
        )

    @property
    def goals(self) -> Array:
        """``[N, 2]`` goal of each lane's episode, x and y in metres."""
        return self._goals

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes: state first, then the goal, both from the lane's seed."""
        for lane, seed in self._simulator.pair_lanes(lanes, seeds):
            generator = np.random.default_rng(seed)
            reset_ant(self._simulator, lane, np.zeros(2), generator)
            self._goals[lane] = draw_goal(self._maze, generator)
        return self._observations()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.types.Environment``."""
        self._simulator.step(actions, active)
        distances = np.linalg.norm(self._simulator.qpos[:, :2] - self._goals, axis=1)
        at_goal = active & (distances <= GOAL_RADIUS)
        return self._observations(), at_goal.astype(np.float64), at_goal

    def restorable(self, observations: Array) -> Array:
        """``[K]`` all; see ``envs.types.Environment``."""
        return np.ones(len(observations), bool)

    def restore(self, observations: Array) -> Array:
        """See ``envs.types.Environment``; goals stay."""
        restore_ants(self._simulator, observations)
        return self._observations()

    def _observations(self) -> Array:
        return np.concatenate([self._simulator.qpos, self._simulator.qvel], axis=1)


class AntMazeEnv(gymnasium.Env[Array, Array]):
    """One AntMaze episode at a time, for gymnasium; ``info`` holds ``goal`` and ``success``."""

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(self, maze: str) -> None:
        """Build ``maze``, a key of ``MAPS``."""
        self._ant = AntMaze(maze, num_envs=1, num_threads=1)
        spec = self._ant.spec
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (spec.observation_dim,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (spec.action_dim,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode; the same ``seed`` gives the episode that the batched AntMaze gives."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**32))
        observation = self._ant.reset(np.array([seed]))[0].astype(np.float32)
        return observation, {"goal": self._ant.goals[0].copy(), "success": False}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Apply ``action`` ``[8]`` in [-1, 1] for 0.1 s."""
        observations, rewards, terminations = self._ant.step(action[None], np.array([True]))
        success = bool(terminations[0])
        info = {"goal": self._ant.goals[0].copy(), "success": success}
        return observations[0].astype(np.float32), float(rewards[0]), success, False, info


def reset_ant(simulator: Simulator, lane: int, xy: Array, generator: np.random.Generator) -> None:
    """Stand one ant at ``xy`` ``[2]`` metres with D4RL's reset noise on every joint."""
    qpos = simulator.model.qpos0 + generator.uniform(-0.1, 0.1, simulator.model.nq)
    qpos[:2] += xy
    simulator.reset(lane, qpos, 0.1 * generator.standard_normal(simulator.model.nv))


def restore_ants(simulator: Simulator, observations: Array) -> None:
    """Put every lane into the state ``[N, >= 29]``: positions, then velocities."""
    nq, nv = simulator.model.nq, simulator.model.nv
    for lane, observation in enumerate(observations):
        simulator.reset(lane, observation[:nq], observation[nq : nq + nv])


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
    for row, column in find_cells(maze, "1") if maze else ():
        x, y = cell_to_xy(np.array([row, column]))
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[x, y, _WALL_HEIGHT / 2],
            size=[CELL_SIZE / 2, CELL_SIZE / 2, _WALL_HEIGHT / 2],
            contype=1,
            conaffinity=1,
            condim=3,
            friction=[1.0, 0.5, 0.5],
            margin=0.01,
            rgba=[0.4, 0.4, 0.4, 1.0],
        )
    for geom in spec.geoms:
        geom.solimp[:3] = (0.8, 0.8, 0.01)
    return spec.compile()


for _maze in MAPS:
    gymnasium.register(
        id=f"AntMaze-{_maze}-v0",
        entry_point="envs.antmaze:AntMazeEnv",
        kwargs={"maze": _maze},
        max_episode_steps=MAX_EPISODE_STEPS[_maze],
    )
