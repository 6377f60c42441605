import chex
import jax
import jax.numpy as jnp
import pytest

from algos.losses import (
    advantage_weights,
    bellman_target,
    cloning_loss,
    expectile_loss,
    squared_error,
)


def test_the_expectile_loss_weighs_errors_by_their_sign():
    errors = jnp.array([1.0, -2.0, 3.0, 0.0])
    # (0.9 * 1 + 0.1 * 4 + 0.9 * 9 + 0) / 4
    assert expectile_loss(errors, 0.9) == pytest.approx(2.35)
    # (0.2 * 1 + 0.8 * 4 + 0.2 * 9 + 0) / 4
    assert expectile_loss(errors, 0.2) == pytest.approx(1.3)


def test_expectile_one_half_is_half_the_mean_squared_error():
    assert expectile_loss(jnp.array([1.0, -2.0, 3.0]), 0.5) == pytest.approx(14.0 / 6.0)


def test_the_gradient_of_the_expectile_loss_is_two_weighted_errors():
    gradient = jax.grad(expectile_loss)(jnp.array([1.0, -2.0]), 0.7)
    # 2 * weight * error / 2 rows
    assert gradient.tolist() == pytest.approx([0.7, -0.6])


def test_the_squared_error_sums_over_critics_and_averages_over_rows():
    predictions = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    targets = jnp.array([1.0, 0.0, 5.0])
    # (0 + 4 + 4) / 3 + (1 + 0 + 25) / 3
    assert squared_error(predictions, targets) == pytest.approx(34.0 / 3.0)


def test_the_bellman_target_leaves_out_what_follows_a_termination():
    rewards, terminations = jnp.array([1.0, -1.0, 0.5]), jnp.array([0.0, 0.0, 1.0])
    target = bellman_target(rewards, terminations, jnp.array([2.0, 4.0, 8.0]), 0.5)
    assert target.tolist() == pytest.approx([2.0, 1.0, 0.5])


def test_advantages_weigh_exponentially_up_to_a_cap():
    advantages = jnp.log(jnp.array([1.0, 0.5, 3.0, 100.0]))
    assert advantage_weights(advantages, 2.0, 5.0).tolist() == pytest.approx([1.0, 0.25, 5.0, 5.0])
    assert advantage_weights(advantages, 0.0, 5.0).tolist() == [1.0] * 4


def test_the_cloning_loss_is_the_mean_negative_log_likelihood_of_weighted_rows():
    log_prob = jnp.array([-1.0, -2.0, 0.5])
    assert cloning_loss(log_prob) == pytest.approx(2.5 / 3.0)
    # (1 * 1 + 3 * 2 - 2 * 0.5) / 3
    assert cloning_loss(log_prob, jnp.array([1.0, 3.0, 2.0])) == pytest.approx(2.0)


def test_losses_refuse_arrays_of_another_rank():
    with pytest.raises(AssertionError):
        expectile_loss(jnp.zeros((3, 1)), 0.5)
    with pytest.raises(AssertionError):
        squared_error(jnp.zeros((2, 3)), jnp.zeros((2, 3)))
    with pytest.raises(AssertionError):
        squared_error(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(AssertionError):
        bellman_target(jnp.zeros(3), jnp.zeros(3), jnp.zeros((2, 3)), 0.5)
    with pytest.raises(AssertionError):
        advantage_weights(jnp.zeros((2, 3)), 1.0, 1.0)
    with pytest.raises(AssertionError):
        cloning_loss(jnp.zeros((3, 1)))
    chex.assert_shape(squared_error(jnp.zeros((2, 3)), jnp.zeros(3)), ())
