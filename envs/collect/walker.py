"""The observations of the goal-reaching ant, and its targets.

The walker's input does not change when ant and target are turned about the vertical axis together,
so one direction of walking is all it has to learn.
"""

from __future__ import annotations

import numpy as np

from envs.spaces import Array

TARGET_LIMIT = 4.0  # metres; a target further away looks as if it were this far


def walker_observation(qpos: Array, qvel: Array, targets: Array) -> Array:
    """Body state and target direction in the torso's yaw frame, ``[N, 29]``.

    Args:
        qpos: ``[N, 15]`` x, y, z, quaternion (w, x, y, z), joint angles.
        qvel: ``[N, 14]`` linear velocity in the world frame, angular in the body's, joints.
        targets: ``[N, 2]`` where to walk, x and y in metres.
    """
    w, x, y, z = (qpos[:, 3:7] / np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)).T
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2))
    cos, sin = np.cos(yaw), np.sin(yaw)
    # Quaternion of -yaw about z, times the orientation: what is left is roll and pitch.
    half_cos, half_sin = np.cos(-yaw / 2), np.sin(-yaw / 2)
    upright = np.stack(
        [
            half_cos * w - half_sin * z,
            half_cos * x - half_sin * y,
            half_cos * y + half_sin * x,
            half_cos * z + half_sin * w,
        ],
        axis=1,
    )
    upright *= np.where(upright[:, :1] < 0, -1.0, 1.0)  # q and -q are the same orientation

    offset = targets - qpos[:, :2]
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    offset *= np.minimum(distance, TARGET_LIMIT) / np.maximum(distance, 1e-6) / TARGET_LIMIT
    turn = lambda v: np.stack([cos * v[:, 0] + sin * v[:, 1], cos * v[:, 1] - sin * v[:, 0]], 1)
    return np.concatenate(
        [qpos[:, 2:3], upright, qpos[:, 7:], turn(qvel[:, :2]), qvel[:, 2:], turn(offset)], axis=1
    )


def torso_up(qpos: Array) -> Array:
    """``[N]`` cosine of the torso's tilt: 1 upright, below 0 flipped over."""
    _, x, y, _ = (qpos[:, 3:7] / np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)).T
    return 1.0 - 2.0 * (x**2 + y**2)
