"""Hopper, HalfCheetah and Walker2d as gymnasium's ``-v4`` and ``-v5``, on the batched simulator.

``-v4`` is the closest living relative of D4RL's ``-v2``: the same model files, rewards and
termination rules on a newer MuJoCo. ``-v5``, in which Minari's data were collected, pays no healthy
reward for the step that falls, and both feet of its Walker2d have friction 1.9 instead of 0.9 and
1.9; its HalfCheetah is the same. Every array is bit-equal to ``gymnasium.make("Hopper-v4")`` and
its siblings given the same seed and actions (tests/envs/test_locomotion.py).

Source: gymnasium 1.4.0, ``gymnasium/envs/mujoco/{hopper,half_cheetah,walker2d}_v{4,5}.py``.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path

import gymnasium
import mujoco
import numpy as np

from envs.environment import EnvSpec
from envs.scores import REFERENCE_RETURNS, TARGET_RETURNS
from envs.spaces import Array, Box
from envs.worlds.simulate import Simulator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """The differences between the three robots.

    Attributes:
        model_file: name of gymnasium's MJCF file.
        frame_skip: MuJoCo steps per environment step.
        control_cost: weight of the squared norm of the action in the reward.
        healthy_reward: reward per step for not having fallen.
        rewards_the_fall: whether the step that falls is still paid for.
        velocity_limit: velocities in the observation are clipped to +- this, in m/s or rad/s.
        reset_noise: half width of the uniform noise on the initial state.
        gaussian_velocity_noise: whether initial velocities are normal instead of uniform.
        is_healthy: (qpos ``[N, nq]``, qvel ``[N, nv]``) -> ``[N]`` bool.
    """

    model_file: str
    frame_skip: int
    control_cost: float
    healthy_reward: float
    rewards_the_fall: bool = True
    velocity_limit: float
    reset_noise: float
    gaussian_velocity_noise: bool
    is_healthy: Callable[[Array, Array], Array]


def _hopper_is_healthy(qpos: Array, qvel: Array) -> Array:
    state = np.concatenate([qpos, qvel], axis=1)[:, 2:]
    in_range = np.all((state > -100.0) & (state < 100.0), axis=1)
    return in_range & (qpos[:, 1] > 0.7) & (np.abs(qpos[:, 2]) < 0.2)


def _walker2d_is_healthy(qpos: Array, qvel: Array) -> Array:
    del qvel
    return (qpos[:, 1] > 0.8) & (qpos[:, 1] < 2.0) & (np.abs(qpos[:, 2]) < 1.0)


def _always_healthy(qpos: Array, qvel: Array) -> Array:
    del qvel
    return np.ones(len(qpos), bool)


BODIES = {
    "hopper": Body(
        model_file="hopper.xml",
        frame_skip=4,
        control_cost=1e-3,
        healthy_reward=1.0,
        velocity_limit=10.0,
        reset_noise=5e-3,
        gaussian_velocity_noise=False,
        is_healthy=_hopper_is_healthy,
    ),
    "halfcheetah": Body(
        model_file="half_cheetah.xml",
        frame_skip=5,
        control_cost=0.1,
        healthy_reward=0.0,
        velocity_limit=np.inf,
        reset_noise=0.1,
        gaussian_velocity_noise=True,
        is_healthy=_always_healthy,
    ),
    "walker2d": Body(
        model_file="walker2d.xml",
        frame_skip=4,
        control_cost=1e-3,
        healthy_reward=1.0,
        velocity_limit=10.0,
        reset_noise=5e-3,
        gaussian_velocity_noise=False,
        is_healthy=_walker2d_is_healthy,
    ),
}

# By gymnasium's version of the environments.
VERSIONS = {
    "v4": BODIES,
    "v5": {
        "hopper": dataclasses.replace(BODIES["hopper"], rewards_the_fall=False),
        "halfcheetah": BODIES["halfcheetah"],
        "walker2d": dataclasses.replace(
            BODIES["walker2d"], rewards_the_fall=False, model_file="walker2d_v5.xml"
        ),
    },
}


class Locomotion:
    """N copies of one robot in lock step; an ``envs.environment.Environment``."""

    def __init__(
        self, name: str, num_envs: int, num_threads: int | None = None, version: str = "v4"
    ) -> None:
        """Build ``num_envs`` lanes of the robot ``name`` by the rules of a key of ``VERSIONS``."""
        self._body = VERSIONS[version][name]
        model = _load_model(self._body.model_file)
        self._simulator = Simulator(model, num_envs, self._body.frame_skip, num_threads)
        self._initial_qpos = model.qpos0.copy()
        self.num_envs = num_envs
        self.spec = EnvSpec(
            observation=Box((model.nq - 1 + model.nv,)),
            action=Box((model.nu,), limit=1.0),
            max_episode_steps=1000,
            reference_returns=REFERENCE_RETURNS[name],
            target_return=TARGET_RETURNS[name],
        )

    @property
    def goals(self) -> Array:
        """``[N, 0]``: locomotion has no goals."""
        return np.zeros((self.num_envs, 0))

    def reset(self, seeds: Array, lanes: Array | None = None) -> Array:
        """Start episodes as gymnasium's ``reset(seed=...)`` does."""
        body, model = self._body, self._simulator.model
        for lane, seed in self._simulator.pair_lanes(lanes, seeds):
            generator = np.random.default_rng(seed)
            noise = generator.uniform(-body.reset_noise, body.reset_noise, model.nq)
            if body.gaussian_velocity_noise:
                qvel = body.reset_noise * generator.standard_normal(model.nv)
            else:
                qvel = generator.uniform(-body.reset_noise, body.reset_noise, model.nv)
            self._simulator.reset(lane, self._initial_qpos + noise, qvel)
        return self._observations()

    def step(self, actions: Array, active: Array) -> tuple[Array, Array, Array]:
        """Advance the active lanes; see ``envs.environment.Environment``."""
        body, simulator = self._body, self._simulator
        x_before = simulator.qpos[:, 0].copy()
        simulator.step(actions, active)
        velocity = (simulator.qpos[:, 0] - x_before) / simulator.time_step
        healthy = body.is_healthy(simulator.qpos, simulator.qvel)
        paid = True if body.rewards_the_fall else healthy
        rewards = velocity + body.healthy_reward * paid
        rewards = rewards - body.control_cost * np.sum(np.square(actions), axis=1)
        terminations = ~healthy
        return self._observations(), np.where(active, rewards, 0.0), active & terminations

    def restorable(self, observations: Array) -> Array:
        """``[K]`` where no velocity was clipped; see ``envs.environment.Replayable``."""
        qvel = observations[:, self._simulator.model.nq - 1 :]
        return np.abs(qvel).max(axis=1) < self._body.velocity_limit

    def restore(self, observations: Array) -> Array:
        """States with x = 0; see ``envs.environment.Replayable``."""
        positions = self._simulator.model.nq - 1
        for lane, observation in enumerate(observations):
            qpos = np.concatenate([[0.0], observation[:positions]])
            self._simulator.reset(lane, qpos, observation[positions:])
        return self._observations()

    @property
    def time_step(self) -> float:
        """Seconds of simulated time in one step."""
        return self._simulator.time_step

    def render(self, lane: int) -> Array:
        """The robot from the side; see ``envs.environment.Filmable``."""
        return self._simulator.render(lane, "track")

    def close(self) -> None:
        """End the simulator's threads; see ``envs.environment.Environment``."""
        self._simulator.close()

    def _observations(self) -> Array:
        limit = self._body.velocity_limit
        qvel = np.clip(self._simulator.qvel, -limit, limit)
        return np.concatenate([self._simulator.qpos[:, 1:], qvel], axis=1)


@functools.cache
def _load_model(file_name: str) -> mujoco.MjModel:
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / file_name
    # half_cheetah.xml asks for its total mass by an attribute that MuJoCo 4.0 says it will drop;
    # scaling the compiled model is the way it recommends, and gives the same bits.
    xml = path.read_text()
    total_mass = re.search(r' settotalmass="([\d.]+)"', xml)
    if total_mass is None:
        return mujoco.MjModel.from_xml_string(xml)
    model = mujoco.MjModel.from_xml_string(xml.replace(total_mass[0], ""))
    mujoco.mj_setTotalmass(model, float(total_mass[1]))
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model
