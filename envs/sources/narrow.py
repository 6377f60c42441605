"""Numbers on their way into float32, in which everything is learned and scored.

A Unix clock is one number there for two minutes, and 1e39 is no number at all. An array that loses
so much is refused, by the name of its column; one that float32 merely rounds is not.
"""

from __future__ import annotations

import numpy as np

from envs.errors import InputError
from envs.spaces import Array

# Rounding may take a hundredth of how far a column goes within an episode.
_LOST = 0.01
# A column that changes by less than this share of itself shows the noise of a computation.
_NOISE = 1e-10
# Quaternions, sines and the like stay within this, and where they rest are 1 less a rounding.
_UNIT = 2.0
_SMALLEST = 1e-30  # still far from where float32 ends


class Narrowing:
    """Looks at one array of a dataset, episode by episode, before it is made float32."""

    def __init__(self, where: str, name: str) -> None:
        """``where`` is the dataset and ``name`` the array, for messages."""
        self._where, self._name = where, name
        self._rows = 0
        self._seen = False
        self._noise = _NOISE
        self._error: Array = np.zeros(0)
        self._spread: Array = np.zeros(0)
        self._low: Array = np.zeros(0)
        self._high: Array = np.zeros(0)

    def watch(self, values: Array) -> None:
        """Look at the next episode's ``[T, ...]`` numbers of any type.

        Raises:
            InputError: a number is beyond float32.
        """
        if values.size and np.result_type(values.dtype, np.float32) != np.float32:
            self._watch(values.reshape(len(values), -1))
        self._rows += len(values)

    def _watch(self, values: Array) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = values.astype(np.float32)
        wide = values.astype(np.float64)
        beyond = np.argwhere(np.isfinite(wide) & ~np.isfinite(narrow))
        if len(beyond):
            row, column = beyond[0]
            raise InputError(
                f"{self._where}: {self._name} row {self._rows + row} is not within the range of "
                f"float32 ({wide[row, column]:g} in column {column}); give it another unit"
            )
        # Processors that compile for speed take what is below this for 0.
        if values.dtype.kind in "iu":
            self._noise = 0.0  # whole numbers are counted, not computed
        narrow[np.abs(narrow) < np.finfo(np.float32).tiny] = 0.0
        with np.errstate(invalid="ignore"):
            error = np.abs(wide - narrow).max(axis=0)
            low, high = wide.min(axis=0), wide.max(axis=0)
            spread = high - low
        if not self._seen:
            self._error, self._spread, self._low, self._high = error, spread, low, high
            self._seen = True
        elif error.shape == self._error.shape:  # another width is refused elsewhere
            self._error = np.maximum(self._error, error)
            self._spread = np.maximum(self._spread, spread)
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)

    def finish(self) -> None:
        """Look at all episodes together.

        Raises:
            InputError: a column goes less far than float32 can tell apart.
        """
        if not self._seen:
            return
        size = np.maximum(np.abs(self._low), np.abs(self._high))
        spread = np.where(self._spread > 0, self._spread, self._high - self._low)
        lost = (self._error > _LOST * spread) & (spread > self._noise * size)
        lost &= (size > _UNIT) | (size < _SMALLEST)
        if lost.any():
            column = int(np.flatnonzero(lost)[0])
            raise InputError(
                f"{self._where}: {self._name} column {column} goes from {self._low[column]:.17g} "
                f"to {self._high[column]:.17g}, which float32 cannot tell apart; take away what is "
                "constant, or leave the column out, in a wrapper of the environment and in the data"
            )
