"""Methods on choices and on images: what they learn on probes, and losses by hand."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import bc, cql, dt, iql, networks, onestep, rvs, td3_bc, views
from envs import toy as toys
from envs.spaces import Box, Discrete
from envs.toy import CROSSING, START
from tests.helpers.descent import assert_descends

HIDDEN = (16, 16)
BASE = {"num_steps": 300, "batch_size": 32, "learning_rate": 1e-2, "hidden_dims": HIDDEN}
VALUES = {"discount": 0.5, "polyak": 0.1}
PHASES = {"behaviour_steps": 150, "sarsa_steps": 150}
ONESTEP = BASE | VALUES | PHASES | {"num_steps": 450}
METHODS = {
    "bc": (bc, bc.Config(**BASE)),
    "bc_10pct": (bc, bc.Config(**BASE, top_fraction=0.1)),
    "exp_weight": (onestep, onestep.Config(**ONESTEP, inverse_temperature=10.0)),
    "reverse_kl": (onestep, onestep.Config(**ONESTEP, improvement="reverse_kl", kl_weight=0.1)),
    "easy_bcq": (
        onestep,
        onestep.Config(**ONESTEP | {"num_steps": 300}, improvement="easy_bcq", num_samples=50),
    ),
    "dt": (
        dt,
        dt.Config(
            **BASE | {"num_steps": 150, "hidden_dims": (16,)},
            context=2, dropout=0.0, warmup_steps=20, return_scale=1.0,
        ),
    ),
    "rvs": (rvs, rvs.Config(**BASE)),
    "iql": (
        iql,
        iql.Config(
            **BASE, **VALUES, expectile=0.9, inverse_temperature=10.0, reward_transform="raw"
        ),
    ),
    "cql": (cql, cql.Config(**BASE, **VALUES, conservative_weight=0.1, cloning_steps=0)),
}  # fmt: skip


def action(algorithm, state, observation):
    carry = algorithm.reset(jax.random.key(0), jnp.zeros(0))
    chosen, _ = algorithm.act(state, carry, jnp.asarray(observation), jnp.asarray(0.0))
    chex.assert_shape(chosen, ())
    assert chosen.dtype == jnp.int32
    return int(chosen)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_finds_the_better_of_two_choices_but_bc_the_commoner(name, train):
    dataset, spec = toys.choices(toys.mixed_quality())
    module, config = METHODS[name]
    algorithm = module.make(config, spec)
    learned = action(algorithm, train(algorithm, dataset), START)
    assert learned == (0 if name == "bc" else 1)


@pytest.mark.parametrize("name", ["exp_weight", "easy_bcq", "iql", "cql"])
def test_methods_that_learn_values_leave_the_path_of_their_start_at_the_crossing(name, train):
    dataset, spec = toys.choices(toys.stitching())
    module, config = METHODS[name]
    algorithm = module.make(config, spec)
    assert action(algorithm, train(algorithm, dataset), CROSSING) == 1


def test_cql_values_choices_of_the_data_by_their_discounted_rewards(train):
    dataset, spec = toys.choices(toys.two_step())
    config = dataclasses.replace(METHODS["cql"][1], conservative_weight=0.0)
    state = train(cql.make(config, spec), dataset).critic.params
    critic = networks.critics(HIDDEN, spec.observation, spec.action)
    observations = jnp.asarray(np.stack([START, CROSSING]))
    q = critic.apply(state, observations, jnp.zeros(2, jnp.int32))
    np.testing.assert_allclose(q, [[0.5, 1.0]] * 2, atol=0.05)


def rows(generator, space, *, num_choices=3, num_rows=6):
    """Transitions with observations of ``space``, the second half terminated."""
    if space.dtype == "float32":
        draw = lambda: jnp.asarray(generator.standard_normal(space.batch(num_rows)), jnp.float32)
    else:
        draw = lambda: jnp.asarray(generator.integers(0, 256, space.batch(num_rows)), space.dtype)
    return views.Transitions(
        observations=draw(),
        actions=jnp.asarray(generator.integers(0, num_choices, num_rows), jnp.int32),
        rewards=jnp.asarray(generator.standard_normal(num_rows), jnp.float32),
        terminations=jnp.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        next_observations=draw(),
    )


def test_cqls_loss_of_choices_has_the_whole_soft_maximum_and_double_dqns_target(toy, first_state):
    spec = dataclasses.replace(toy[1], action=Discrete(3))
    config = cql.Config(
        num_steps=4, batch_size=6, learning_rate=0.05, hidden_dims=HIDDEN, discount=0.9,
        polyak=0.25, conservative_weight=2.0, cloning_steps=0,
    )  # fmt: skip
    algorithm = cql.make(config, spec)
    critic = networks.critics(HIDDEN, spec.observation, spec.action)
    state = first_state(algorithm, toy[0]).replace(target_critic=critic.init(jax.random.key(9)))
    batch = rows(np.random.default_rng(0), spec.observation)
    new, metrics = algorithm.phases[0].update(state, batch, jax.random.key(1), jnp.asarray(0))

    online = np.asarray(critic.all(state.critic.params, batch.next_observations))
    target = np.asarray(critic.all(state.target_critic, batch.next_observations))
    best = online.min(0).argmax(-1)
    assert (best != target.min(0).argmax(-1)).any()
    next_q = target[:, np.arange(6), best].min(0)
    goal = np.asarray(batch.rewards) + 0.9 * next_q * np.array([1, 1, 1, 0, 0, 0])

    def loss(params):
        all_q = critic.all(params, batch.observations)
        q = all_q[:, np.arange(6), batch.actions]
        gap = jnp.log(jnp.exp(all_q).sum(-1)) - q
        return jnp.sum(jnp.mean((q - goal[None]) ** 2 + 2.0 * gap, axis=1))

    assert metrics["critic_loss"] == pytest.approx(float(loss(state.critic.params)), rel=1e-4)
    assert_descends(loss, state.critic, new.critic, optax.adam(0.05))
    blend = lambda network, target: 0.25 * network + 0.75 * target
    expected = jax.tree.map(blend, new.critic.params, state.target_critic)
    chex.assert_trees_all_close(new.target_critic, expected, rtol=1e-5, atol=1e-7)


def test_the_divergence_of_choices_is_exact(toy, first_state):
    spec = dataclasses.replace(toy[1], action=Discrete(3))
    config = dataclasses.replace(METHODS["reverse_kl"][1], kl_weight=0.7)
    algorithm = onestep.make(config, spec)
    actor = networks.varying_gaussian_actor(HIDDEN, spec.observation, spec.action)
    critic = networks.critics(HIDDEN, spec.observation, spec.action, num=1)
    state = first_state(algorithm, toy[0])
    other = jax.tree.map(lambda x: 500.0 * x, actor.init(jax.random.key(5)))
    state = state.replace(actor=state.actor.replace(params=other))
    batch = rows(np.random.default_rng(0), spec.observation)
    demonstrations = views.Demonstrations(batch.observations, batch.actions)
    update = algorithm.phases[2].update
    _, metrics = update(state, demonstrations, jax.random.key(1), jnp.asarray(0))
    policy = np.asarray(actor.apply(other, batch.observations).probs, np.float64)
    behaviour = np.asarray(actor.apply(state.behaviour.params, batch.observations).probs)
    divergence = np.sum(policy * np.log((policy + 1e-12) / behaviour), axis=1)
    all_q = np.asarray(critic.all(state.critic.params, batch.observations)[0])
    q = np.sum(policy * all_q, axis=1)
    assert metrics["divergence"] == pytest.approx(divergence.mean(), rel=1e-3)
    assert metrics["actor_loss"] == pytest.approx((0.7 * divergence - q).mean(), rel=1e-3)


def test_methods_of_numbers_refuse_choices(toy):
    spec = dataclasses.replace(toy[1], action=Discrete(3))
    with pytest.raises(ValueError, match=r"rows of numbers, not of Discrete\(n=3\)"):
        td3_bc.make(td3_bc.Config(), spec)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("bc", "bool"),
        *((name, "uint8") for name in ("bc", "exp_weight", "dt", "rvs", "iql", "cql")),
    ],
)
def test_images_are_learned_from_and_acted_on(name, dtype, toy, first_state):
    image = Box((5, 4, 2), dtype, 255.0 if dtype == "uint8" else 1.0)
    spec = dataclasses.replace(toy[1], observation=image, action=Discrete(3))
    generator = np.random.default_rng(0)
    draw = lambda rows: generator.integers(0, 256, image.batch(rows)).astype(dtype)
    dataset = dataclasses.replace(
        toy[0],
        observations=draw(toy[0].num_rows),
        final_observations=draw(len(toy[0].episode_ends)),
        actions=generator.integers(0, 3, toy[0].num_rows).astype(np.int32),
    )
    module, config = METHODS[name]
    algorithm = module.make(config, spec)
    state = first_state(algorithm, dataset)
    for phase in algorithm.phases:
        view = jax.tree.map(jnp.asarray, phase.view(dataset))
        batch = phase.sample(jax.random.key(0), view)
        new, metrics = jax.jit(phase.update)(state, batch, jax.random.key(1), jnp.asarray(0))
        chex.assert_trees_all_equal_shapes_and_dtypes(state, new)
        assert np.isfinite(list(metrics.values())).all()
        state = new
    carry = algorithm.reset(jax.random.key(0), jnp.zeros(0))
    chosen, after = algorithm.act(state, carry, view.observations[0], jnp.asarray(0.0))
    assert chosen.dtype == jnp.int32
    chex.assert_trees_all_equal_shapes_and_dtypes(carry, after)
