import re
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import bc, cql, iql, onestep, sampling, td3_bc, views
from algos.core import Normalizer
from algos.registry import ALGORITHMS, get_algorithm
from algos.settings import Size, resolve
from envs.environment import EnvSpec
from envs.errors import InputError
from envs.spaces import Box
from envs.tasks import FAMILIES

NUM_STEPS = 3


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def trained(request, toy, first_state):
    """An algorithm with what three updates of each of its phases gave, compiled once."""
    dataset, spec = toy
    entry = ALGORITHMS[request.param]
    config = resolve(request.param, "own", Size(NUM_STEPS, 8, (16, 16))).config
    algorithm = entry.make(config, spec)
    states = [first_state(algorithm, dataset)]
    phases = []
    for phase in algorithm.phases:
        view = jax.tree.map(jnp.asarray, phase.view(dataset))
        update = jax.jit(phase.update)
        batches = [phase.sample(jax.random.key(step), view) for step in range(NUM_STEPS)]
        metrics = []
        for step, batch in enumerate(batches):
            state, measured = update(states[-1], batch, jax.random.key(step), number(step))
            states.append(state)
            metrics.append(measured)
        phases.append(SimpleNamespace(phase=phase, update=update, batches=batches, metrics=metrics))
    act = jax.jit(algorithm.act)
    return SimpleNamespace(algorithm=algorithm, act=act, states=states, phases=phases)


def number(step):
    return jnp.asarray(step, jnp.int32)


