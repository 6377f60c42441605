"""Nothing that a dataset says is ever imported or called, whatever reads it."""

import json
import sys

import gymnasium
import h5py
import numpy as np
import pytest

from bench import cli
from envs import tasks
from envs.collect.make import make
from envs.recipes import Recipe
from envs.sources import registry
from envs.sources.regenerated import dataset_folder
from tests.envs import test_minari
from tests.helpers import dial

SPACES = ("observation_space", "action_space")
# What a dataset lacks, or has in another type.
WITHOUT = [
    {"observation_space": None},
    {"action_space": None},
    dict.fromkeys(SPACES),
    dict.fromkeys(SPACES, 1),
    dict.fromkeys(SPACES, "{}"),
]


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """An entry point that leaves a file where it was run, as text that a dataset can hold."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.py").write_text("open('imported', 'w')\ndef run(path): open(path, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    dial.register(monkeypatch)
    yield {
        "entry_point": "trap:run",
        "kwargs": {"path": str(tmp_path / "run")},
        "additional_wrappers": [
            {"name": "TimeLimit", "entry_point": "trap:run", "kwargs": {"path": "wrapped"}}
        ],
    }
    sys.modules.pop("trap", None)
    assert not [name for name in ("run", "imported", "wrapped") if (tmp_path / name).exists()]


def set_trap(dataset_id, trap, environment, changes):
    spec = {"id": environment, "max_episode_steps": 1000} | trap
    both = {"env_spec": json.dumps(spec), "eval_env_spec": json.dumps(spec)}
    dial.edit(dataset_folder(dataset_id) / "data", **both, **changes)


def run_all(task, source, capsys):
    """Every command that reads data; each either works or says why not in one line."""
    common = ["--source", source, "--profile", "smoke"]
    learning = [*common, "--insist", "--results", "results"]
    for command in (
        ["audit", task, *common],
        ["train", "bc", task, *learning],
        ["grid", "--tasks", task, "--algorithms", "bc", "--workers", "1", *learning],
    ):
        status = cli.main(command)
        error = capsys.readouterr().err
        assert status in (0, 1) or (status == 2 and error.count("\n") == 1), error


@pytest.mark.parametrize("changes", WITHOUT)
def test_own_data_run_no_code(trap, changes, monkeypatch, capsys):
    dial.save()
    set_trap("me/dial-v0", trap, "Dial-v0", changes)
    task = dial.row()
    tasks.register(task)
    run_all(task.name, "own", capsys)


@pytest.mark.parametrize("changes", WITHOUT)
@pytest.mark.parametrize("source", ["minari", "minari-goal"])
def test_minaris_data_run_no_code(trap, source, changes, capsys):
    test_minari.write_maze()
    set_trap(test_minari.UMAZE, trap, "AntMaze_UMaze-v4", changes)
    run_all("antmaze-umaze", source, capsys)


@pytest.mark.parametrize("changes", WITHOUT)
def test_regenerated_data_run_no_code(trap, changes, capsys):
    recipe = Recipe(tasks.get_task("hopper-medium"), 0.0003)
    make(recipe, num_threads=1)
    set_trap(recipe.dataset_id, trap, "Hopper-v4", changes)
    for command in (["data", "info"], ["data", "make"]):
        assert cli.main([*command, "--tasks", "hopper-medium", "--scale", "0.0003"]) in (0, 2)
    capsys.readouterr()
    run_all("hopper-medium", "regenerated", capsys)
    with h5py.File(dataset_folder(recipe.dataset_id) / "data" / "main_data.hdf5") as file:
        assert len(file) > 0  # nothing was made anew


def test_spaces_that_are_missing_are_those_of_the_arrays(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    dial.register(monkeypatch)
    folder = dial.save(environment=gymnasium.make("Dial-v0"))
    plain = registry.load(dial.row(), "own", 1.0)[0]
    dial.edit(folder, observation_space=None, action_space=None)
    dataset, facts = registry.load(dial.row(), "own", 1.0)
    np.testing.assert_array_equal(dataset.observations, plain.observations)
    assert facts["doubts"] == []
    wide = dial.row(environment="Wide-v0")
    dial.register(
        monkeypatch, Wide=lambda: dial.Dial(observation_space=gymnasium.spaces.Box(-1, 1, (2, 1)))
    )
    dial.edit(folder, env_spec=None)
    [doubt] = registry.provenance(wide, "own", 1.0)["doubts"]
    assert "observations of shape (2,) there, (2, 1) here" in doubt
