"""Losses that more than one method uses."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp


def expectile_loss(errors: jax.Array, expectile: float) -> jax.Array:
    """Asymmetric squared error ``|tau - 1(u < 0)| u^2``, averaged over the batch.

    Args:
        errors: ``[B]`` target minus prediction.
        expectile: tau in (0, 1); 0.5 is half the mean squared error.

    Returns:
        ``[]`` loss in squared reward units.

    Source: ikostrikov/implicit_q_learning@09d7002 ``critic.py:8``.
    """
    chex.assert_rank(errors, 1)
    weights = jnp.where(errors > 0, expectile, 1.0 - expectile)
    return jnp.mean(weights * errors**2)


def squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared error averaged over the batch and summed over the ensemble.

    Args:
        predictions: ``[C, B]`` one row per critic.
        targets: ``[B]``.

    Returns:
        ``[]``.
    """
    chex.assert_rank([predictions, targets], [2, 1])
    return jnp.sum(jnp.mean((predictions - targets[None]) ** 2, axis=1))


def bellman_target(
    rewards: jax.Array, terminations: jax.Array, next_values: jax.Array, discount: float
) -> jax.Array:
    """``r + gamma (1 - d) V(s')``, all ``[B]``: no value follows a termination."""
    chex.assert_rank([rewards, terminations, next_values], 1)
    return rewards + discount * (1.0 - terminations) * next_values


def advantage_weights(
    advantages: jax.Array, inverse_temperature: float, max_weight: float
) -> jax.Array:
    """``min(exp(beta A), max_weight)`` for ``advantages`` ``[B]``: weights of cloned rows ``[B]``.

    Source: the cap of 100, ikostrikov/implicit_q_learning@09d7002 ``actor.py``.
    """
    chex.assert_rank(advantages, 1)
    return jnp.minimum(jnp.exp(inverse_temperature * advantages), max_weight)


def cloning_loss(log_prob: jax.Array, weights: jax.Array | float = 1.0) -> jax.Array:
    """``-w log pi(a | s)``, averaged over the batch.

    Args:
        log_prob: ``[B]`` of the data's actions.
        weights: ``[B]``, or one for all rows.

    Returns:
        ``[]``.
    """
    chex.assert_rank(log_prob, 1)
    return -jnp.mean(weights * log_prob)
