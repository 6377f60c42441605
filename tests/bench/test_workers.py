"""Datasets and cells side by side, each in a process of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children, current_process

import pytest

from bench import cli, grid
from bench.launch import datasets as side_by_side
from bench.launch import pool, processes
from bench.run import cell as cells
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.recipes import Recipe
from envs.sources.regenerated import provenance
from envs.tasks import get_task

TASKS = ("hopper-medium", "hopper-medium-replay", "halfcheetah-medium")


def plan(task="hopper-medium", algorithm="bc"):
    return plans.plan(get_task(task), algorithm, PROFILES["smoke"], "regenerated")


@pytest.fixture
def todo():
    return processes._Todo([plan(task, algorithm) for task in TASKS for algorithm in ("bc", "iql")])


def test_a_worker_stays_with_its_task_whose_data_it_has_read(todo):
    first = todo.take(None, [])
    assert todo.take(first, [plan("hopper-medium-replay")]).task == first.task


def test_workers_start_in_environments_of_their_own_so_that_none_compiles_what_another_does(todo):
    first = todo.take(None, [])
    second = todo.take(None, [first])
    assert (first.task.name, second.task.name) == ("hopper-medium", "halfcheetah-medium")


def test_a_worker_without_a_task_of_its_own_helps_and_every_cell_is_taken_once(todo):
    taken, last = [], None
    while todo.left:
        last = todo.take(last, [])
        taken.append(last.name)
    assert sorted(taken) == sorted(f"{task}/{name}" for task in TASKS for name in ("bc", "iql"))


def test_there_is_a_worker_for_each_processor_as_far_as_memory_goes(monkeypatch):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("processes cannot be pinned here")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 3.5 * processes.BYTES_PER_WORKER}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert processes.default_number() == 3
    pages["SC_PHYS_PAGES"] = 1
    assert processes.default_number() == 1


@pytest.mark.parametrize("chosen", [None, *processes.MEMORY_FRACTIONS])
def test_workers_share_the_memory_of_a_gpu_unless_that_is_chosen_otherwise(monkeypatch, chosen):
    for name in processes.MEMORY_FRACTIONS:
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv(chosen, "0.4")
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(processes, "settle", lambda: None)
    monkeypatch.setattr(processes, "keep_compiled_programs", lambda: None)
    for name in ("_asked", "_events"):
        monkeypatch.setattr(processes, name, None, raising=False)
    processes._begin([0], 3, pool.Flag(), None)
    found = {name: os.environ.pop(name, None) for name in processes.MEMORY_FRACTIONS}
    expected = {chosen: "0.4"} if chosen else {processes.MEMORY_FRACTIONS[0]: "0.250"}
    assert found == dict.fromkeys(processes.MEMORY_FRACTIONS) | expected


class Recorder:
    def __init__(self):
        self.finished_parts, self.notes = [], []

    def started(self, name): ...

    def progress(self, name, done, total): ...

    def scored(self, name, score): ...

    def finished(self, name, text):
        self.finished_parts.append((name, text))

    def failed(self, name, reason):
        self.finished_parts.append((name, "failed"))

    def note(self, line):
        self.notes.append(line)


def test_two_workers_give_what_one_process_gives(datasets, tmp_path):
    scores = []
    for number in ("1", "2"):
        command = [sys.executable, "-m", "bench", "grid", "--profile", "smoke"]
        command += ["--workers", number, "--results", str(tmp_path / number)]
        command += ["--tasks", "hopper-medium", "antmaze-umaze", "--algorithms", "bc", "td3_bc"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        scores.append((tmp_path / number / "regenerated" / "smoke" / "scores.csv").read_bytes())
    assert scores[0] == scores[1]


def test_a_failed_cell_stops_no_other(datasets, tmp_path):
    bad = plan(algorithm="iql")
    bad = dataclasses.replace(bad, config=dataclasses.replace(bad.config, learning_rate=1e30))
    display = Recorder()
    planned = [bad, plan(), plan("antmaze-umaze")]
    failures = grid.run(planned, "smoke", tmp_path, display, num_workers=2)
    assert len(failures) == 1
    assert failures[0].startswith("hopper-medium/iql failed: ")
    assert "Diverged" in (cells.failed_in(bad, tmp_path) / "FAILED").read_text()
    assert len(list(tmp_path.rglob("DONE"))) == 2
    assert len(display.finished_parts) == 3


def tell_and_look_forever(events, stop):
    while not stop.is_set():
        events.send(("progress", "endless", 0, 1))


def tell_ten_times(events, stop):
    for number in range(10):
        events.send(("note", f"{number} {stop.is_set()}"))


def test_a_process_that_is_killed_while_it_reports_locks_out_no_other():
    display, stop = Recorder(), pool.Flag()
    told = threading.Event()
    display.progress = lambda *_: told.set()
    with pool.passed_on(display, lambda: False) as (events, _):
        for _ in range(3):
            told.clear()
            killed = pool.SPAWN.Process(target=tell_and_look_forever, args=(events, stop))
            killed.start()
            assert told.wait(60)
            killed.kill()
            killed.join()
        other = pool.SPAWN.Process(target=tell_ten_times, args=(events, stop))
        other.start()
        other.join(60)
        assert other.exitcode == 0
    assert display.notes == [f"{number} False" for number in range(10)]


def tell_until_asked(events, stop):
    for number in range(100_000):  # far more than a pipe holds
        if stop.is_set():
            return
        events.send(("progress", "long", number, 100_000))


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), SystemExit(1)])
def test_a_display_whose_reader_went_away_stops_its_workers_and_blocks_none(error):
    display, stop = Recorder(), pool.Flag()

    def fail(*_):
        raise error

    display.progress = fail
    with contextlib.suppress(type(error)):
        with pool.passed_on(display, lambda: False) as (events, asked):
            worker = pool.SPAWN.Process(target=tell_until_asked, args=(events, stop))
            worker.start()
            deadline = time.monotonic() + 60.0
            while not asked() and time.monotonic() < deadline:
                time.sleep(0.01)
            stop.set()
            worker.join(60)
            exit_code = worker.exitcode
            worker.kill()
        pytest.fail("the display's error was lost")
    assert exit_code == 0


def test_a_worker_that_is_killed_for_its_memory_takes_its_own_cell_alone_with_it(
    datasets, tmp_path
):
    endless = plan()
    config = dataclasses.replace(endless.config, num_steps=4_000_000)
    settings = dataclasses.replace(endless.settings, eval_interval=4_000_000)
    endless = dataclasses.replace(endless, config=config, settings=settings)
    display = Recorder()

    def kill(name, done, total):
        if name == endless.name and total == 4_000_000:
            display.progress = lambda *_: None
            # Its worker is the first that was started.
            os.kill(min(child.pid for child in active_children()), signal.SIGKILL)

    display.progress = kill
    planned = [endless, plan(algorithm="bc_10pct"), plan("antmaze-umaze")]
    failures = grid.run(planned, "smoke", tmp_path, display, num_workers=2)
    assert len(failures) == 1
    assert "hopper-medium/bc failed: its process was killed, perhaps for want" in failures[0]
    assert sorted(done.parents[2].name for done in tmp_path.rglob("DONE")) == ["bc", "bc_10pct"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_checkpoints_what_every_worker_runs(datasets, tmp_path, number):
    planned = []
    for task in ("hopper-medium", "antmaze-umaze"):
        cell = plan(task)
        config = dataclasses.replace(cell.config, num_steps=4_000_000)
        settings = dataclasses.replace(cell.settings, eval_interval=4_000_000)
        planned.append(dataclasses.replace(cell, config=config, settings=settings))
    running = set()
    display = Recorder()

    def interrupt(name, done, total):
        running.add(name)
        if len(running) == 2:
            for process in (*active_children(), current_process()):
                os.kill(process.pid, number)
            running.clear()
            display.progress = lambda *_: None

    display.progress = interrupt
    with pytest.raises(cells.Interrupted):
        grid.run(planned, "smoke", tmp_path, display, num_workers=2)
    assert len(list(tmp_path.rglob("checkpoint"))) == 2
    assert not list(tmp_path.rglob("DONE"))


def test_workers_end_with_the_process_that_started_them(datasets, tmp_path):
    command = [sys.executable, "-m", "bench", "grid", "--profile", "smoke", "--workers", "2"]
    command += ["--tasks", "hopper-medium", "--results", str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while not list(tmp_path.rglob("config.json")):
        assert parent.poll() is None
        time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            os.killpg(parent.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(parent.pid, signal.SIGKILL)
    pytest.fail("workers went on without their parent")


def recipes():
    return [Recipe(get_task(name), 0.001) for name in ("hopper-medium", "pointmaze-umaze")]


def test_datasets_made_side_by_side_are_those_made_one_by_one(tmp_path, monkeypatch):
    hashes = []
    for processors in (1, 2):
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / str(processors)))
        monkeypatch.setattr(side_by_side, "num_processors", lambda count=processors: count)
        display = Recorder()
        side_by_side.make_all(recipes(), False, display)
        assert sorted(display.finished_parts) == [
            ("hopper-medium", "1,000 rows"),
            ("pointmaze-umaze", "1,000 rows"),
        ]
        hashes.append([provenance(r.task, r.scale)["hash"] for r in recipes()])
    assert hashes[0] == hashes[1]


def test_ctrl_c_stops_every_dataset_between_two_blocks(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr(side_by_side, "num_processors", lambda: 2)
    large = [Recipe(recipe.task, 1.0) for recipe in recipes()]
    display = Recorder()

    def interrupt(name, done, total):
        if done:
            display.progress = lambda *_: None
            os.kill(os.getpid(), signal.SIGINT)

    display.progress = interrupt
    with pytest.raises(KeyboardInterrupt, match="making"):
        side_by_side.make_all(large, False, display)
    assert list(tmp_path.rglob("part-00-block-0000.npz"))
    assert not list(tmp_path.rglob("main_data.hdf5"))


def test_a_process_that_is_killed_while_it_makes_data_takes_its_own_dataset_alone_with_it(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr(side_by_side, "num_processors", lambda: 2)
    large, small = Recipe(recipes()[0].task, 1.0), recipes()[1]
    other = Recipe(get_task("hopper-medium-replay"), 0.001)
    display = Recorder()

    def kill(name, done, total):
        if name == "hopper-medium" and done:
            display.progress = lambda *_: None
            # It is the first that was started.
            os.kill(min(child.pid for child in active_children()), signal.SIGKILL)

    display.progress = kill
    failures = side_by_side.make_all([large, small, other], False, display)
    assert list(failures) == ["hopper-medium"]
    assert failures["hopper-medium"].endswith("its process was killed, perhaps for want of memory")
    assert dict(display.finished_parts) == {
        "hopper-medium": "failed",
        "pointmaze-umaze": "1,000 rows",
        "hopper-medium-replay": f"{other.num_rows:,} rows",
    }
    monkeypatch.setattr(side_by_side, "make_all", lambda *_: failures)
    assert cli.main(["data", "make", "--profile", "smoke", "--tasks", "hopper-medium"]) == 1
    arguments = ["--profile", "smoke", "--tasks", "hopper-medium", "--results", str(tmp_path)]
    assert cli.main(["grid", *arguments]) == 1
    assert capsys.readouterr().err == f"error: {failures['hopper-medium']}\n" * 2
