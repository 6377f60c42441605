import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from algos import networks
from envs.spaces import Box

HIDDEN = (16, 16)
OBSERVATION_DIM, ACTION_DIM = 3, 2
OBSERVATION, ACTION = Box((3,)), Box((2,), limit=1.0)


def observations(num_rows=5, scale=1.0):
    generator = np.random.default_rng(0)
    return jnp.asarray(scale * generator.standard_normal((num_rows, OBSERVATION_DIM)), jnp.float32)


def actions(num_rows=5):
    generator = np.random.default_rng(1)
    return jnp.asarray(generator.uniform(-1.0, 1.0, (num_rows, ACTION_DIM)), jnp.float32)


def test_a_deterministic_actor_gives_actions_in_bounds():
    actor = networks.deterministic_actor(HIDDEN, OBSERVATION, ACTION)
    params = actor.init(jax.random.key(0))
    many = actor.apply(params, observations(100, scale=100.0))
    assert many.shape == (100, ACTION_DIM)
    assert np.abs(many).max() <= 1.0
    assert np.abs(many).max() > 0.9
    assert len(np.unique(np.round(many, 3), axis=0)) > 10
    one = actor.apply(params, observations()[0])
    assert one.shape == (ACTION_DIM,)
    np.testing.assert_allclose(one, actor.apply(params, observations())[0], rtol=1e-5)


def test_the_mode_of_a_gaussian_actor_is_in_bounds():
    actor = networks.gaussian_actor(HIDDEN, OBSERVATION, ACTION)
    params = actor.init(jax.random.key(0))
    mode = actor.apply(params, observations(100, scale=100.0)).mode()
    assert mode.shape == (100, ACTION_DIM)
    assert np.abs(mode).max() <= 1.0
    assert np.abs(mode).max() > 0.9
    assert actor.apply(params, observations()[0]).mode().shape == (ACTION_DIM,)


@pytest.mark.parametrize("log_std", [0.0, -1.0, 0.5])
def test_the_log_probability_is_that_of_independent_normals(log_std):
    actor = networks.gaussian_actor(HIDDEN, OBSERVATION, ACTION)
    params = actor.init(jax.random.key(0))
    params["params"]["log_std"] = jnp.array([log_std, -0.3])
    distribution = actor.apply(params, observations())
    std = np.exp([log_std, -0.3])
    expected = norm.logpdf(np.asarray(actions()), np.asarray(distribution.mode()), std).sum(axis=1)
    np.testing.assert_allclose(distribution.log_prob(actions()), expected, rtol=1e-5)


@pytest.mark.parametrize(("log_std", "bound"), [(-9.0, -2.0), (9.0, 1.0)])
def test_the_deviation_is_kept_in_range(log_std, bound):
    actor = networks.gaussian_actor(HIDDEN, OBSERVATION, ACTION, log_std_range=(-2.0, 1.0))
    params = actor.init(jax.random.key(0))
    params["params"]["log_std"] = jnp.full(ACTION_DIM, log_std)
    std = actor.apply(params, observations()).stddev()
    np.testing.assert_allclose(std, np.full((5, ACTION_DIM), np.exp(bound)), rtol=1e-5)


def of_one_number(network, number):
    """Parameters that are all ``number``."""
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, number), shapes)


@pytest.mark.parametrize(("log_std", "bound"), [(-9.0, -5.0), (9.0, 2.0), (-4.9, -4.9), (1.9, 1.9)])
def test_the_deviation_of_a_gaussian_is_kept_within_e_to_minus_5_and_e_squared(log_std, bound):
    actor = networks.gaussian_actor((4,), OBSERVATION, ACTION)
    std = actor.apply(of_one_number(actor, log_std), observations()).stddev()
    np.testing.assert_allclose(std, np.full((5, ACTION_DIM), np.exp(bound)), rtol=1e-5)


# At an observation of zeros a net of one unit gives c relu(c) + c where all parameters are c.
@pytest.mark.parametrize("number", [-9.0, -0.5, 0.0, 0.25, 9.0])
def test_a_varying_deviation_is_an_exponential_from_e_to_minus_5_to_1_of_a_tanh(number):
    actor = networks.varying_gaussian_actor((1,), OBSERVATION, ACTION)
    policy = actor.apply(of_one_number(actor, number), jnp.zeros((1, OBSERVATION_DIM)))
    output = np.tanh(number * max(number, 0.0) + number)
    np.testing.assert_allclose(policy.mode(), np.full((1, ACTION_DIM), output), atol=1e-6)
    std = np.exp(2.5 * (output - 1.0))
    np.testing.assert_allclose(policy.stddev(), np.full((1, ACTION_DIM), std), rtol=1e-5)


