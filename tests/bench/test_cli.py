"""What a user types, and what a mistake is answered with."""

import dataclasses
import errno
import io
import json
import os
import signal
from importlib.metadata import version

import pandas as pd
import pytest

from algos.registry import ALGORITHMS
from algos.settings import resolve
from bench import cli
from bench.interrupt import asked_to_stop
from bench.run import cell as cells
from bench.run import checkpoint
from bench.run.profiles import PROFILES
from envs.sources.registry import SOURCES
from tests.helpers.score_files import write_scores


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"  {name}" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", [*cli.COMMANDS, "data", "train iql antmaze-umaze"])
def test_help_of_a_command_fits_80_columns_and_names_its_arguments(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = [*name.split(), "--help"]
    if name == "data":
        assert cli.main(arguments) == 0
    else:
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code in (0, None)
    text = capsys.readouterr().out
    assert text.startswith(f"usage: rl-or-bc {name.partition(' iql')[0]} ")
    assert max(map(len, text.splitlines())) <= 80
    assert " STR " not in text.partition("config options")[0]
    assert "None" not in text
    if name.startswith("train"):
        assert "ALGORITHM" in text
        assert "TASK" in text


def test_the_version_is_the_packages(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rl-or-bc {version('rl-or-bc')}\n"


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
    assert max(map(len, text.splitlines())) <= 80


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
        (["train", "bc", "hopper-medium", "--num-seeds", "0"], "num_seeds must be 1 to 1,000"),
        (["train", "bc", "hopper-medium", "--num-steps", "0"], "num_steps must be at least 1"),
        (
            ["train", "bc", "hopper-medium", "--num-steps", "7", "--num-evaluations", "2"],
            "num_steps 7 is not divisible by num_evaluations 2",
        ),
        (["train", "iql", "hopper-medium", "--expectile", "1.5"], "expectile must be between"),
        (["data", "info", "--scale", "2"], "scale 2 is not above 0 and at most 1"),
        (["data", "info", "--tasks", "hopper-medium", "--scale", "0.5"], "data make --tasks hop"),
        (["table", "--results", "/nonexistent"], "no scores under /nonexistent"),
        (["table"], "no scores under results/local/*/* or results/*/*; run: rl-or-bc grid"),
        (["table", "--check"], "no scores under results/local/*/* or results/*/*"),
        (["list"], "missing: tasks|algorithms|profiles|settings; see: rl-or-bc list --help"),
        (["list", "settings", "iql"], "on a task: rl-or-bc list settings iql antmaze-umaze"),
        (["list", "settings", "iqll", "antmaze-umaze"], "did you mean 'iql'?"),
        (["list", "settings", "iql", "antmaze-umaz"], "did you mean 'antmaze-umaze'?"),
        (["list", "settings", "antmaze-umaze", "iql"], "first: rl-or-bc list settings iql antmaz"),
        (["list", "settings", "iql", "antmaze-umaze", "--profile", "cp"], "did you mean 'cpu'?"),
        (["train", "iql"], "missing: TASK; see: rl-or-bc train --help"),
        (["train"], "missing: ALGORITHM, TASK; see: rl-or-bc train --help"),
        (["list", "tasks", "more"], "'more' is one argument too many; see: rl-or-bc list --help"),
        (["grid", "--tasx", "a"], "unknown option '--tasx'; did you mean '--tasks'?"),
        (["doctor", "--tasx=a"], "unknown option '--tasx'; known: --results"),
        (["grid", "--tasks", "--algorithms", "bc"], "--tasks is given without a value"),
        (["grid", "--profile"], "--profile takes a value; see: rl-or-bc grid --help"),
        (["grid", "--num-seeds", "many"], "--num-seeds takes INT, got 'many'; see: rl-or-bc grid"),
        (["audit", "hopper-medium", "--scale", "x"], "--scale takes FLOAT, got 'x'"),
        (["train", "iql", "hopper-medium", "--polyak", "x"], "--polyak takes FLOAT, got 'x'; see"),
        (
            ["train", "iql", "hopper-medium", "--num-steps", "1e5"],
            "--num-steps takes INT, got '1e5'",
        ),
        (["train", "hopper-medium", "iql"], "algorithm comes first: rl-or-bc train iql hopper-med"),
        (["grid", "--algorithms", "IQL"], "unknown algorithm 'IQL'; did you mean 'iql'?"),
        (
            ["report", "--plots", ""],
            "an argument is '', which is empty; see: rl-or-bc report --help",
        ),
        (["--vesrion"], "did you mean '--version'?"),
        (["audit", "logs-v0", "--environment", "Pendulum-v1"], "dataset logs-v0 is not in "),
        (["audit", "hopper-medium-v2", "--environment", "Hopper-v4"], "data fetch hopper-medium"),
        (["audit", "me/logs", "--environment", "Pendulum-v1"], "ends in a version, as me/logs-v0"),
        (["data", "mak"], "unknown command 'data mak'; did you mean 'data make'?"),
        (
            ["train", "bc", "hopper-medium", "--zz", "1"],
            "known: --reference, --tasks-file, --profile, --source",
        ),
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
    assert "fetch  " not in error  # a command without its name
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("option", "near"),
    [("--expectil", "--expectile"), ("--num-sedes", "--num-seeds"), ("--discont", "--discount")],
)
def test_a_mistyped_option_is_answered_with_the_near_miss(option, near, capsys):
    assert cli.main(["train", "iql", "hopper-medium", option, "1"]) == 2
    assert f"unknown option {option!r}; did you mean {near!r}?" in capsys.readouterr().err


def test_every_config_field_can_be_set_from_the_command_line(datasets, tmp_path, capsys):
    arguments = ["train", "iql", "hopper-medium", "--profile", "smoke", "--results", str(tmp_path)]
    arguments += ["--expectile", "0.8", "--hidden-dims", "8", "8", "--num-steps", "20"]
    arguments += ["--num-seeds", "1", "--num-episodes", "1", "--no-layer-norm"]
    assert cli.main(arguments) == 0
    facts = json.loads(next(tmp_path.rglob("config.json")).read_text())
    config = facts["config"]
    assert (config["expectile"], config["hidden_dims"], config["num_steps"]) == (0.8, [8, 8], 20)
    assert config["layer_norm"] is False
    assert facts["settings"]["seeds"] == [0]
    assert "raw returns and provenance" in capsys.readouterr().out


def test_help_says_which_settings_are_published_and_which_the_profiles(capsys):
    shown = {}
    for profile in ("quick", "paper"):
        with pytest.raises(SystemExit):
            cli.main(["train", "iql", "hopper-medium", "--profile", profile, "--help"])
        shown[profile] = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "The defaults are those of profile quick." in shown["quick"]
    published = shown["quick"].partition("Published, where they differ: ")[2].partition(";")[0]
    assert "--num-steps 1000000" in published
    assert "--hidden-dims 256 256" in published
    assert "--no-layer-norm" in published
    assert "--expectile" not in published
    assert "The defaults are the published ones; algos/iql.py says by whom." in shown["paper"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_list_settings_shows_each_value_of_a_cell_with_where_it_comes_from(name, capsys):
    assert cli.main(["list", "settings", name, "antmaze-umaze", "--profile", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    size = PROFILES["cpu"].sizes["antmaze"]
    config, _ = resolve(name, "antmaze", size, "antmaze-umaze")
    fields = [field.name for field in dataclasses.fields(config)]
    of_run = ["num_seeds", "num_evaluations", "num_episodes", "scale"]
    assert list(shown) == ["setting", *fields, *of_run]
    assert shown["num_episodes"] == "50 profile cpu"
    if name == "iql":
        assert shown["expectile"] == "0.9 published for antmaze, algos/iql.py"
        assert shown["hidden_dims"] == "256 256 published, algos/iql.py"
        assert shown["num_steps"] == "150000 profile cpu"
        assert shown["polyak"] == "0.02 small runs, algos/settings.py"


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
    assert "1 seed;" in (tmp_path / "regenerated" / "smoke" / "table1.md").read_text()


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


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with committed scores of BC, DT and IQL on one task, as the current one."""
    monkeypatch.chdir(tmp_path)
    write_scores(tmp_path / "results" / "regenerated" / "smoke", ["walker2d-medium"])
    assert cli.main(["report", "--results", "results"]) == 0
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_users_run_leaves_the_committed_results_as_they_are(datasets, clone, capsys):
    committed = contents(clone / "results")
    run = ["grid", "--profile", "smoke", "--tasks", "hopper-medium", "--num-seeds", "1"]
    assert cli.main([*run, "--algorithms", "bc", "--workers", "1"]) == 0
    assert "scores and notes: results/local/regenerated/smoke/table1.md" in capsys.readouterr().out
    assert cli.main(["train", "bc_10pct", "hopper-medium", "--profile", "smoke"]) == 0
    for command in ("table", "report", "compare"):
        assert cli.main([command]) == 0
    found = contents(clone / "results")
    assert {path: found[path] for path in committed} == committed
    new = {path.relative_to(clone / "results").parts[0] for path in found if path not in committed}
    assert new == {"local"}
    assert (clone / "results/local/FINDINGS.md").exists()
    assert len(list((clone / "results/local/runs").rglob("DONE"))) == 2


def test_a_grid_prints_the_cells_that_were_asked_for_in_the_registrys_order(
    datasets, tmp_path, capsys
):
    folder = write_scores(tmp_path / "regenerated" / "smoke", ["walker2d-medium", "hopper-medium"])
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--num-seeds", "1", "--algorithms", "bc_10pct", "bc"]
    assert cli.main(arguments) == 0
    header, row, average, *_ = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert header.split() == ["task", "BC", "10%BC"]
    assert (row.split()[0], average.split()[0]) == ("hopper-medium", "locomotion")
    assert cli.main(["table", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["task", "BC", "10%BC", "D<T>", "IQL*"]
    assert "walker2d-medium" in shown
    assert str(folder / "table1.md") in shown


def test_what_is_shown_are_ones_own_results_or_else_the_committed_ones(clone, capsys):
    own = ["--profile", "quick"]
    for command, stream in (("table", "out"), ("compare", "out"), ("table --format csv", "err")):
        assert cli.main(command.split()) == 0
        shown = capsys.readouterr()
        assert "the committed results, results\n" in getattr(shown, stream)
        assert "walker2d-medium" in shown.out
    write_scores(clone / "results" / "local" / "regenerated" / "quick", ["hopper-medium"])
    for arguments, task, whose in (
        ([], "hopper-medium", "your own results, results/local\n"),
        (own, "hopper-medium", "your own results, results/local\n"),
        (["--profile", "smoke"], "walker2d-medium", "the committed results, results\n"),
        (["--results", "results"], "walker2d-medium", ""),
        (["--results", "results/local"], "hopper-medium", ""),
    ):
        for command, stream in (("table", "out"), ("compare --csv", "err")):
            assert cli.main([*command.split(), *arguments]) == 0
            shown = capsys.readouterr()
            assert task in shown.out
            assert {"hopper-medium", "walker2d-medium"} - {task} & set(shown.out.split()) == set()
            assert whose in getattr(shown, stream)
            assert (" results, " in shown.out + shown.err) == bool(whose)
    assert cli.main(["table", *own, "--results", "results"]) == 2


def test_a_check_of_tables_is_of_ones_own_and_of_the_committed_ones(clone, capsys):
    local = write_scores(clone / "results" / "local" / "regenerated" / "quick", ["hopper-medium"])
    assert cli.main(["report"]) == 0
    assert cli.main(["table", "--check"]) == 0
    for folder in (local, clone / "results" / "regenerated" / "smoke"):
        path = folder / "table1.md"
        text = path.read_text()
        path.write_text(f"{text}\n")
        capsys.readouterr()
        assert cli.main(["table", "--check"]) == 1
        root = folder.relative_to(clone).parent.parent
        error = capsys.readouterr().err
        assert (
            f"table1.md is not what its scores give; run: rl-or-bc report --results {root}\n"
            in error
        )
        others = {"results", "results/local"} - {str(root)}
        assert cli.main(["table", "--check", "--results", *others]) == 0
        path.write_text(text)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ESTALE])
def test_what_cannot_be_written_is_one_line_and_what_there_is_is_kept(
    datasets, tmp_path, monkeypatch, capsys, number
):
    def full(*_):
        raise OSError(number, os.strerror(number), "x")

    arguments = ["train", "bc", "hopper-medium", "--profile", "smoke", "--results", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert f"error: cannot write x: {os.strerror(number)}; " in error
    assert error.count("\n") == 1
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


@pytest.mark.parametrize("name", ["audit", "grid", "train"])
def test_help_names_every_source(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    *names, last = SOURCES
    assert f"{', '.join(names)} or {last}".replace(",", " (the default),", 1) in text