def differ(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any((a != b).any() for a, b in pairs)


def test_update_changes_no_structure_shape_or_type(trained):
    first = trained.states[0]
    assert len(trained.states) == 1 + NUM_STEPS * len(trained.phases)
    for state in trained.states[1:]:
        assert jax.tree.structure(first) == jax.tree.structure(state)
        chex.assert_trees_all_equal_shapes_and_dtypes(first, state)


def test_update_changes_the_state(trained):
    for before, after in zip(trained.states[:-1], trained.states[1:], strict=True):
        assert differ(before, after)


def test_update_compiles_once(trained):
    for part in trained.phases:
        assert part.update._cache_size() == 1


def test_metrics_are_finite_numbers_with_the_same_names_each_time(trained):
    for part in trained.phases:
        names = {tuple(sorted(metrics)) for metrics in part.metrics}
        assert len(names) == 1
        assert names != {()}
        for metrics in part.metrics:
            for metric in metrics.values():
                chex.assert_shape(metric, ())
                assert np.isfinite(metric)


def test_update_is_pure(trained):
    state = trained.states[0]
    for part in trained.phases:
        batch = part.batches[0]
        before = jax.tree.map(np.array, (state, batch))
        # Keys are used up, so each call makes its own.
        one, other = (part.update(state, batch, jax.random.key(1), number(0)) for _ in range(2))
        chex.assert_trees_all_equal(one, other)
        chex.assert_trees_all_equal(before, (state, batch))
        # What is compiled is the same at each tracing, so it takes nothing from outside.
        programs = [
            re.sub(r"0x\w+", "", str(jax.make_jaxpr(lambda *args, p=part.phase: p.update(*args))(
                state, batch, jax.random.key(1), number(0)
            )))
            for _ in range(2)
        ]  # fmt: skip
        assert programs[0] == programs[1]


def test_a_first_state_is_decided_by_its_key(trained, toy, first_state):
    same, other = (first_state(trained.algorithm, toy[0], seed) for seed in (0, 1))
    chex.assert_trees_all_equal(trained.states[0], same)
    assert differ(same, other)


def test_a_first_state_can_be_traced_for_many_keys(trained, toy):
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    init = jax.vmap(trained.algorithm.init, in_axes=(0, None))
    shapes = jax.eval_shape(init, keys, views.statistics(toy[0]))
    chex.assert_trees_all_equal_shapes_and_dtypes(
        shapes, jax.tree.map(lambda x: jnp.stack([x, x]), trained.states[0])
    )


def test_states_hold_arrays_only(trained):
    for leaf in jax.tree.leaves(trained.states):
        assert isinstance(leaf, jax.Array)


def test_actions_are_in_bounds_and_memory_keeps_its_shape(trained, toy):
    algorithm, spec = trained.algorithm, toy[1]
    first = carry = algorithm.reset(jax.random.key(1), jnp.zeros(spec.goal_dim))
    generator = np.random.default_rng(0)
    actions = []
    for _ in range(20):
        observation = jnp.asarray(10.0 * generator.standard_normal(3), jnp.float32)
        action, carry = trained.act(trained.states[-1], carry, observation, jnp.asarray(0.5))
        chex.assert_shape(action, (spec.action_dim,))
        assert jax.tree.structure(first) == jax.tree.structure(carry)
        chex.assert_trees_all_equal_shapes_and_dtypes(first, carry)
        actions.append(action)
    assert np.isfinite(actions).all()
    assert np.abs(actions).max() <= 1.0
    assert len(np.unique(np.round(actions, 4), axis=0)) > 5
    assert trained.act._cache_size() == 1


# Far from the identity, and different for each entry of an observation.
MEAN, STD = np.float32([1.0, -2.0, 0.5]), np.float32([4.0, 0.5, 2.0])


def normalized_and_not(state):
    """``state`` with a normalizer of `MEAN` and `STD`, and with the identity."""
    return (
        state.replace(normalizer=Normalizer(mean=jnp.asarray(MEAN), std=jnp.asarray(STD))),
        state.replace(normalizer=Normalizer(mean=jnp.zeros(3), std=jnp.ones(3))),
    )


def raw(observations):
    """What the normalizer turns into ``observations`` ``[..., 3]``."""
    return jnp.asarray(np.asarray(observations) * STD + MEAN)


# Steps of the cloning and of the climbing that CQL starts with and goes on to, both of them with an
# update of TD3+BC's actor.
@pytest.mark.parametrize("step", [1, 5])
def test_a_method_that_keeps_a_normalizer_learns_from_what_comes_out_of_it(trained, step):
    if not hasattr(trained.states[0], "normalizer"):
        return
    for index, part in enumerate(trained.phases):
        batch = part.batches[0]
        names = {"observations", "next_observations"} & set(batch._fields)
        rows = batch._replace(**{name: raw(getattr(batch, name)) for name in names})
        scaling, plain = normalized_and_not(trained.states[index * NUM_STEPS])
        learn = lambda state, batch, part=part: part.update(
            state, batch, jax.random.key(1), number(step)
        )
        (new, metrics), (expected, same) = learn(scaling, rows), learn(plain, batch)
        chex.assert_trees_all_close(metrics, same, rtol=1e-3, atol=1e-4)
        pairs = [jax.tree.leaves(state.replace(normalizer=())) for state in (new, expected)]
        # Of a gradient near 0 Adam's first step has the sign of rounding, so a few leaves differ.
        near = [np.isclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(*pairs, strict=True)]
        assert np.mean(np.concatenate([leaf.ravel() for leaf in near])) > 0.97
        assert differ(metrics, learn(plain, rows)[1])
        for name in names:  # each of them counts
            one = rows._replace(**{name: getattr(batch, name)})
            assert differ(metrics, learn(scaling, one)[1]), name


def test_a_method_that_keeps_a_normalizer_acts_on_what_comes_out_of_it(trained):
    if not hasattr(trained.states[0], "normalizer"):
        return
    scaling, plain = normalized_and_not(trained.states[-1])
    memories = [trained.algorithm.reset(jax.random.key(1), jnp.zeros(0)) for _ in range(3)]
    generator = np.random.default_rng(0)
    for _ in range(3):  # some remember what they saw
        observation = generator.standard_normal(3).astype(np.float32)
        played = []
        for number_of, (state, seen) in enumerate(
            [(scaling, raw(observation)), (plain, observation), (plain, raw(observation))]
        ):
            action, memories[number_of] = trained.act(
                state, memories[number_of], seen, jnp.asarray(0.5)
            )
            played.append(action)
        np.testing.assert_allclose(played[0], played[1], rtol=1e-3, atol=1e-4)
        assert np.abs(played[0] - played[2]).max() > 1e-3


def test_goals_of_any_width_are_accepted(toy):
    for name, entry in ALGORITHMS.items():
        spec = EnvSpec(
            observation=Box((3,)), action=Box((2,), limit=1.0), max_episode_steps=10, goal=Box((2,))
        )
        algorithm = entry.make(resolve(name, "own").config, spec)
        jax.eval_shape(algorithm.reset, jax.random.key(0), jnp.zeros(2))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_published_settings_that_can_be_resized(name, family):
    config = resolve(name, family).config
    small = resolve(name, family, Size(10, 4, (8,))).config
    assert type(small) is type(config)
    # Methods whose steps cost more may take fewer or smaller ones, never more.
    assert 1 <= small.num_steps <= 10
    assert 1 <= small.batch_size <= 4
    assert small.hidden_dims == (8,)


def test_ten_percent_bc_keeps_its_share_in_every_family_and_size():
    for family in FAMILIES:
        for size in (Size(), Size(1, 1, (1,))):
            assert resolve("bc_10pct", family, size).config.top_fraction == 0.1


def test_an_unknown_algorithm_is_refused_with_the_near_miss():
    with pytest.raises(InputError, match=r"unknown algorithm 'iqll'; did you mean 'iql'\?"):
        get_algorithm("iqll")


@pytest.mark.parametrize(
    ("config", "field", "value", "rule"),
    [
        (bc.Config, "num_steps", 0, "at least 1"),
        (bc.Config, "batch_size", -1, "at least 1"),
        (bc.Config, "learning_rate", 0.0, "above 0"),
        (bc.Config, "hidden_dims", (), "widths of at least 1"),
        (bc.Config, "hidden_dims", (8, 0), "widths of at least 1"),
        (bc.Config, "top_fraction", 0.0, "above 0 and at most 1"),
        (bc.Config, "top_fraction", 1.1, "above 0 and at most 1"),
        (iql.Config, "discount", 1.0, "at least 0 and below 1"),
        (iql.Config, "polyak", 0.0, "above 0 and at most 1"),
        (iql.Config, "expectile", 1.0, "between 0 and 1"),
        (iql.Config, "inverse_temperature", -1.0, "at least 0"),
        (iql.Config, "max_weight", 0.0, "above 0"),
        (iql.Config, "reward_transform", "none", "one of"),
        (td3_bc.Config, "discount", 1.0, "at least 0 and below 1"),
        (td3_bc.Config, "polyak", 1.5, "above 0 and at most 1"),
        (td3_bc.Config, "target_noise", -0.1, "at least 0"),
        (td3_bc.Config, "target_noise_clip", -0.1, "at least 0"),
        (td3_bc.Config, "actor_delay", 0, "at least 1"),
        (td3_bc.Config, "q_weight", -1.0, "at least 0"),
        (td3_bc.Config, "reward_transform", "none", "one of"),
        (cql.Config, "actor_learning_rate", 0.0, "above 0"),
        (cql.Config, "discount", -0.1, "at least 0 and below 1"),
        (cql.Config, "polyak", 0.0, "above 0 and at most 1"),
        (cql.Config, "conservative_weight", -1.0, "at least 0"),
        (cql.Config, "num_samples", 0, "at least 1"),
        (cql.Config, "cloning_steps", -1, "at least 0"),
        (cql.Config, "cloning_steps", 1_000_001, "at least 0 and at most num_steps = 1000000"),
        (cql.Config, "target_gap", -1.0, "at least 0"),
        (cql.Config, "reward_transform", "none", "one of"),
        (onestep.Config, "behaviour_steps", 0, "at least 1"),
        (onestep.Config, "sarsa_steps", 0, "at least 1"),
        (onestep.Config, "discount", 1.0, "at least 0 and below 1"),
        (onestep.Config, "polyak", 0.0, "above 0 and at most 1"),
        (onestep.Config, "target_delay", 0, "at least 1"),
        (onestep.Config, "improvement", "bcq", "one of"),
        (onestep.Config, "num_samples", 0, "at least 1"),
        (onestep.Config, "reward_transform", "none", "one of"),
        (onestep.Config, "num_steps", 2_500_000, "above behaviour_steps + sarsa_steps = 2500000"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(config, field, value, rule):
    with pytest.raises(InputError) as caught:
        config(**{field: value})
    assert str(caught.value).startswith(f"{field} must be {rule}")
    assert repr(value) in str(caught.value)


def test_a_uniform_sample_picks_the_same_rows_of_every_array():
    view = {"a": jnp.arange(5.0), "b": 10.0 * jnp.arange(5.0)[:, None]}
    batch = sampling.uniform(1000)(jax.random.key(0), view)
    chex.assert_shape(batch["a"], (1000,))
    chex.assert_shape(batch["b"], (1000, 1))
    np.testing.assert_array_equal(10.0 * batch["a"], batch["b"][:, 0])
    # 200 of each row are expected, with a deviation of 13.
    counts = np.bincount(np.asarray(batch["a"]).astype(int), minlength=5)
    assert (np.abs(counts - 200) < 60).all()


def test_a_normalizer_gives_mean_0_and_deviation_1_over_the_dataset(toy):
    observations = toy[0].observations
    normalizer = Normalizer.create(views.statistics(toy[0]), enabled=True)
    np.testing.assert_allclose(normalizer.std, observations.std(0) + 1e-3, rtol=1e-5)
    scaled = normalizer(jnp.asarray(observations))
    np.testing.assert_allclose(scaled.mean(0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), np.ones(3), rtol=5e-3)
    np.testing.assert_allclose(normalizer(jnp.asarray(observations[0])), scaled[0], rtol=1e-5)


def test_a_normalizer_that_is_off_changes_nothing(toy):
    observations = jnp.asarray(toy[0].observations)
    normalizer = Normalizer.create(views.statistics(toy[0]), enabled=False)
    np.testing.assert_array_equal(normalizer(observations), observations)
