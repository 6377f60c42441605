"""D4RL's mazes as maps: what is known of them without a simulator.

Source: Farama-Foundation/D4RL@89141a6, ``d4rl/locomotion/maze_env.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from envs.spaces import Array

CELL_SIZE = 4.0  # metres

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

# The mazes' datasets: (maze, how its starts and goals were chosen).
MAZE_DATA = (
    ("umaze", ""),
    ("umaze", "diverse"),
    ("medium", "play"),
    ("medium", "diverse"),
    ("large", "play"),
    ("large", "diverse"),
)


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


def count_solutions(ways: Iterable[Array], maze: str) -> int:
    """The number of ``ways`` from the evaluation start to the evaluation goal of ``maze``.

    Those that are in the start's cell before they are in the goal's: where there are none, what
    leads from one to the other has to be put together from several of them.

    Args:
        ways: x and y in metres, ``[T, 2]`` each.
        maze: a key of ``MAPS``.
    """
    count = 0
    start, goal = find_cells(maze, "R"), find_cells(maze, "G")
    for xy in ways:
        cells = xy_to_cell(xy)
        at_start = (cells == start).all(axis=1)
        at_goal = (cells == goal).all(axis=1)
        count += bool(at_goal[at_start.argmax() :].any()) if at_start.any() else 0
    return count


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
        """The next place ``[N, 2]`` in metres, from ``xy`` ``[N, 2]`` to ``goals`` ``[N, 2]``.

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
