"""Batched MuJoCo: N ``MjData`` behind one ``MjModel``, stepped by a pool of threads.

``mj_step`` releases the GIL, so two threads give close to twice the steps of one. Lanes never
share state, hence results do not depend on the number of threads.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np

from envs.errors import InputError
from envs.spaces import Array

PICTURE = (240, 320)  # pixels, height and width


def view_from_above(model: mujoco.MjModel) -> mujoco.MjvCamera:
    """A camera that looks down on the whole of ``model``, x to the right and y up."""
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    camera.azimuth, camera.elevation = 90.0, -90.0
    return camera


def num_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Simulator:
    """N independent simulations of one model.

    Attributes:
        qpos: ``[N, nq]`` float64 generalised positions after the last reset or step.
        qvel: ``[N, nv]`` float64 generalised velocities.
    """

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, frame_skip: int, num_threads: int | None = None
    ) -> None:
        """Allocate ``num_envs`` lanes; one step is ``frame_skip`` MuJoCo time steps."""
        self.model = model
        self.num_envs = num_envs
        self.frame_skip = frame_skip
        self.num_threads = max(1, min(num_threads or num_processors(), num_envs))
        self._data = [mujoco.MjData(model) for _ in range(num_envs)]
        # The views stay valid for the life of an MjData; attribute access costs more than the copy.
        self._views = [(data, data.ctrl, data.qpos, data.qvel) for data in self._data]
        self._pool = ThreadPoolExecutor(self.num_threads - 1) if self.num_threads > 1 else None
        self._renderer: mujoco.Renderer | None = None
        self.qpos = np.zeros((num_envs, model.nq))
        self.qvel = np.zeros((num_envs, model.nv))

    @property
    def time_step(self) -> float:
        """Seconds of simulated time in one step."""
        return self.model.opt.timestep * self.frame_skip

    def states(self) -> Array:
        """``[N, nq + nv]`` positions, then velocities, of every lane: a new array."""
        return np.concatenate([self.qpos, self.qvel], axis=1)

    def pair_lanes(self, lanes: Array | None, values: Array) -> list[tuple[int, int]]:
        """(lane, value) for each of ``values`` ``[L]``; ``lanes`` None means all, in order."""
        lanes = np.arange(self.num_envs) if lanes is None else lanes
        return list(zip(np.asarray(lanes).tolist(), np.asarray(values).tolist(), strict=True))

    def reset(self, lane: int, qpos: Array, qvel: Array) -> None:
        """Put one lane into the state ``qpos`` ``[nq]``, ``qvel`` ``[nv]``, forgetting its past."""
        data = self._data[lane]
        mujoco.mj_resetData(self.model, data)
        data.qpos[:] = qpos
        data.qvel[:] = qvel
        mujoco.mj_forward(self.model, data)
        self.qpos[lane] = data.qpos
        self.qvel[lane] = data.qvel

    def restore(self, states: Array) -> None:
        """Put every lane into its state: the first columns of ``states`` ``[N, >= nq + nv]``."""
        nq, nv = self.model.nq, self.model.nv
        for lane, state in enumerate(states):
            self.reset(lane, state[:nq], state[nq : nq + nv])

    def push(self, lane: int, velocity_change: Array) -> None:
        """Add ``velocity_change`` ``[nv]`` to the velocities of one lane: an outside shove."""
        self._data[lane].qvel[:] += velocity_change
        self.qvel[lane] = self._data[lane].qvel

    def step(self, actions: Array, active: Array) -> None:
        """Step the lanes where ``active`` ``[N]`` is true with controls ``actions`` ``[N, A]``."""
        lanes = np.flatnonzero(active)
        if self._pool is None or len(lanes) < 2:
            self._step_lanes(lanes, actions)
            return
        own, *others = np.array_split(lanes, self.num_threads)
        jobs = [self._pool.submit(self._step_lanes, part, actions) for part in others]
        self._step_lanes(own, actions)  # waking one thread less
        for job in jobs:
            job.result()

    def render(self, lane: int, camera: str | mujoco.MjvCamera) -> Array:
        """A picture ``[H, W, 3]`` uint8 of one lane, from a ``camera`` of the model or another.

        Raises:
            InputError: this machine, or how the process was started, has no OpenGL.
        """
        try:
            if self._renderer is None:
                self._renderer = mujoco.Renderer(self.model, *PICTURE)
            self._renderer.update_scene(self._data[lane], camera)
            return self._renderer.render()
        except Exception as error:  # each way to OpenGL has errors of its own
            raise InputError(
                f"no picture can be drawn here ({error}); start with MUJOCO_GL=egl or "
                "MUJOCO_GL=osmesa, whichever this machine has"
            ) from error

    def close(self) -> None:
        """End the threads and the drawing; there are no more steps."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._renderer is not None:
            self._renderer.close()

    def _step_lanes(self, lanes: Array, actions: Array) -> None:
        for lane in lanes.tolist():
            data, ctrl, qpos, qvel = self._views[lane]
            ctrl[:] = actions[lane]
            mujoco.mj_step(self.model, data, nstep=self.frame_skip)
            self.qpos[lane] = qpos
            self.qvel[lane] = qvel
