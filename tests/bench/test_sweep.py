"""Sweeps over a method's settings, and all runs as one table."""

import io

import pandas as pd
import pytest

from bench import cli
from bench.run import cell as cells

TASK = "hopper-medium"


@pytest.fixture
def sweep(datasets, tmp_path):
    fixed = ["--profile", "smoke", "--seeds", "10-11", "--results", str(tmp_path)]
    return lambda *options: cli.main(["sweep", "iql", TASK, *fixed, *options])


def read(capsys, folder):
    capsys.readouterr()
    assert cli.main(["runs", "--results", str(folder)]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_a_sweep_runs_every_combination_and_prints_a_line_for_each(
    sweep, tmp_path, monkeypatch, capsys
):
    options = ["--expectile", "0.5", "0.9", "--discount", "0.9", "0.99", "--batch-size", "8"]
    assert sweep(*options, "--workers", "2") == 0
    out = capsys.readouterr().out
    lines = out[out.index("batch-size discount expectile") :].splitlines()
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["8", discount, expectile] for discount in ("0.9", "0.99") for expectile in ("0.5", "0.9")
    ]
    rows = read(capsys, tmp_path)
    for line in lines[1:5]:
        _, discount, expectile, mean, _, deviation, name = line.split()
        mine = rows[rows["cell"] == name]
        assert (mine["discount"] == float(discount)).all()
        assert (mine["expectile"] == float(expectile)).all()
        assert mine["seed"].tolist() == [10, 11]
        assert mine["score"].mean() == pytest.approx(float(mean), abs=0.051)
        assert mine["score"].std() == pytest.approx(float(deviation), abs=0.051)
    # No table of a profile shows cells of other settings.
    assert not (tmp_path / "regenerated").exists()
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert sweep(*options, "--workers", "1") == 0


def test_runs_have_a_line_for_each_seed_of_each_method_with_its_settings(
    sweep, tmp_path, capsys, datasets
):
    fixed = ["--profile", "smoke", "--results", str(tmp_path)]
    assert cli.main(["train", "bc", TASK, *fixed, "--num-seeds", "1"]) == 0
    assert cli.main(["train", "bc", TASK, *fixed, "--num-seeds", "3"]) == 0
    assert sweep("--learning-rate", "3e-05") == 0
    rows = read(capsys, tmp_path)
    assert rows[["algorithm", "seed", "trained_with"]].to_numpy().tolist() == [
        ["bc", 0, "0"],
        ["bc", 1, "1-2"],
        ["bc", 2, "1-2"],
        ["iql", 10, "10-11"],
        ["iql", 11, "10-11"],
    ]
    assert rows["learning_rate"].tolist()[-1] == 3e-05
    assert rows["hidden_dims"].unique().tolist() == ["32 32"]
    assert rows["expectile"].isna().tolist() == [True] * 3 + [False] * 2
    (folder,) = tmp_path.glob("runs/*/*/bc/*/")
    played = cells.read(folder)[0]
    last = played[(played["seed"] == 2) & (played["step"] == 200)]["return"].mean()
    score = 100 * (last + 20.272305) / (3234.3 + 20.272305)
    assert rows["score"][2] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name a setting and its values, such as --learning-rate 1e-4 1e-3"),
        (["--expectile"], "--expectile is given without a value"),
        (["--expectile", "x"], "--expectile takes FLOAT, got 'x'"),
        (["--expectile", "0.5", "1.5"], "expectile must be between 0 and 1, got 1.5"),
        (["--expectil", "0.5"], "did you mean '--expectile'"),
        (["--expectile", "0.5", "--workers", "0"], "workers must be at least 1, got 0"),
        (["--expectile", "0.5", "--num-seeds", "2"], "--seeds and --num-seeds both say"),
        (["--num-steps", "201"], "not divisible by num_evaluations 2"),
    ],
)
def test_a_mistake_is_one_line_and_runs_nothing(sweep, tmp_path, capsys, options, message):
    assert sweep(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_runs_are_one_line(tmp_path, capsys):
    assert cli.main(["runs", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: no finished cells in ")


def test_a_value_that_fails_leaves_the_others_in_the_table(sweep, capsys):
    assert sweep("--learning-rate", "1e30", "1e-3", "--workers", "1") == 1
    captured = capsys.readouterr()
    assert "hopper-medium/iql learning-rate 1e+30 failed: " in captured.err
    table = captured.out[captured.out.index("learning-rate score") :].splitlines()
    assert [line.split()[0] for line in table[1:3]] == ["0.001", "mean"]
