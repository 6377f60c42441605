"""What a cell has learned is kept, and plays again as it was evaluated."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from algos.registry import TABLE1
from bench import cli
from bench.run import cell as cells
from bench.run import checkpoint, policy
from bench.run import plan as plans
from bench.run.data import make_lanes
from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.tasks import get_task


def train(folder, algorithm="bc", task="hopper-medium", **overrides):
    profile = PROFILES["smoke"]
    cell = plans.plan(get_task(task), algorithm, profile, "regenerated", **overrides)
    return cell, cells.run(cell, folder)


# Policies with memory, of several phases and told a goal; the other columns take minutes.
SOON = ("bc", "dt", "onestep")


@pytest.mark.parametrize(
    ("algorithm", "task"),
    [
        ("rvs_g", "antmaze-umaze"),
        *((name, "hopper-medium") for name in SOON),
        *(
            pytest.param(name, "hopper-medium", marks=pytest.mark.slow)
            for name in TABLE1
            if name not in SOON
        ),
    ],
)
def test_a_kept_policy_plays_the_last_evaluation_again_bit_by_bit(
    datasets, tmp_path, algorithm, task
):
    cell, folder = train(tmp_path, algorithm, task)
    again, program, states = policy.load_group(policy.find(folder))
    assert again.settings == cell.settings
    lanes = make_lanes(again, 4)
    returns, lengths = policy.play(again, program, states, lanes, 2)
    lanes.close()
    rows = cells.read(folder)[0]
    last = rows[rows["step"] == rows["step"].max()]
    assert returns.reshape(-1).tolist() == last["return"].tolist()
    assert lengths.reshape(-1).tolist() == last["length"].tolist()


@pytest.fixture(scope="module")
def trained_once(datasets, tmp_path_factory):
    """The folder of a finished cell of BC."""
    return train(tmp_path_factory.mktemp("trained"))[1]


@pytest.fixture
def finished(trained_once, tmp_path):
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(trained_once, tmp_path / "cell"))


def test_the_optimizers_state_is_not_kept(trained_once, tmp_path):
    folder = trained_once
    size = lambda path: sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "clear", lambda folder: None)
        _, other = train(tmp_path / "other")
    kept, whole = (folder / "seeds-0-1" / "policy"), (other / "seeds-0-1" / "checkpoint" / "0-200")
    assert size(kept) < 0.5 * size(whole)  # Adam has two moments


@pytest.mark.parametrize("algorithm", ["dt", "rvs_g"])  # both remember
def test_a_policy_acts_as_the_cells_own_program_does(datasets, tmp_path, algorithm):
    cell, folder = train(tmp_path, algorithm, "antmaze-umaze", seeds=(3, 5))
    one = policy.load_policy(folder, 5)
    assert policy.load_policy(folder).seed == 3
    lanes = make_lanes(cell, 4)
    shown = []
    program, states = policy.load_group(policy.find(folder))[1:]

    class Noting:
        """The program, whose actions are noted."""

        reset = staticmethod(program.reset)

        @staticmethod
        def act(states, carries, observations, rewards):
            actions, carries = program.act(states, carries, observations, rewards)
            shown.append((observations[1, 0], float(rewards[1, 0]), np.asarray(actions)[1, 0]))
            return actions, carries

    policy.play(cell, Noting, states, lanes, 2)
    one.reset(goal=lanes.goals[2])
    lanes.close()
    assert len(shown) > 100
    for observation, reward, action in shown[:20]:
        np.testing.assert_allclose(one.act(observation, reward), action, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="a goal has 2 numbers here"):
        one.reset(goal=(1.0, 2.0, 3.0))


def test_play_prints_each_episode(finished, capsys):
    folder = finished
    assert cli.main(["play", str(folder), "--episodes", "1"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["0", "0"],
        ["1", "0"],
    ]
    assert cli.main(["play", str(folder), "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    rows = cells.read(folder, [1])[0]
    expected = rows[rows["step"] == rows["step"].max()]
    assert [line.split()[2] for line in lines] == [f"{x:.1f}" for x in expected["return"]]
    assert [int(line.split()[4]) for line in lines] == expected["length"].tolist()


@pytest.mark.parametrize("damage", ["gone", "cut", "seed", "nowhere", "episodes"])
def test_a_policy_that_cannot_be_used_is_one_line_and_stays(finished, tmp_path, capsys, damage):
    folder, group, arguments = finished, finished / "seeds-0-1", [str(finished)]
    if damage == "gone":
        (group / "policy.json").unlink()
    if damage == "cut":
        largest = max(
            (p for p in (group / "policy").rglob("*") if p.is_file()),
            key=lambda path: path.stat().st_size,
        )
        largest.write_bytes(largest.read_bytes()[:-1])
    if damage == "seed":
        arguments += ["--seed", "7"]
    if damage == "nowhere":
        arguments = [str(tmp_path / "nowhere")]
    if damage == "episodes":
        arguments += ["--episodes", "0"]
    before = sorted(folder.rglob("*"))
    assert cli.main(["play", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
