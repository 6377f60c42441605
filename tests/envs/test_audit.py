"""The audit: figures worked out by hand, and physics replayed."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from bench import cli
from envs import audit, facts
from envs import toy as toys
from envs.environment import World
from envs.sources import d4rl, registry
from envs.tasks import get_task, world
from tests.helpers import d4rl_files

HOPPER, MAZE = get_task("hopper-medium"), get_task("antmaze-umaze")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))


@pytest.fixture(scope="module")
def walker():
    """A walker whose flailing is faster than observations show."""
    return d4rl_files.locomotion("walker2d-medium", num_rows=300)


def audited(name, version=None):
    return registry.audit(get_task(name), "d4rl", 1.0, version)


def test_figures_are_those_of_the_rows():
    arrays = d4rl_files.locomotion(num_rows=200)
    arrays["actions"][4:9, 1] = 1.0
    d4rl_files.write("hopper-medium", arrays)
    found = audited("hopper-medium")
    ends = np.flatnonzero(arrays["terminals"] | arrays["timeouts"])
    cut = ends[-1] < 199
    assert found["rows"] == 200
    assert found["episodes"] == len(ends) + cut
    assert found["terminations"] == arrays["terminals"].sum() > 0
    assert found["truncations"] == arrays["timeouts"].sum() + cut
    returns = [part.sum(dtype=float) for part in np.split(arrays["rewards"], ends + 1)]
    returns = returns[: found["episodes"]]
    assert found["returns"]["50%"] == pytest.approx(np.median(returns), abs=1e-5)
    assert found["returns"]["100%"] == pytest.approx(max(returns), abs=1e-5)
    low, high = HOPPER.reference_returns
    expected = 100 * (found["returns"]["mean"] - low) / (high - low)
    assert found["scores"]["mean"] == pytest.approx(expected)
    assert sum(found["rewards"]["counts"]) == 200
    assert found["rewards"]["edges"][0] == arrays["rewards"].min()
    saturated = np.abs(arrays["actions"]) >= 0.999
    assert found["actions"]["saturated"] == saturated.mean() >= 5 / 600
    assert found["actions"]["max"] == 1.0
    assert (found["not_finite"], found["duplicates"]) == (0, 0)
    moves = np.abs(arrays["next_observations"] - arrays["observations"])
    assert found["longest_step"] == pytest.approx(moves.max())
    assert found["environment"] == "Hopper-v4"
    assert found["provenance"]["rows_in_file"] == 200
    assert len(found["provenance"]["hash"]) == 64


def test_being_at_the_goal_once_is_the_full_score():
    d4rl_files.write("antmaze-umaze", d4rl_files.antmaze())
    found = audited("antmaze-umaze")
    assert found["returns"]["100%"] > 1.0
    assert found["scores"]["100%"] == 100.0
    assert found["scores"]["0%"] == 0.0


def test_duplicate_rows_are_counted_beyond_the_first():
    dataset, _ = toys.random_episodes()
    assert facts.num_duplicates(dataset) == 0
    rows = np.array([0, 1, 1, 2, 0, 0])
    same = dataclasses.replace(
        dataset, observations=dataset.observations[rows], actions=dataset.actions[rows]
    )
    assert facts.num_duplicates(same) == 3
    same.actions[2, 0] += 1e-6
    assert facts.num_duplicates(same) == 2


def test_fingerprints_tell_rows_apart_that_differ_in_order_alone():
    dataset, _ = toys.random_episodes()
    swapped = dataset.observations[:1, ::-1]
    both = dataclasses.replace(
        dataset,
        observations=np.concatenate([dataset.observations[:1], swapped]),
        actions=np.zeros((2, 2), np.float32),
    )
    assert facts.num_duplicates(both) == 0


def test_rows_that_are_not_finite_are_counted():
    dataset, _ = toys.random_episodes()
    dataset.rewards[3] = np.inf
    dataset.observations[5, 1] = np.nan
    dataset.final_observations[1, 0] = np.nan  # what row 6 leads to
    assert facts._num_not_finite(dataset) == 3


@pytest.mark.parametrize("name", ["hopper-medium", "halfcheetah-medium", "antmaze-umaze"])
def test_what_our_simulator_made_it_makes_again(name):
    maker = d4rl_files.antmaze if name.startswith("antmaze") else d4rl_files.locomotion
    arguments = () if name.startswith("antmaze") else (name, 300)
    d4rl_files.write(name, maker(*arguments))
    replayed = audited(name)["replay"]
    assert replayed["rows"] == audited(name)["rows"]
    # Rounding of the stored float32, and a contact solver that starts from nothing.
    assert replayed["state"]["max"] == 0.0
    assert replayed["observation"]["max"] < 1e-4
    if name.startswith("antmaze"):
        assert replayed["reward"] is replayed["terminations"] is None
    else:
        assert replayed["reward"]["max"] < 1e-5
        assert replayed["terminations"] == 0


def test_where_observations_clip_velocities_the_stored_ones_are_replayed(walker):
    clipped = (np.abs(walker["observations"][:, 8:]) >= 10.0).any(axis=1)
    assert 50 < clipped.sum() < 300
    path = d4rl_files.write("walker2d-medium", walker)
    replayed = audited("walker2d-medium")["replay"]
    assert replayed["rows"] == 300
    assert replayed["observation"]["max"] < 1e-4
    with h5py.File(path, "a") as file:
        del file["infos/qvel"]
    replayed = audited("walker2d-medium")["replay"]
    assert replayed["rows"] == 300 - clipped.sum()
    assert replayed["observation"]["max"] < 1e-4


def test_rows_of_a_file_that_leaves_some_out_are_not_mistaken_for_others():
    arrays = d4rl_files.locomotion(num_rows=300)
    del arrays["next_observations"]
    d4rl_files.write("hopper-medium", arrays)
    found = audited("hopper-medium")
    assert found["provenance"]["rows_left_out"] > 0
    assert found["replay"]["state"]["max"] == 0.0


def test_stored_states_that_are_not_the_rows_show(walker):
    shifted = {k: np.roll(walker[k], -1, axis=0) for k in ("infos/qpos", "infos/qvel")}
    d4rl_files.write("walker2d-medium", walker | shifted)
    assert audited("walker2d-medium")["replay"]["state"]["median"] > 0.01


def test_another_environment_shows_in_the_replay(walker):
    d4rl_files.write("walker2d-medium", walker)
    found = audited("walker2d-medium", version="v5")
    # Other friction, and no pay for the step that falls.
    assert found["environment"] == "Walker2d-v5"
    assert found["replay"]["observation"]["max"] > 0.1
    assert found["replay"]["reward"]["max"] == pytest.approx(1.0, abs=0.1)
    assert "is scored in Walker2d-v5" in found["provenance"]["doubts"][-1]


def test_other_physics_show_in_the_replay():
    d4rl_files.write("hopper-medium", d4rl_files.locomotion(num_rows=100))
    dataset, _ = d4rl.read(HOPPER, 1.0)
    right = world(HOPPER, "v4")

    def heavier(num_envs, num_threads):
        lanes = right.make(num_envs, num_threads)
        model = lanes._simulator.model
        model.opt.gravity[2] *= 1.01
        made.append(model)
        return lanes

    made = []
    try:
        drifted = audit.replay(dataset, World("Hopper-v4", heavier))
    finally:
        for model in made:
            model.opt.gravity[2] /= 1.01  # it is shared
    same = audit.replay(dataset, right)
    assert drifted["observation"]["median"] > 100 * same["observation"]["median"]


def test_the_command_prints_every_figure(capsys):
    d4rl_files.write("antmaze-umaze", d4rl_files.antmaze())
    assert cli.main(["audit", "antmaze-umaze-v2"]) == 0
    text = capsys.readouterr().out
    for name in ("rows", "truncations", "duplicates", "returns", "rewards", "replay", "hash"):
        assert name in text
    assert "is not the file that D4RL published" in text


def test_json_is_json_and_nothing_else(capsys):
    d4rl_files.write("antmaze-umaze", d4rl_files.antmaze())
    assert cli.main(["audit", "antmaze-umaze", "--source", "d4rl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["episodes"]) == (120, 3)


def test_the_audit_is_stored_beside_every_score(tmp_path, monkeypatch):
    d4rl_files.write("antmaze-umaze", d4rl_files.antmaze())
    arguments = ["grid", "--profile", "smoke", "--tasks", "antmaze-umaze-v2", "--workers", "1"]
    arguments += ["--algorithms", "bc", "--insist", "--results", str(tmp_path / "results")]
    assert cli.main(arguments) == 0
    beside = json.loads((tmp_path / "results" / "d4rl" / "smoke" / "audit.json").read_text())
    in_cell = json.loads(next((tmp_path / "results" / "runs").rglob("audit.json")).read_text())
    (name,) = beside
    assert name.startswith("antmaze-umaze ")
    assert beside[name] == in_cell
    assert in_cell["rows"] == 120
    assert "baselines" not in in_cell  # which own data alone have
    assert in_cell["provenance"]["hash"].startswith(name.split()[1])
    provenance = (tmp_path / "results" / "d4rl" / "smoke" / "provenance.json").read_text()
    assert "duplicates" not in provenance
    # Other data of the same task take its place.
    d4rl_files.write("antmaze-umaze", d4rl_files.antmaze(seed=1))
    assert cli.main(arguments) == 0
    again = json.loads((tmp_path / "results" / "d4rl" / "smoke" / "audit.json").read_text())
    assert len(again) == 1
    assert again.keys() != beside.keys()
    assert next(iter(again.values()))["actions"] != in_cell["actions"]
