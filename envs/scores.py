"""Normalized scores: 0 is D4RL's random policy, 100 its reference policy.

Source: Farama-Foundation/D4RL@89141a6 ``d4rl/infos.py``; the same for all splits and versions.
Pointmaze, which is not in D4RL, is scored as antmaze is: a return of 1 is success.
"""

from __future__ import annotations

import numpy as np

from envs.spaces import Array

# name: (return of a random policy, return of the reference policy)
REFERENCE_RETURNS = {
    "halfcheetah": (-280.178953, 12135.0),
    "hopper": (-20.272305, 3234.3),
    "walker2d": (1.629008, 4592.3),
    "antmaze": (0.0, 1.0),
    "pointmaze": (0.0, 1.0),
}

# What Decision Transformer asks for: the higher of its targets. Source: kzl/decision-transformer
# @e2d82e6 ``gym/experiment.py``; antmaze: corl-team/CORL@eeeeef2 ``configs/offline/dt/antmaze``.
TARGET_RETURNS = {
    "halfcheetah": 12000.0,
    "hopper": 3600.0,
    "walker2d": 5000.0,
    "antmaze": 1.0,
    "pointmaze": 1.0,
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
