"""The grid, end to end on two tasks, through the command line."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from bench import cli, store
from bench import grid as grids
from bench.report import artifacts, formats
from bench.run import cell as cells
from envs.errors import InputError
from envs.tasks import get_task

TASKS = ["hopper-medium", "antmaze-umaze"]


def grid(folder, *options, workers=1):
    """One worker runs in this process, where a test can reach it."""
    fixed = ["--profile", "smoke", "--results", str(folder), "--workers", str(workers)]
    return cli.main(["grid", *fixed, "--tasks", *TASKS, *options])


def published(folder):
    where = folder / "regenerated" / "smoke"
    return {path.name: path.read_bytes() for path in where.iterdir()}


@pytest.fixture(scope="module")
def finished_once(datasets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    assert grid(folder, "--algorithms", "bc", "iql") == 0
    return folder


@pytest.fixture
def finished(finished_once, tmp_path):
    return shutil.copytree(finished_once, tmp_path / "results")


def test_the_grid_fills_every_cell_and_writes_the_table(finished, capsys):
    text = (finished / "regenerated" / "smoke" / "table1.md").read_text()
    for task in TASKS:
        line = next(line for line in text.splitlines() if line.startswith(f"| {task} "))
        assert line.count("±") == 2
    assert artifacts.stale(finished / "regenerated" / "smoke", formats.build, optional=False) == []


def test_a_finished_cell_is_told_with_mean_and_deviation_over_seeds_of_its_last_evaluation():
    # Of two episodes each, seeds 0, 1 and 2 reach the goal in one, two and none: 50, 100 and 0.
    last = [(0, 0.0), (0, 1.0), (1, 1.0), (1, 1.0), (2, 0.0), (2, 0.0)]
    rows = pd.DataFrame(last, columns=["seed", "return"]).assign(step=200)
    rows = pd.concat([rows.assign(step=100, **{"return": 1.0}), rows])
    task = get_task("antmaze-umaze")
    assert grids.summary_text(task, rows) == "50.0 ± 50.0"  # 40.8, were it divided by all three
    assert grids.summary_text(task, rows[rows["seed"] == 1]) == "100.0"


def test_a_second_run_trains_nothing_and_changes_no_byte(finished, monkeypatch):
    before = published(finished)
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert grid(finished, "--algorithms", "bc", "iql") == 0
    assert published(finished) == before


def test_a_part_of_the_grid_leaves_the_other_cells_in_the_table(finished):
    before = published(finished)
    assert (
        cli.main(
            [
                "grid",
                "--profile",
                "smoke",
                "--results",
                str(finished),
                "--tasks",
                "hopper-medium",
                "--algorithms",
                "bc",
                "--workers",
                "1",
            ]
        )
        == 0
    )
    assert published(finished) == before


def test_keep_leaves_out_what_the_table_has_and_nothing_else(finished, monkeypatch, capsys):
    shutil.rmtree(finished / "runs")  # as in a fresh clone
    before = published(finished)
    with monkeypatch.context() as patch:
        patch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
        assert grid(finished, "--keep", "--algorithms", "bc", "iql", workers=2) == 0
    assert published(finished) == before
    path = finished / "regenerated" / "smoke" / "provenance.json"
    provenance = store.read_provenance(path)
    provenance["antmaze-umaze/iql"]["hash"] = "of other settings"
    store.write_provenance(path, provenance)
    capsys.readouterr()
    assert grid(finished, "--keep", "--algorithms", "bc", "iql") == 0
    assert capsys.readouterr().out.count("in the table") == 3
    assert [done.parents[2].name for done in finished.rglob("DONE")] == ["iql"]
    after = published(finished)
    assert {name: after[name] for name in after if name != "provenance.json"} == {
        name: before[name] for name in before if name != "provenance.json"
    }


def test_results_can_go_to_a_relative_folder_as_they_do_by_default(datasets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["grid", "--profile", "smoke", "--tasks", "hopper-medium", "--algorithms", "bc"]
    arguments += ["--workers", "1"]
    assert cli.main(arguments) == 0
    assert list((tmp_path / "results" / "local" / "regenerated" / "smoke").iterdir())


def test_a_failed_cell_is_reported_and_the_others_go_on(datasets, tmp_path, monkeypatch, capsys):
    train = cells._train

    def fail_on_iql(cell, *arguments):
        if cell.algorithm == "iql":
            raise RuntimeError("out of memory")
        train(cell, *arguments)

    monkeypatch.setattr(cells, "_train", fail_on_iql)
    assert grid(tmp_path, "--algorithms", "iql", "bc") == 1
    captured = capsys.readouterr()
    assert captured.err.count("out of memory") == len(TASKS)
    failed = list(tmp_path.rglob("FAILED"))
    assert len(failed) == len(TASKS)
    assert "RuntimeError: out of memory" in failed[0].read_text()
    scores = store.read_rows(tmp_path / "regenerated" / "smoke" / "scores.csv", store.SCORE_COLUMNS)
    assert set(store.cell_names(scores)) == {f"{task}/bc" for task in TASKS}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (cells.Interrupted("asked to"), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (InputError("the data are gone"), 2),
        (TimeoutError("a user's environment"), 1),
    ],
)
def test_what_ends_a_grid_leaves_finished_cells_in_the_table(
    datasets, tmp_path, monkeypatch, error, status
):
    train = cells._train

    def end_on_iql(cell, *arguments):
        if cell.algorithm == "iql":
            raise error
        train(cell, *arguments)

    monkeypatch.setattr(cells, "_train", end_on_iql)
    assert grid(tmp_path, "--algorithms", "bc", "iql") == status
    folder = tmp_path / "regenerated" / "smoke"
    scores = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
    done = TASKS if isinstance(error, TimeoutError) else TASKS[:1]
    assert set(store.cell_names(scores)) == {f"{task}/bc" for task in done}
    assert artifacts.stale(folder, formats.build, optional=False) == []


def test_cells_of_other_code_are_kept_and_named(finished, monkeypatch, capsys):
    assert grid(finished, "--algorithms", "bc") == 0
    assert "other code" not in capsys.readouterr().out
    edited = "algos/bc.py"  # since the cells of one task were finished
    for path in finished.glob("runs/regenerated/hopper-medium/*/*/*/code.json"):
        files = json.loads(path.read_text())
        path.write_text(json.dumps({k: "0" if k == edited else v for k, v in files.items()}))
    assert grid(finished, "--algorithms", "bc", "iql") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cells of other code than today's: 1, such as " in shown
    assert str(finished / "runs" / "regenerated" / "hopper-medium" / "bc") in shown
    trained, train = [], cells._train

    def noted(cell, *rest):
        trained.append(cell.name)
        train(cell, *rest)

    before = published(finished)
    monkeypatch.setattr(cells, "_train", noted)
    for _ in range(2):
        assert grid(finished, "--algorithms", "bc", "iql", "--rerun") == 0
        assert trained == ["hopper-medium/bc"]
        assert "other code" not in capsys.readouterr().out
    assert published(finished) == before


def test_damaged_provenance_is_one_line_at_the_end_of_a_grid(finished, capsys):
    path = finished / "regenerated" / "smoke" / "provenance.json"
    for damage in ("[]", "null", '{"a/b": null}'):
        path.write_text(damage)
        capsys.readouterr()
        assert grid(finished, "--algorithms", "bc") == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_failed_cell_that_runs_well_later_is_no_longer_marked(datasets, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cells, "_train", lambda *_: 1 / 0)
        assert grid(tmp_path, "--algorithms", "bc") == 1
    assert grid(tmp_path, "--algorithms", "bc") == 0
    assert list(tmp_path.rglob("FAILED")) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_grid_killed_at_25_random_moments_ends_bit_identical(tmp_path, workers, request):
    """From nothing, so that data collection is cut as well; each kill ends every process.

    A report and a table are made of the same folder all the while.
    """
    command = [sys.executable, "-m", "bench", "grid", "--profile", "smoke", "--tasks", *TASKS]
    command += ["--algorithms", "bc", "onestep", "iql", "--workers", str(workers)]

    def start(name):
        environment = os.environ | {"MINARI_DATASETS_PATH": str(tmp_path / f"data-{name}")}
        return subprocess.Popen(
            [*command, "--results", str(tmp_path / name)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def same():
        whole, again = published(tmp_path / "whole"), published(tmp_path / "killed")
        names = ("scores.csv", "table1.csv", "table1.md")
        return whole.keys() <= again.keys() and all(whole[name] == again[name] for name in names)

    over, others = threading.Event(), []
    request.addfinalizer(over.set)

    def run_beside(command):
        """Again and again; only scores that are not there yet are an error, and of one line."""
        while not over.is_set():
            arguments = [sys.executable, "-m", "bench", command]
            arguments += ["--results", str(tmp_path / "killed")]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            others.append((done.returncode, done.stderr))

    begin = time.monotonic()
    assert start("whole").wait() == 0
    duration = time.monotonic() - begin
    generator = np.random.default_rng(workers)
    num_killed = 0
    beside = [threading.Thread(target=run_beside, args=(name,)) for name in ("report", "table")]
    for thread in beside:
        thread.start()
    while num_killed < 25:
        process = start("killed")
        try:
            assert process.wait(generator.uniform(0.0, 0.6 * duration)) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            num_killed += 1
            for path in (tmp_path / "killed").rglob("*.json"):
                json.loads(path.read_text())  # nothing is half written
        else:  # it got to its end in spite of all; from nothing again
            assert same()
            shutil.rmtree(tmp_path / "killed", ignore_errors=True)  # where others write
            shutil.rmtree(tmp_path / "data-killed")
    over.set()
    for thread in beside:
        thread.join()
    assert start("killed").wait() == 0
    assert same()
    assert list(tmp_path.rglob("FAILED")) == []
    assert list(tmp_path.rglob("*.tmp")) == []
    assert list((tmp_path / "killed").rglob("checkpoint")) == []
    assert [text for status, text in others if status not in (0, 2) or text.count("\n") > 1] == []
