"""Environments of users that fail: each takes its own cells with it, in one line, and no others."""

import json
import os
import sys
import warnings

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box
from minari.data_collector import EpisodeBuffer

from bench import cli, store
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs import tasks

STEPS = 6
ALIVE = []  # environments that are not closed


class Faulty(gymnasium.Env):
    """Pays 1 a step and shows the time, until ``fault`` happens at the fourth step."""

    observation_space = Box(-10.0, 10.0, (2,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, fault=""):
        if fault == "make":
            raise FileNotFoundError(2, "No such file or directory", "robot.xml")
        self.fault = fault
        ALIVE.append(self)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.fault == "reset":
            raise TypeError("no keyword 'seed'")
        self.steps = 0
        return self.show(), {}

    def step(self, action):
        self.steps += 1
        if self.fault == "talk":
            sys.stdout.write("a word\n")
            os.write(1, b"another word\n")
        fault = self.fault if self.steps == 4 else ""
        if fault == "exit":
            sys.exit(3)
        if fault == "raise":
            raise ValueError("two\nlines")
        paid = {"nan reward": np.nan, "endless reward": -np.inf, "huge reward": 1e13}
        return self.show(), paid.get(fault, 1.0), False, False, {}

    def show(self):
        last = np.nan if self.fault == "nan observation" and self.steps == 4 else 0.5
        return np.array([self.steps, last], np.float32)

    def close(self):
        ALIVE.remove(self)


PLACE = "(seed 0, episode 0, step 4)"
FAULTS = {
    "make": "environment make-v0 cannot be made: ",
    "reset": "reset: TypeError: no keyword 'seed' (seed 0, episode 0, step 0)",
    "raise": f"step: two lines {PLACE}",
    "exit": f"step: SystemExit: 3 {PLACE}",
    "nan reward": f"step: the reward is nan {PLACE}",
    "endless reward": f"step: the reward is -inf {PLACE}",
    "huge reward": f"return is 1e+13 {PLACE}",
    "nan observation": f"step: the observation is not finite {PLACE}",
}
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting")  # of gymnasium


@pytest.fixture(autouse=True)
def environments(tmp_path, monkeypatch):
    """One for each of ``FAULTS``, and a good one; their data are alike."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    ALIVE.clear()
    for fault in ("", "talk", *FAULTS):
        name = fault.replace(" ", "-") or "good"
        options = {"max_episode_steps": STEPS, "kwargs": {"fault": fault}}
        gymnasium.register(f"{name}-v0", f"{__name__}:Faulty", **options)


@pytest.fixture
def add_tasks(monkeypatch):
    """Rows for the environments of these names."""

    def add(*names):
        rows = [tasks.own_task(f"me/{name}-v0", f"{name}-v0", (0.0, 6.0)) for name in names]
        for row in rows:
            save(row.data)
            tasks.register(row)
        return rows

    return add


def save(dataset_id):
    last = np.arange(STEPS) == STEPS - 1
    shown = np.stack([np.arange(STEPS + 1), np.full(STEPS + 1, 0.5)], 1).astype(np.float32)
    played = np.linspace(-1.0, 1.0, STEPS, dtype=np.float32)[:, None]
    episodes = [
        EpisodeBuffer(k, None, None, shown, played, np.ones(STEPS), last & False, last)
        for k in range(2)
    ]
    spaces = {
        "observation_space": Faulty.observation_space,
        "action_space": Faulty.action_space,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no code
        minari.create_dataset_from_buffers(dataset_id, episodes, **spaces)


def run(folder, *algorithms):
    arguments = ["grid", "--source", "own", "--profile", "smoke", "--workers", "1"]
    return cli.main([*arguments, "--algorithms", *algorithms, "--results", str(folder)])


def plan(task, algorithm="bc"):
    return plans.plan(task, algorithm, PROFILES["smoke"], "own")


@pytest.mark.parametrize("fault", FAULTS)
def test_an_environments_fault_fails_its_cells_alone_with_a_place_in_one_line(
    fault, add_tasks, tmp_path, capsys
):
    name = fault.replace(" ", "-")
    bad, good = add_tasks(name, "good")
    for _ in range(2):  # and again, for what failed is tried again
        assert run(tmp_path, "bc") == 1
        captured = capsys.readouterr()
        (line,) = captured.err.splitlines()
        assert line.startswith(f"error: {bad.name}/bc failed: {bad.name} ")
        assert f"{name}-v0" in line
        assert FAULTS[fault] in line
        assert f"{good.name}/bc" in captured.out
        assert [path.parents[3].name for path in tmp_path.rglob("DONE")] == [good.name]
        rows = store.read_rows(tmp_path / "own" / "smoke" / "scores.csv", store.SCORE_COLUMNS)
        assert set(store.cell_names(rows)) == {f"{good.name}/bc"}
    assert ALIVE == []


def test_what_an_environment_prints_is_not_among_the_json_lines(add_tasks, tmp_path, capfd):
    (task,) = add_tasks("talk")
    assert run(tmp_path, "bc", "--json-lines") == 0
    captured = capfd.readouterr()
    events = [json.loads(line)["event"] for line in captured.out.splitlines()]
    assert (events[0], events[-1]) == ("start", "end")
    assert "a word\n" in captured.err
    assert "another word\n" in captured.err
    assert cli.main(["audit", task.name, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["task"] == task.name
    sys.stdout.write("a word\n")
    assert capfd.readouterr().out == "a word\n"
