import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

from algos.online import mlp, sac
from algos.online.progress import load_progress, save_progress
from envs.collect import policy

CONFIG = sac.Config(hidden_dims=(8, 8), batch_size=4, replay_rows=6)
TX = optax.scale_by_adam()


# The online trainers are not held to the rule that shapes must have equal rank.
@pytest.fixture(scope="module", autouse=True)
def _rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def actor():
    """A network of three inputs for two actions whose deviations differ between rows."""
    layers = mlp.init(jax.random.key(0), (3, 8, 8, 4), last_scale=0.4)
    return [(kernel, bias + 0.1) for kernel, bias in layers]


@pytest.fixture(scope="module")
def observations():
    return jnp.asarray(np.random.default_rng(0).standard_normal((50, 3)), jnp.float32)


def first_state(seed):
    return sac._init(jax.random.key(seed), 3, 2, CONFIG, TX)


def test_the_log_probability_is_that_of_the_squashed_action(actor, observations):
    actions, log_prob = sac._sample_action(actor, observations, jax.random.key(1))
    actions = np.asarray(actions, np.float64)
    assert np.abs(actions).max() < 1.0
    assert np.abs(actions).max() > 0.9
    mean, log_std = np.split(np.asarray(mlp.apply(actor, observations, jax.nn.relu)), 2, axis=1)
    # P(action <= a) = Phi((atanh(a) - mean) / std); its numerical slope is the density.
    below = lambda a: norm.cdf((np.arctanh(a) - mean) / np.exp(log_std))
    step = 1e-6 * (1.0 - np.abs(actions))
    density = (below(actions + step) - below(actions - step)) / (2.0 * step)
    np.testing.assert_allclose(log_prob, np.log(density).sum(axis=1), rtol=2e-3, atol=2e-3)


def test_the_log_probability_stays_finite_where_tanh_saturates():
    flat = lambda mean: [(jnp.zeros((3, 4)), jnp.array([mean, -mean, -9.0, 9.0]))]
    for mean in (0.0, 20.0, 60.0):
        _, log_prob = sac._sample_action(flat(mean), jnp.zeros((5, 3)), jax.random.key(0))
        assert np.isfinite(log_prob).all()


def test_a_saved_policy_gives_the_networks_actions(actor, observations, tmp_path):
    mean, std = np.array([0.5, 0.0, -1.0], np.float32), np.array([2.0, 1.0, 0.5], np.float32)
    mlp.to_policy(actor, mean, std).save("robot", tmp_path)
    loaded = policy.load("robot", tmp_path)
    inputs = np.asarray(observations) * std + mean
    noise = np.random.default_rng(1).standard_normal((50, 2)).astype(np.float32)
    outputs = np.asarray(mlp.apply(actor, observations, jax.nn.relu))
    np.testing.assert_allclose(
        loaded.forward(inputs, lambda x: np.maximum(x, 0.0)), outputs, rtol=1e-2, atol=1e-2
    )
    expected = np.tanh(outputs[:, :2] + np.exp(outputs[:, 2:]) * noise)
    np.testing.assert_allclose(loaded.squashed_gaussian(inputs, noise), expected, atol=2e-2)
    assert [path.name for path in tmp_path.iterdir()] == ["robot.npz"]


def test_the_deviation_of_a_saved_policy_is_kept_in_range():
    biases = np.array([0.0, 0.0, 50.0, -50.0], np.float32)
    one = policy.Policy((np.zeros((3, 4), np.float32),), (biases,), np.zeros(3), np.ones(3))
    actions = one.squashed_gaussian(np.zeros((1, 3)), np.array([[0.1, 1.0]]))
    np.testing.assert_allclose(actions[0], np.tanh([0.1 * np.exp(2.0), np.exp(-5.0)]), rtol=1e-5)


