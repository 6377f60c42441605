"""Spaces: shapes, types and bounds of observations and actions.

Shape letters, here and everywhere: S seeds, E episodes, N dataset rows or environment lanes,
B batch, T time, O observation, A action, G goal. O and A are shapes: ``[N, O]`` is ``[N, 3]`` for
three numbers, and ``[N, A]`` is ``[N]`` for one of n choices.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Box(NamedTuple):
    """Arrays of numbers of one shape and type.

    Attributes:
        shape: the shape of one of them.
        dtype: numpy's name of their type.
        limit: no number leaves ``[-limit, limit]``.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    limit: float = np.inf

    def batch(self, *axes: int) -> tuple[int, ...]:
        """The shape of an array with ``axes`` before those of one of its members."""
        return (*axes, *self.shape)

    def clip(self, values: Array) -> Array:
        """The members that are nearest to ``values``."""
        return values if self.limit == np.inf else np.clip(values, -self.limit, self.limit)

    def contains(self, values: Array) -> Array:
        """``[N]`` which of ``values`` ``[N, ...]`` are members; those of another shape are none."""
        return _members(self, values, -self.limit, self.limit)


class Discrete(NamedTuple):
    """One of ``n`` choices: a whole number from 0 to ``n - 1``."""

    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one of them."""
        return ()

    @property
    def dtype(self) -> str:
        """Numpy's name of their type."""
        return "int32"

    def batch(self, *axes: int) -> tuple[int, ...]:
        """The shape of an array of choices."""
        return axes

    def clip(self, values: Array) -> Array:
        """The choices that are nearest to ``values``."""
        return np.clip(values, 0, self.n - 1)

    def contains(self, values: Array) -> Array:
        """``[N]`` which of ``values`` ``[N]`` are choices; those of another shape are none."""
        return _members(self, values, 0, self.n - 1)


Space = Box | Discrete


def _members(space: Space, values: Array, low: float, high: float) -> Array:
    if values.shape[1:] != space.shape or not np.can_cast(values.dtype, space.dtype, "same_kind"):
        return np.zeros(len(values), bool)
    rows = values.reshape(len(values), -1)
    return np.all((rows >= low) & (rows <= high), axis=1)
