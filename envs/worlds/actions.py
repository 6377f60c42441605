"""Actions as a policy gives them beside those that a gymnasium environment takes."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from envs.errors import InputError
from envs.spaces import Array, Box, Discrete

# From here on float64 does not tell whole numbers apart; such bounds stand for none.
_WIDEST = 2.0**53
_MOST_CHOICES = 100_000


def actions_of(space: spaces.Space) -> ActionRange | ActionChoices:
    """The actions of an environment with this space.

    Raises:
        InputError: they are of another kind, without bounds or without a choice.
    """
    if isinstance(space, spaces.Discrete):
        return ActionChoices(space)
    found = ActionRange(space)
    found.require_usable()
    return found


class ActionRange:
    """An environment's action space beside [-1, 1].

    In float64 and then rounded: in float32, as ``gymnasium.wrappers.utils.rescale_box`` does it, -1
    or 1 came out outside of 657 of 2,000 random ranges, and an end outside of [-1, 1] for 331.

    Attributes:
        size: A.
        space: the space of actions in [-1, 1].
    """

    def __init__(self, space: spaces.Space) -> None:
        """Take the bounds of ``space``.

        Raises:
            InputError: not a ``Box``, or without bounds that leave a choice.
        """
        if not (
            isinstance(space, spaces.Box)
            and space.dtype is not None
            and space.is_bounded()
            and np.all(space.low < space.high)
            and space.low.size
        ):
            raise InputError(
                f"actions must be a Box with bounds or Discrete, got {space}; wrap the environment"
            )
        self.size = int(np.prod(space.shape))
        self.space = Box((self.size,), limit=1.0)
        self._shape, self._dtype = space.shape, space.dtype
        self._low = space.low.reshape(-1).astype(np.float64)
        self._width = space.high.reshape(-1).astype(np.float64) - self._low

    def require_usable(self) -> None:
        """Refuse bounds so wide that they stand for none.

        Raises:
            InputError: naming the range.
        """
        wide = np.flatnonzero(self._width >= _WIDEST)
        if len(wide):
            low, width = self._low[wide[0]], self._width[wide[0]]
            raise InputError(
                f"actions must be a Box with bounds, those of column {wide[0]} are {low:g} to "
                f"{low + width:g}; wrap the environment in bounds near to what is played"
            )

    def scale(self, actions: Array) -> Array:
        """``[T, A]`` in [-1, 1] to ``[T, *shape]`` in the environment's range.

        Where that holds whole numbers alone, to the nearest.
        """
        scaled: Array = self._low + (actions.astype(np.float64) + 1.0) / 2.0 * self._width
        if self._dtype.kind in "biu":
            scaled = np.rint(scaled)
        return scaled.astype(self._dtype).reshape(len(actions), *self._shape)

    def unscale(self, actions: Array) -> Array:
        """``[T, *shape]`` in the environment's range to ``[T, A]`` in [-1, 1].

        What rounding puts beyond a bound is at it.
        """
        flat = actions.reshape(len(actions), self.size).astype(np.float64)
        found: Array = 2.0 * (flat - self._low) / self._width - 1.0
        # That 1 is taken away from nearly 1 near the middle, and what is left is rounding alone.
        middle = (flat - (self._low + self._width / 2.0)) / (self._width / 2.0)
        found = np.where(np.abs(found) < 1e-9, middle, found)
        rounding = np.abs(found) <= 1.0 + 1e-6
        return np.where(rounding, np.clip(found, -1.0, 1.0), found)

    def usual(self, actions: Array) -> Array:
        """``[A]`` the mean of ``actions`` ``[N, A]``."""
        mean: Array = actions.mean(axis=0, dtype=np.float64)
        return mean

    def nothing(self) -> Array:
        """``[A]`` 0 in the environment's units; beyond its range, the end that is nearest to 0."""
        return np.clip(self.unscale(np.zeros((1, self.size)))[0], -1.0, 1.0)

    def draw(self, generator: np.random.Generator, *axes: int) -> Array:
        """``[*axes, A]`` uniformly random actions."""
        return generator.uniform(-1.0, 1.0, self.space.batch(*axes))


class ActionChoices:
    """An environment's choices beside those counted from 0.

    Attributes:
        space: the space of choices counted from 0.
    """

    def __init__(self, space: spaces.Discrete) -> None:
        """Take the number of choices and the first one.

        Raises:
            InputError: one choice, which is none, or more than a net has outputs for.
        """
        if not 1 < space.n <= _MOST_CHOICES:
            raise InputError(
                f"actions must be 2 to {_MOST_CHOICES:,} choices, got {space.n:,}; wrap the "
                "environment"
            )
        self.space = Discrete(int(space.n))
        self._start = int(space.start)

    def scale(self, actions: Array) -> Array:
        """``[T]`` counted from 0 to ``[T]`` as the environment counts."""
        scaled: Array = actions.astype(np.int64) + self._start
        return scaled

    def unscale(self, actions: Array) -> Array:
        """``[T]`` or ``[T, 1]`` as the environment counts to ``[T]`` counted from 0."""
        return actions.reshape(len(actions)).astype(np.int64) - self._start

    def usual(self, actions: Array) -> Array:
        """``[]`` the choice that is most frequent in ``actions`` ``[N]``."""
        return np.asarray(np.bincount(actions).argmax())

    def nothing(self) -> Array:
        """``[]`` the first choice, for want of one that is known to do nothing."""
        return np.asarray(0)

    def draw(self, generator: np.random.Generator, *axes: int) -> Array:
        """``[*axes]`` uniformly random choices."""
        return generator.integers(self.space.n, size=self.space.batch(*axes))
