"""Cells as JSON: planned here, run anywhere."""

import copy
import dataclasses
import json

import pytest

from algos.registry import ALGORITHMS
from bench import cli
from bench.run import cell as cells
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.sources.registry import get_source
from envs.tasks import get_task, own_task


def plan(algorithm="iql", task="hopper-medium", **overrides):
    return plans.plan(get_task(task), algorithm, PROFILES["cpu"], "regenerated", **overrides)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cell_that_went_through_json_is_the_same_cell(algorithm):
    for task in get_source("regenerated").tasks:
        cell = plan(algorithm, task, seeds=(3, 4, 10))
        again = plans.from_json(json.loads(json.dumps(plans.to_json(cell))))
        assert dataclasses.asdict(again) == dataclasses.asdict(cell)


def test_a_cell_carries_its_row_and_what_was_insisted_on():
    settings = dataclasses.replace(plan().settings, source="own")
    task = own_task("me/logs-v0", "Reacher-v5")  # of no row
    cell = dataclasses.replace(plan(), task=task, settings=settings, insist=True)
    assert plans.from_json(json.loads(json.dumps(plans.to_json(cell)))) == cell
    other = plan(version="v5")
    assert plans.from_json(json.loads(json.dumps(plans.to_json(other)))).version == "v5"


def test_a_setting_keeps_its_former_name_in_json_as_well(monkeypatch):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Renamed(type(plan().config)):
        max_weight: float = dataclasses.field(default=100.0, metadata={plans.KEY: "cap"})

    monkeypatch.setattr(ALGORITHMS["iql"].method, "Config", Renamed)
    cell = plan(config=Renamed(max_weight=5.0, num_steps=400))
    assert plans.to_json(cell)["config"]["cap"] == 5.0
    assert plans.from_json(plans.to_json(cell)) == cell


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ((), [], r"a cell must be a JSON object, got '\[\]'"),
        (("algorithm",), "iqll", "unknown algorithm 'iqll'; did you mean 'iql'"),
        (("algorithm",), 3, "algorithm must be str, got '3'"),
        (("task",), None, "task must be a JSON object, got 'None'"),
        (("task", "reference_returns"), [1.0], r"reference_returns must be tuple\[float, float\]"),
        (("config", "learning_rate"), "fast", "config.learning_rate must be float, got 'fast'"),
        (("config", "learning_rate"), -1.0, "learning_rate must be above 0, got -1.0"),
        (("config", "num_steps"), True, "config.num_steps must be int, got 'True'"),
        (("config", "num_steps"), 7, "num_steps 7 is not divisible by the evaluation interval"),
        (("config", "hidden_dims"), [64, 0.5], r"config.hidden_dims\[1\] must be int, got '0.5'"),
        (("config", "speed"), 1, "config has an unknown 'speed'; it may have num_steps, "),
        (("settings", "seeds"), [1, 0], "seeds must be one or more, each once and rising"),
        (("settings", "source"), "d5rl", "unknown source 'd5rl'"),
        (("settings", "scale"), None, "settings.scale must be float, got 'None'"),
        (("version",), 5, "version must be str, got '5'"),
        (("insist",), "yes", "insist must be bool, got 'yes'"),
        (("more",), 1, "a cell has an unknown 'more'"),
    ],
)
def test_json_that_is_no_cell_is_refused_in_one_line(tmp_path, capsys, where, value, message):
    described = copy.deepcopy(plans.to_json(plan()))
    if where:
        part = described
        for key in where[:-1]:
            part = part[key]
        part[where[-1]] = value
    else:
        described = value
    with pytest.raises(InputError, match=message):
        plans.from_json(described)
    (tmp_path / "0.json").write_text(json.dumps(described))
    assert cli.main(["cell", str(tmp_path / "0.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / '0.json'}: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("key", ["task", "config", "settings", "insist"])
def test_json_that_lacks_a_part_is_refused_in_one_line(key):
    described = plans.to_json(plan())
    del described[key]
    with pytest.raises(InputError, match=f"a cell lacks '{key}'"):
        plans.from_json(described)


def test_cells_that_are_planned_run_one_by_one_and_the_same_grid_publishes_them(
    datasets, tmp_path, monkeypatch, capsys
):
    grid = ["grid", "--profile", "smoke", "--tasks", "hopper-medium", "antmaze-umaze"]
    grid += ["--algorithms", "bc", "--seeds", "0", "7", "--results", str(tmp_path / "results")]
    folder = tmp_path / "plan"
    assert cli.main([*grid, "--plan", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["0.json", "1.json"]
    assert not (tmp_path / "results").exists()
    assert cli.main([*grid, "--plan", str(folder)]) == 2
    assert "has a plan already" in capsys.readouterr().err
    for number in (0, 1):
        arguments = [str(folder / f"{number}.json"), "--results", str(tmp_path / "results")]
        assert cli.main(["cell", *arguments]) == 0
    assert len(list((tmp_path / "results").rglob("seeds-0,7/DONE"))) == 2
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert cli.main([*grid, "--workers", "1"]) == 0
    assert (tmp_path / "results" / "regenerated" / "smoke" / "table1.md").exists()


def test_a_file_of_a_plan_that_is_not_there_is_one_line(tmp_path, capsys):
    assert cli.main(["cell", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err == (
        f"error: cannot read {tmp_path / 'none.json'}: No such file or directory\n"
    )
