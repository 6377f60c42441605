"""Every column keeps the contract, and the contract's checks tell what does not."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos import bc, contract, cql, iql, onestep, registry, sampling, td3_bc
from algos.registry import ALGORITHMS, TABLE1, get_algorithm
from algos.settings import Size, resolve
from envs.errors import InputError
from envs.spaces import Box, Discrete
from envs.tasks import FAMILIES
from tests.helpers import methods_file

# Variants share the networks of the columns that they vary.
COLUMNS = [(name, Box) for name in sorted(ALGORITHMS)]
COLUMNS += [(name, Discrete) for name, entry in TABLE1.items() if Discrete in entry.actions]


@pytest.fixture(scope="module", params=COLUMNS, ids=lambda c: f"{c[0]}-{c[1].__name__}")
def trained(request):
    """A column after a few updates, compiled once."""
    return contract.train(*request.param)


@pytest.mark.parametrize("check", contract.CHECKS, ids=contract.in_words)
def test_every_column_keeps_the_contract(trained, check):
    check(trained)


# An edit of the file, the check that finds it, and what it says.
BROKEN = [
    ("0.1 * jax.random.normal(key, (spec.action_dim,))", "jnp.zeros(spec.action_dim)",
     "a first state is decided by its key", "another key gives the same state"),
    ('return {"mean": 0.1', 'return {"limit": 1.0, "mean": 0.1',
     "an update changes no structure shape or type", "another structure"),
    ("config.learning_rate * error", "0.0 * error",
     "every update changes the state", "the same after an update"),
    ('{"error": jnp.sum(error**2)}', '{"error": error}',
     "metrics are finite numbers with the same names each time", "error is no single number"),
    ("jnp.sum(error**2)", "jnp.sum(error) / 0.0",
     "metrics are finite numbers with the same names each time", "error is "),
    ('{"error": jnp.sum(error**2)}', "{}",
     "metrics are finite numbers with the same names each time", "their names are"),
    ("batch.actions.mean(0)", "batch.actions.mean(0) + NUMBERS.standard_normal()",
     "an update is pure", "each tracing gives another program"),
    ("-1.0, 1.0)", "-1.0, 1.0) * 2.0",
     "actions are in bounds and memory keeps its shape", "outside [-1, 1]"),
    ("config.slope * jnp.sin(observation[0])", "0.0 * observation[0]",
     "actions are in bounds and memory keeps its shape", "nearly all the same"),
    ("slope: float = 0.5", "slope: object = jnp.tanh",
     "settings are plain values in every family and size", "not JSON serializable"),
]  # fmt: skip


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Writes an edited method file; gives what is broken of its first column, by check."""
    monkeypatch.setenv("RL_OR_BC_METHODS", "")
    monkeypatch.setattr(registry, "ALGORITHMS", dict(ALGORITHMS))

    def write(old, new):
        assert methods_file.TEXT.count(old) == 1
        (tmp_path / "mean.py").write_text(methods_file.TEXT.replace(old, new))
        name, _ = registry.add_file(tmp_path / "mean.py")
        return {check: reason for check, reason in contract.broken(name) if reason}

    return write


def test_a_users_method_that_keeps_the_contract_passes(broken):
    assert broken("slope: float = 0.5", "slope: float = 0.4") == {}


@pytest.mark.parametrize(("old", "new", "check", "reason"), BROKEN)
def test_a_users_method_that_breaks_the_contract_is_told_how(broken, old, new, check, reason):
    assert reason in broken(old, new)[check]


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
