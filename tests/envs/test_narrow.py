"""What float32 cannot hold is refused by its column; what it rounds is not."""

import numpy as np
import pytest

from envs.errors import InputError
from envs.sources.narrow import Narrowing

CLOCK = 1.7e9
STEPS = np.arange(200.0)


def look(*episodes, rest=0.0):
    """Watch a column of numbers beside one that rests."""
    narrowing = Narrowing("me/x-v0", "observations")
    for column in episodes:
        column = np.asarray(column)
        narrowing.watch(np.stack([np.full_like(column, rest), column], axis=1))
    narrowing.finish()


@pytest.mark.parametrize(
    "episodes",
    [
        [CLOCK + STEPS],
        [CLOCK + 1e5 * k + STEPS for k in range(5)],
        [(CLOCK + STEPS).astype(np.int64)],
        [((CLOCK + STEPS) * 1e9).astype(np.int64)],
        [CLOCK + 0.05 * STEPS],
        [47.1234567 + 1e-7 * STEPS],
        [2**26 + STEPS.astype(np.int32)],
        [2**62 + 10**6 * np.arange(9)],
        [1e-40 * STEPS],
        [[CLOCK], [CLOCK + 1.0]],
    ],
)
def test_a_column_that_becomes_one_number_is_refused(episodes):
    with pytest.raises(InputError, match=r"me/x-v0: observations column 1 goes from .* float32"):
        look(*episodes)


@pytest.mark.parametrize(
    "episodes",
    [
        [STEPS],
        [np.random.default_rng(0).normal(size=1000)],
        [CLOCK + 3600.0 * STEPS],
        [101_325.0 + 10.0 * np.sin(STEPS)],
        [np.full(200, 9.81)],
        [9.81 + 1e-13 * STEPS],
        [1.0 - 1e-12 * STEPS**2],
        [np.full(5, CLOCK)],
        [(CLOCK + STEPS).astype(np.float32)],
        [STEPS.astype(np.uint8), STEPS.astype(np.uint8)],
        [np.arange(70_000)],
        [[np.nan, 1.0, 2.0]],
    ],
)
def test_rounding_is_no_reason(episodes):
    look(*episodes)


def test_a_number_beyond_float32_is_named_by_its_row():
    with pytest.raises(InputError, match=r"observations row 7 is not within .*-1e\+39 in column 1"):
        look([0.0] * 4, [0.0, 0.0, 0.0, -1e39])
