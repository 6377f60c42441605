"""What arrays of observations and actions look like.

Shape letters, here and everywhere: S seeds, E episodes, N dataset rows or environment lanes,
B batch, T time, O observation, A action, G goal.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
