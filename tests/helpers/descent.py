"""What one step of an optimizer down a loss leaves behind."""

import chex
import jax
import numpy as np

from algos import core


def assert_descends(loss, before, after, tx):
    """Check that one step of ``tx`` down ``loss`` (params -> ``[]``) turns the one into the other.

    An optimizer's moments hold the whole gradient, but the sign alone of a gradient near 0 decides
    about Adam's first step, so a few parameters may differ.
    """
    step = jax.jit(lambda trainable: core.descend(lambda p: (loss(p), {}), trainable, tx)[0])
    expected = step(before)
    chex.assert_trees_all_close(after.opt_state, expected.opt_state, rtol=2e-3, atol=1e-5)
    flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    start, end, wanted = map(flat, (before.params, after.params, expected.params))
    assert np.isclose(end, wanted, rtol=1e-3, atol=1e-5).mean() > 0.97
    assert (end != start).any()