def test_progress_is_read_as_it_was_saved(tmp_path):
    generator = np.random.default_rng(0)
    buffer = {"rewards": generator.standard_normal(6), "actions": generator.standard_normal((6, 2))}
    state = first_state(0)
    save_progress(tmp_path / "run", state, buffer, 4, [1.5, 2.5])
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["progress.npz"]

    empty = {"rewards": np.zeros(6), "actions": np.zeros((6, 2))}
    other = first_state(1)
    loaded, step, history = load_progress(tmp_path / "run", other, empty)
    assert (step, history) == (4, [1.5, 2.5])
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    data = lambda x: np.asarray(jax.random.key_data(x) if is_key(x) else x)
    for saved, read in zip(jax.tree.leaves(state), jax.tree.leaves(loaded), strict=True):
        assert saved.dtype == read.dtype
        np.testing.assert_array_equal(data(saved), data(read))
    assert jax.random.normal(loaded.key) == jax.random.normal(state.key)
    for name in buffer:
        np.testing.assert_array_equal(empty[name][:4], buffer[name][:4])
        assert (empty[name][4:] == 0.0).all()


def test_a_full_buffer_is_saved_whole(tmp_path):
    buffer = {"rewards": np.arange(6.0)}
    save_progress(tmp_path, first_state(0), buffer, 100, [])
    read = {"rewards": np.zeros(6)}
    _, step, _ = load_progress(tmp_path, first_state(1), read)
    assert step == 100
    np.testing.assert_array_equal(read["rewards"], buffer["rewards"])


def test_there_is_no_progress_before_it_is_saved(tmp_path):
    assert load_progress(tmp_path, first_state(0), {}) is None


@pytest.fixture(scope="module")
def updated():
    """States before and after one update on four rows, the second of them terminated."""
    generator = np.random.default_rng(0)
    batch = {
        "observations": generator.standard_normal((4, 3)),
        "actions": generator.uniform(-1.0, 1.0, (4, 2)),
        "rewards": generator.standard_normal(4),
        "terminations": np.array([0.0, 1.0, 0.0, 0.0]),
        "next_observations": generator.standard_normal((4, 3)),
    }
    batch = {name: jnp.asarray(value, jnp.float32) for name, value in batch.items()}
    update = jax.jit(lambda state, batch: sac._update(state, batch, 5e-4, CONFIG, TX))
    elsewhere = batch | {"next_observations": batch["next_observations"].at[1].add(5.0)}
    return first_state(0), update(first_state(0), batch), update(first_state(0), elsewhere)


def test_the_first_step_of_a_parameter_is_as_long_as_the_learning_rate(updated):
    before, after, _ = updated
    moved = np.concatenate(
        [
            np.ravel(b - a)
            for a, b in zip(*map(jax.tree.leaves, (before.critics, after.critics)), strict=True)
        ]
    )
    # Adam's first step has the learning rate's length, down the gradient, where there is one.
    assert np.abs(moved).max() == pytest.approx(5e-4, rel=1e-2)


def test_the_learning_rate_falls_over_the_last_steps_only():
    config = sac.Config(max_steps=100, decay_steps=40, learning_rate=1e-3)
    rates = [float(sac.learning_rate_schedule(config)(step)) for step in (0, 60, 80, 100)]
    assert rates == pytest.approx([1e-3, 1e-3, 0.525e-3, 0.05e-3])


def test_what_follows_a_terminated_row_does_not_reach_the_critics(updated):
    _, one, other = updated
    pairs = zip(jax.tree.leaves(one.critics), jax.tree.leaves(other.critics), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_the_target_critics_follow_the_critics_slowly(updated):
    before, after, _ = updated
    trees = (before.target_critics, after.critics, after.target_critics)
    for old, critic, new in zip(*map(jax.tree.leaves, trees), strict=True):
        np.testing.assert_allclose(new, 0.995 * old + 0.005 * critic, rtol=1e-4, atol=1e-6)


def test_the_temperature_falls_while_entropy_is_above_its_target(updated):
    before, after, _ = updated
    # A fresh actor's entropy is near that of a uniform action, 2 log 2, above the target of -2.
    assert after.log_alpha < before.log_alpha