# The same, before the tanh that makes actions of it.
@pytest.mark.parametrize(
    ("number", "mean", "log_std"),
    [(-9.0, -9.0, -5.0), (-0.5, -0.5, -0.5), (1.0, 2.0, 2.0), (1.5, 3.75, 2.0), (9.0, 9.0, 2.0)],
)
def test_the_mean_and_deviation_before_the_tanh_are_bounded(number, mean, log_std):
    actor = networks.squashed_actor((1,), OBSERVATION, ACTION)
    policy = actor.apply(of_one_number(actor, number), jnp.zeros((1, OBSERVATION_DIM))).gaussian
    np.testing.assert_allclose(policy.mode(), np.full((1, ACTION_DIM), mean), rtol=1e-5)
    np.testing.assert_allclose(
        policy.stddev(), np.full((1, ACTION_DIM), np.exp(log_std)), rtol=1e-5
    )


@pytest.fixture
def squashed():
    """A distribution of actions at 5 observations, and its Gaussian's mean and deviation."""
    generator = np.random.default_rng(2)
    mean, std = generator.normal(size=(5, ACTION_DIM)), generator.uniform(0.3, 1.0, (5, ACTION_DIM))
    actor = networks.squashed_actor(HIDDEN, OBSERVATION, ACTION)
    policy = actor.apply(actor.init(jax.random.key(0)), observations())
    like = lambda x: jnp.asarray(x, jnp.float32)
    gaussian = type(policy.gaussian)(like(mean), like(std))
    return policy._replace(gaussian=gaussian), mean, std


def slope_of_cdf(mean, std, actions):
    """Log density as the numerical derivative of the share of lower actions."""
    share = lambda a: norm.cdf(np.arctanh(a), mean, std)
    width = 1e-4 * (1.0 - actions**2)
    density = (share(actions + width) - share(actions - width)) / (2.0 * width)
    return np.log(density).sum(axis=-1)


def test_the_mode_of_a_squashed_gaussian_is_the_tanh_of_the_mean(squashed):
    policy, mean, _ = squashed
    np.testing.assert_allclose(policy.mode(), np.tanh(mean), rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, ACTION_DIM), (3, 5, ACTION_DIM)])
def test_noise_becomes_actions_whose_densities_are_slopes_of_their_distribution(shape, squashed):
    policy, mean, std = squashed
    noise = np.random.default_rng(3).normal(size=shape)
    pushed, log_prob = policy.push(jnp.asarray(noise, jnp.float32))
    np.testing.assert_allclose(pushed, np.tanh(mean + std * noise), rtol=1e-4, atol=1e-6)
    expected = slope_of_cdf(mean, std, np.tanh(mean + std * noise))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-3, atol=1e-3)


def test_densities_of_any_actions_are_slopes_of_their_distribution(squashed):
    policy, mean, std = squashed
    expected = slope_of_cdf(mean, std, np.asarray(actions(), np.float64))
    np.testing.assert_allclose(policy.log_prob(actions()), expected, rtol=1e-3, atol=1e-3)


def test_an_action_at_its_bound_has_the_density_a_millionth_within(squashed):
    policy, mean, std = squashed
    bounds = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    raw = np.arctanh(bounds * (1.0 - 1e-6))
    # There the slope of the tanh is 2e-6.
    expected = np.sum(norm.logpdf(raw, mean, std) + np.log(1e6 / 2.0), axis=1)
    np.testing.assert_allclose(policy.log_prob(jnp.asarray(bounds)), expected, rtol=2e-2)


def test_a_fresh_gaussian_actor_has_unit_deviation():
    actor = networks.gaussian_actor(HIDDEN, OBSERVATION, ACTION)
    std = actor.apply(actor.init(jax.random.key(0)), observations()).stddev()
    assert (std == 1.0).all()


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_value_is_one_number_per_row(layer_norm):
    value = networks.value(HIDDEN, OBSERVATION, layer_norm=layer_norm)
    params = value.init(jax.random.key(0))
    values = value.apply(params, observations())
    assert values.shape == (5,)
    assert len(np.unique(values)) == 5
    assert value.apply(params, observations()[0]).shape == ()


