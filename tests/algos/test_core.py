import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import core

TX = optax.sgd(0.5)


def fit(slope, x, y):
    """The squared error of ``slope * x`` ``[M, B]`` to ``y`` ``[B]``, with its mean as metric."""
    errors = slope * x - y[None]
    return jnp.mean(errors**2), {"error": errors.mean()}


def test_one_step_goes_down_the_gradient_by_the_learning_rate():
    trainable = core.Trainable.create(jnp.float32(1.0), TX)
    x, y = jnp.array([[1.0, 2.0]]), jnp.array([2.0, 0.0])
    new, metrics = core.descend(fit, trainable, TX, x, y)
    # Errors -1 and 2; the gradient is the mean of 2 * error * x, -2 and 8.
    assert metrics["error"] == pytest.approx(0.5)
    assert new.params == pytest.approx(1.0 - 0.5 * 3.0)


def test_what_a_loss_is_given_is_constant():
    trainable = core.Trainable.create(jnp.float32(1.0), TX)
    loss = lambda slope, target: (slope * 2.0 - target, {})
    step = lambda slope: core.descend(loss, trainable, TX, 3.0 * slope)[0].params
    assert step(1.0) == step(5.0) == pytest.approx(0.0)


@pytest.mark.parametrize("num_rows", [128, 192, 64, 100])
def test_a_batch_in_pieces_teaches_what_the_whole_batch_does(num_rows, monkeypatch):
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.standard_normal((3, num_rows)), jnp.float32)
    y = jnp.asarray(generator.standard_normal(num_rows), jnp.float32)
    trainable = core.Trainable.create(jnp.float32(1.0), TX)
    whole = core.descend(fit, trainable, TX, x, y)
    rows_of_losses = []

    def noted(slope, x, y):
        rows_of_losses.append(x.shape[1])
        return fit(slope, x, y)

    pieces = core.descend_in_pieces(noted, trainable, TX, x, y, in_axes=(1, 0))
    chex.assert_trees_all_close(pieces, whole, rtol=1e-5)
    # 64 rows at a time where they divide the batch, on a CPU.
    assert set(rows_of_losses) == {100 if num_rows == 100 else 64}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    core.descend_in_pieces(noted, trainable, TX, x, y, in_axes=(1, 0))
    assert rows_of_losses[-1] == num_rows
