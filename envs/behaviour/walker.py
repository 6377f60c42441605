"""What the goal-reaching ant sees and where it is told to go.

The walker's input does not change when ant and target are turned about the vertical axis together,
so one direction of walking is all it has to learn.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from envs.maze import MAPS, cell_to_xy, xy_to_cell
from envs.types import Array

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


class Waypoints:
    """Shortest paths through a maze, cell by cell."""

    def __init__(self, maze: str) -> None:
        """Search breadth first from every free cell of ``maze``, a key of ``MAPS``."""
        free = np.array([[mark != "1" for mark in row] for row in MAPS[maze]])
        # [goal row, goal column, row, column] -> next cell (row, column) towards the goal.
        self._next = np.zeros((*free.shape, *free.shape, 2), np.int64)
        for goal in np.argwhere(free):
            self._next[tuple(goal)] = _search(free, tuple(goal.tolist()))
        self._limit = np.array(free.shape) - 1

    def target(self, xy: Array, goals: Array, offsets: Array) -> Array:
        """Where to walk now, ``[N, 2]`` metres, from ``xy`` ``[N, 2]`` to ``goals`` ``[N, 2]``.

        The goal itself from the cell next to it on, before that the next cell's centre moved by
        ``offsets`` ``[N, 2]``, or ``[2]`` for all.
        """
        cell, goal_cell = (np.clip(xy_to_cell(p), 0, self._limit) for p in (xy, goals))
        next_cell = self._next[goal_cell[:, 0], goal_cell[:, 1], cell[:, 0], cell[:, 1]]
        at_goal = np.all(next_cell == goal_cell, axis=1, keepdims=True)
        return np.where(at_goal, goals, cell_to_xy(next_cell) + offsets)

    def way(self, xy: Array, goal: Array) -> Array:
        """Waypoints ``[K, 2]`` from ``xy`` ``[2]`` to ``goal`` ``[2]``, both included."""
        points = [xy]
        while not np.array_equal(points[-1], goal):
            points.append(self.target(points[-1][None], goal[None], np.zeros(2))[0])
        return np.array(points)


def _search(free: Array, goal: tuple[int, int]) -> Array:
    """``[rows, columns, 2]`` the neighbour a step closer to ``goal``; walls point at themselves."""
    towards = np.moveaxis(np.indices(free.shape), 0, -1).copy()
    seen, queue = {goal}, deque([goal])
    while queue:
        row, column = queue.popleft()
        for cell in ((row, column - 1), (row, column + 1), (row - 1, column), (row + 1, column)):
            if free[cell] and cell not in seen:
                towards[cell] = (row, column)
                seen.add(cell)
                queue.append(cell)
    return towards
