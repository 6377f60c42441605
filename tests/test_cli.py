"""What a user types, and what a mistake is answered with."""

import errno
import io
import json
import os
import signal

import pandas as pd
import pytest
from score_files import write_scores

from bench import cell as cells
from bench import checkpoint, cli
from bench.interrupt import asked_to_stop


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"  {name}" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("tasks", ["hopper-medium-replay", "antmaze-large-diverse"]),
        ("algorithms", ["bc_10pct", "offline RL"]),
        ("profiles", ["quick", "paper"]),
    ],
)
def test_list_names_what_there_is(what, found, capsys):
    assert cli.main(["list", what]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gird"], "unknown command 'gird'; did you mean 'grid'?"),
        (["list", "taks"], "unknown list 'taks'; did you mean 'tasks'?"),
        (["grid", "--tasks", "hoper-medium"], "did you mean 'hopper-medium'?"),
        (["grid", "--algorithms", "iqll"], "unknown algorithm 'iqll'; did you mean 'iql'?"),
        (["grid", "--profile", "quik"], "unknown profile 'quik'; did you mean 'quick'?"),
        (["grid", "--source", "d4lr"], "unknown source 'd4lr'"),
        (["train", "iql", "antmaze-umaz"], "did you mean 'antmaze-umaze'?"),
        (["train", "bc", "hopper-medium", "--num-seeds", "0"], "num_seeds must be at least 1"),
        (["train", "bc", "hopper-medium", "--num-steps", "0"], "num_steps must be at least 1"),
        (
            ["train", "bc", "hopper-medium", "--num-steps", "7", "--num-evaluations", "2"],
            "num_steps 7 is not divisible by num_evaluations 2",
        ),
        (["train", "iql", "hopper-medium", "--expectile", "1.5"], "expectile must be between"),
        (["data", "info", "--scale", "2"], "scale 2 is not above 0 and at most 1"),
        (["data", "info", "--tasks", "hopper-medium", "--scale", "0.5"], "data make --tasks hop"),
        (["table", "--results", "/nonexistent"], "no scores under /nonexistent"),
    ],
)
def test_a_mistake_is_answered_with_one_line_and_status_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("option", "near"),
    [("--expectil", "--expectile"), ("--num-sedes", "--num-seeds"), ("--discont", "--discount")],
)
def test_a_mistyped_option_is_answered_with_the_near_miss(option, near, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "iql", "hopper-medium", option, "1"])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert near in captured.err + captured.out


def test_every_config_field_can_be_set_from_the_command_line(datasets, tmp_path, capsys):
    arguments = ["train", "iql", "hopper-medium", "--profile", "smoke", "--results", str(tmp_path)]
    arguments += ["--expectile", "0.8", "--hidden-dims", "8", "8", "--num-steps", "20"]
    arguments += ["--num-seeds", "1", "--num-episodes", "1", "--layer-norm", "False"]
    try:
        status = cli.main(arguments)
    except SystemExit:
        arguments[-2:] = ["--no-layer-norm"]
        status = cli.main(arguments)
    assert status == 0
    facts = json.loads(next(tmp_path.rglob("config.json")).read_text())
    config = facts["config"]
    assert (config["expectile"], config["hidden_dims"], config["num_steps"]) == (0.8, [8, 8], 20)
    assert config["layer_norm"] is False
    assert facts["settings"]["seeds"] == [0]
    assert "raw returns and provenance" in capsys.readouterr().out


def test_help_lists_the_methods_settings_as_the_family_has_them(capsys):
    for task, default in (("antmaze-umaze", "0.9"), ("hopper-medium", "0.7")):
        with pytest.raises(SystemExit):
            cli.main(["train", "iql", task, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "--expectile FLOAT" in shown
        assert f"(default: {default})" in shown


def test_a_cell_that_is_named_twice_is_run_once(datasets, tmp_path, capsys):
    names = ["--tasks", "hopper-medium", "hopper-medium", "--algorithms", "bc", "bc"]
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    assert cli.main([*arguments, *names, "--num-seeds", "1"]) == 0
    assert "[1/1] hopper-medium/bc" in capsys.readouterr().out
    assert "1 seeds" in (tmp_path / "regenerated" / "smoke" / "table1.md").read_text()


def test_one_of_several_tables_can_be_asked_for(tmp_path, capsys):
    for profile in ("quick", "cpu"):
        write_scores(tmp_path / "regenerated" / profile, ["hopper-medium"])
    root = ["--results", str(tmp_path)]
    for command in (["table", "--format", "csv"], ["compare", "--csv"]):
        assert cli.main([*command, *root, "--profile", "cpu"]) == 0
        rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
        assert set(rows["profile"]) == {"cpu"}
    assert cli.main(["compare", "--csv", *root]) == 0
    rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert set(rows["profile"]) == {"quick", "cpu"}
    assert cli.main(["table", "--format", "md", *root, "--source", "d4rl"]) == 2
    assert "no scores under" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_keeps_what_there_is(datasets, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    arguments = ["train", "bc", "hopper-medium", "--profile", "smoke", "--results", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert cli.main(arguments) == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_stop_is_the_exit_status(
    number, status, datasets, tmp_path, monkeypatch, capsys
):
    def stop(cell, folder, dataset, lanes, asked, *_):
        os.kill(os.getpid(), number)
        assert asked()
        raise cells.Interrupted("hopper-medium/bc stopped at step 100 of 200")

    monkeypatch.setattr(cells, "_train", stop)
    arguments = ["train", "bc", "hopper-medium", "--profile", "smoke", "--results", str(tmp_path)]
    assert cli.main(arguments) == status
    assert "stopped at step 100 of 200" in capsys.readouterr().err


def test_a_signal_that_nohup_ignores_stays_ignored(monkeypatch):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with asked_to_stop() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not asked()
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked()
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_table_check_fails_when_a_table_is_stale(datasets, tmp_path, capsys):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path)]
    assert cli.main([*arguments, "--tasks", "hopper-medium", "--algorithms", "bc"]) == 0
    check = ["table", "--check", "--results", str(tmp_path)]
    assert cli.main(check) == 0
    path = tmp_path / "regenerated" / "smoke" / "table1.md"
    path.write_text(path.read_text() + "\n")
    assert cli.main(check) == 1
    assert cli.main(["table", "--results", str(tmp_path)]) == 0
    assert cli.main(check) == 0
