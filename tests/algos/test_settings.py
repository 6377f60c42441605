"""Where a method's settings come from, and which of them win."""

import dataclasses

import pytest

from algos import iql, settings
from algos.registry import ALGORITHMS
from algos.settings import EVERYWHERE, Size, resolve
from envs.errors import InputError
from envs.tasks import FAMILIES

SMALL = Size(num_steps=10_000, batch_size=64, hidden_dims=(64, 64))


def test_each_setting_names_where_it_comes_from():
    config, origins = resolve("iql_corl", "antmaze", SMALL)
    assert list(origins) == [field.name for field in dataclasses.fields(config)]
    published, antmaze = "published, algos/iql.py", "published for antmaze, algos/iql.py"
    variant = "variant iql_corl"
    small = "small runs, algos/settings.py"
    assert origins == {
        "num_steps": "profile",
        "batch_size": "profile",
        "learning_rate": small,
        "hidden_dims": "profile",
        "discount": published,
        "polyak": published,
        "reward_transform": antmaze,
        "normalize_observations": variant,
        "layer_norm": small,
        "expectile": antmaze,
        "inverse_temperature": small,
        "max_weight": published,
    }


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_published_size_nothing_comes_from_a_profile_or_is_for_small_runs(name, family):
    origins = set(resolve(name, family).origins.values())
    assert not [origin for origin in origins if "profile" in origin or "small" in origin]
    if family == "locomotion":
        assert not [origin for origin in origins if "settings.py" in origin]


def test_what_no_paper_gives_says_so():
    assert resolve("iql", "pointmaze").origins["discount"] == "pointmaze, algos/settings.py"
    assert resolve("rvs_r", "pointmaze").origins["num_steps"] == "pointmaze, algos/settings.py"


def test_the_published_size_in_other_words_changes_nothing():
    published = resolve("iql", "locomotion")
    size = Size(published.config.num_steps, published.config.batch_size, (256, 256))
    assert resolve("iql", "locomotion", size) == published


def test_a_size_that_leaves_something_out_keeps_what_is_published():
    config, origins = resolve("bc", "locomotion", Size(num_steps=5000))
    assert (config.num_steps, config.batch_size, config.hidden_dims) == (5000, 256, (256, 256))
    assert origins["batch_size"] == "published, algos/bc.py"


def test_settings_of_a_task_win_over_those_of_its_family(monkeypatch):
    family, task = iql.Config(expectile=0.8, discount=0.9), iql.Config(expectile=0.6)
    monkeypatch.setattr(iql, "CONFIGS", {"locomotion": family, "hopper-medium": task})
    config, origins = resolve("iql", "locomotion", task="hopper-medium")
    assert (config.expectile, config.discount) == (0.6, 0.99)
    assert origins["expectile"] == "published for hopper-medium, algos/iql.py"
    config, origins = resolve("iql", "locomotion", task="hopper-expert")
    assert (config.expectile, config.discount) == (0.8, 0.9)
    assert origins["expectile"] == "published for locomotion, algos/iql.py"


def test_a_variants_settings_win_over_unpublished_ones_and_small_ones_over_both():
    assert resolve("cql", "pointmaze").config.reward_transform == "minus_one"
    assert resolve("cql_max_backup", "pointmaze").config.reward_transform == "plus_minus_five"
    assert resolve("cql_max_backup", "pointmaze").config.target_gap == 0.2
    assert resolve("cql_max_backup", "pointmaze", SMALL).config.target_gap is None


def test_a_method_without_rules_of_its_own_gets_those_of_every_method(monkeypatch):
    monkeypatch.setattr(settings, "SMALL", {})
    config, origins = resolve("td3_bc", "antmaze", SMALL)
    assert (config.learning_rate, config.normalize_observations) == (1e-3, True)
    assert (config.layer_norm, config.q_weight) == (True, 2.5)
    assert origins["layer_norm"] == "small runs, algos/settings.py"
    # Only of the settings that it has.
    assert "layer_norm" not in resolve("rvs_r", "antmaze", SMALL).origins


def test_in_a_long_run_values_travel_the_whole_way_of_an_ant():
    look = lambda name, steps: resolve(name, "antmaze", Size(num_steps=steps)).config
    for name in ("onestep", "td3_bc", "cql", "iql"):
        assert (look(name, 150_000).discount, look(name, 150_000).polyak) == (0.995, 0.02)
        assert (look(name, 10_000).discount, look(name, 10_000).polyak) == (0.99, 0.005)
    assert resolve("iql", "locomotion", Size(num_steps=150_000)).config.discount == 0.99


def test_every_table_of_settings_names_families_that_there_are():
    known = {*FAMILIES, EVERYWHERE}
    of_all = (settings.VALUES, settings.EVERY_METHOD)
    for table in (*of_all, *settings.SMALL.values(), *settings.UNPUBLISHED.values()):
        assert set(table) <= known


def test_an_unknown_algorithm_is_refused_in_one_line():
    with pytest.raises(InputError, match="did you mean 'iql'"):
        resolve("iqll", "antmaze")