@pytest.mark.parametrize("layer_norm", [False, True])
def test_critics_are_an_axis_whose_members_differ(layer_norm):
    critic = networks.critics(HIDDEN, OBSERVATION, ACTION, layer_norm=layer_norm)
    params = critic.init(jax.random.key(0))
    q = critic.apply(params, observations(), actions())
    assert q.shape == (2, 5)
    assert (np.abs(q[0] - q[1]) > 1e-4).all()
    for leaf in jax.tree.leaves(params):
        assert leaf.shape[0] == 2
    assert critic.apply(params, observations()[0], actions()[0]).shape == (2,)


def test_there_can_be_any_number_of_critics():
    critic = networks.critics(HIDDEN, OBSERVATION, ACTION, num=5)
    params = jax.eval_shape(critic.init, jax.random.key(0))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params)} == {5}
    assert jax.eval_shape(critic.apply, params, observations(), actions()).shape == (5, 5)


def test_critics_depend_on_the_action():
    critic = networks.critics(HIDDEN, OBSERVATION, ACTION)
    params = critic.init(jax.random.key(0))
    one = critic.apply(params, observations(), actions())
    other = critic.apply(params, observations(), -actions())
    assert (np.abs(one - other) > 1e-4).all()


def test_layer_norm_adds_a_scale_and_a_bias_per_hidden_layer():
    count = lambda **options: len(
        jax.tree.leaves(networks.value(HIDDEN, OBSERVATION, **options).init(jax.random.key(0)))
    )
    assert count() == 6
    assert count(layer_norm=True) == 10


def test_layer_norm_makes_hidden_layers_blind_to_the_scale_of_their_input():
    # With zero biases, the first layer's output scales with its input and is then normalised.
    value = networks.value(HIDDEN, OBSERVATION, layer_norm=True)
    params = value.init(jax.random.key(0))
    small, large = (value.apply(params, observations(scale=scale)) for scale in (10.0, 1000.0))
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-4)
    plain = networks.value(HIDDEN, OBSERVATION)
    params = plain.init(jax.random.key(0))
    small, large = (plain.apply(params, observations(scale=scale)) for scale in (10.0, 1000.0))
    np.testing.assert_allclose(100.0 * small, large, rtol=1e-3)


def test_hidden_kernels_are_orthogonal_with_gain_sqrt_2():
    value = networks.value((8, 8), Box((8,)))
    kernels = [
        leaf for leaf in jax.tree.leaves(value.init(jax.random.key(0))) if leaf.shape == (8, 8)
    ]
    assert len(kernels) == 2
    for kernel in kernels:
        np.testing.assert_allclose(kernel.T @ kernel, 2.0 * np.eye(8), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "gain"),
    [
        (networks.value((8, 8), Box((8,))), 2.0**0.5),
        (networks.critics((8, 8), Box((8,)), Box((3,)), num=1), 2.0**0.5),
        (networks.deterministic_actor((8, 8), Box((8,)), Box((3,))), 2.0**0.5),
        (networks.gaussian_actor((8, 8), Box((8,)), Box((3,))), 2.0**0.5),
        (networks.varying_gaussian_actor((8, 8), Box((8,)), Box((3,))), 2.0**0.5),
        # CQL's policy starts in the middle of all actions.
        (networks.squashed_actor((8, 8), Box((8,)), Box((3,))), 1e-3),
    ],
)
def test_the_last_kernel_is_orthogonal_with_its_gain(network, gain):
    leaves = jax.tree.leaves(network.init(jax.random.key(0)))
    kernels = [leaf for leaf in leaves if leaf.ndim > 1 and leaf.shape[-2] == 8]
    last = min(kernels, key=lambda leaf: leaf.shape[-1])
    last = np.asarray(last).reshape(last.shape[-2:])
    np.testing.assert_allclose(last.T @ last, gain**2 * np.eye(last.shape[1]), atol=1e-5 * gain**2)


def test_different_keys_give_different_networks():
    actor = networks.deterministic_actor(HIDDEN, OBSERVATION, ACTION)
    one, other = (actor.apply(actor.init(jax.random.key(seed)), observations()) for seed in (0, 1))
    assert (np.abs(one - other) > 1e-5).all()
