"""Normalized scores: 0 is D4RL's random policy, 100 its reference policy.

Source: Farama-Foundation/D4RL@89141a6 ``d4rl/infos.py``; the same for all splits and versions. In
mazes they are 0 and 1: a return of 1 is success.
"""

from __future__ import annotations

import numpy as np

from envs.spaces import Array

# robot: (return of a random policy, return of the reference policy)
REFERENCE_RETURNS = {
    "halfcheetah": (-280.178953, 12135.0),
    "hopper": (-20.272305, 3234.3),
    "walker2d": (1.629008, 4592.3),
}

# Decision Transformer asks for the higher of its targets. Source: kzl/decision-transformer
# @e2d82e6 ``gym/experiment.py``. In mazes it is 1, which is the return of success: antmaze in
# corl-team/CORL@eeeeef2 ``configs/offline/dt/antmaze``.
TARGET_RETURNS = {
    "halfcheetah": 12000.0,
    "hopper": 3600.0,
    "walker2d": 5000.0,
}


def normalized_score(returns: Array, reference: tuple[float, float]) -> Array:
    """``100 (return - min) / (max - min)``, element by element.

    Only ever for returns: a standard deviation has no offset to remove.

    Args:
        returns: any shape, undiscounted episode returns.
        reference: (random, reference) returns.
    """
    low, high = reference
    return 100.0 * (np.asarray(returns) - low) / (high - low)
