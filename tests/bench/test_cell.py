"""Cells: identity, resume, locks, failures."""

import dataclasses
import signal
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from algos import core
from bench import store
from bench.interrupt import asked_to_stop
from bench.run import cell as cells
from bench.run import checkpoint
from bench.run import data as at_hand
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.sources import regenerated
from envs.sources.reader import Reader
from envs.tasks import get_task


def plan(task="hopper-medium", algorithm="bc", **overrides):
    return plans.plan(get_task(task), algorithm, PROFILES["smoke"], "regenerated", **overrides)


def run(cell, folder, **callbacks):
    return cells.run(cell, folder, **callbacks)


def group(folder):
    """The folder of the one group of seeds that a cell's folder has."""
    (found,) = folder.glob("seeds-*")
    return found


def content(folder):
    return {name: (group(folder) / name).read_bytes() for name in ("evals.csv", "train.csv")}


# One method of one phase, one of three, one with a memory; the contract tests see them all.
@pytest.fixture(params=["iql", "onestep", "dt"])
def cell(request, datasets):
    return plan(algorithm=request.param)


@pytest.fixture
def undisturbed(cell, tmp_path):
    return run(cell, tmp_path / "undisturbed")


def test_a_finished_cell_has_every_episode_of_every_evaluation(undisturbed, cell):
    rows, facts = cells.read(undisturbed)
    settings = cell.settings
    assert len(rows) == 2 * len(settings.seeds) * settings.num_episodes
    steps = cell.config.num_steps
    assert sorted(rows["step"].unique()) == [steps // 2, steps]
    assert facts["hash"] == undisturbed.name
    assert facts["config"]["num_steps"] == steps
    assert len(facts["dataset"]["hash"]) == 64
    assert not (group(undisturbed) / "checkpoint").exists()


def test_a_finished_cell_of_a_maze_tells_where_its_last_episodes_went(datasets, tmp_path):
    folder = run(plan("antmaze-umaze", num_episodes=3), tmp_path)
    tracks, rows = cells.read_tracks(folder), cells.read(folder)[0]
    lengths = rows[(rows["seed"] == 0) & (rows["step"] == rows["step"].max())]["length"].tolist()
    assert tracks["seed"].unique().tolist() == [0]
    for (episode, track), length in zip(tracks.groupby("episode"), lengths, strict=True):
        steps = track["step"].tolist()
        assert steps == sorted(set(steps)), episode
        assert (steps[0], steps[-1]) == (0, length)
        assert len(steps) == 51
        # Every episode starts at the origin, give or take D4RL's noise and ours of rounding.
        assert track[["x", "y"]].iloc[0].abs().max() <= 0.105
    assert track[["x", "y"]].nunique().min() > 1


def test_tracks_are_those_of_the_first_seeds_episodes_up_to_their_ends(
    datasets, tmp_path, monkeypatch
):
    shape, path = (2, 3), np.cumsum(np.ones((3, 9, 2)), axis=1)  # of seed 0, a metre each step
    lengths = np.array([[2, 5, 8], [7, 7, 7]])
    played = np.zeros(shape), lengths, path + 100.0 * np.arange(3)[:, None, None]
    monkeypatch.setattr(cells, "_play", lambda *_: played)
    tracks = cells.read_tracks(run(plan("antmaze-umaze", num_episodes=3), tmp_path))
    assert (tracks["seed"] == 0).all()
    for episode, length in enumerate(lengths[0].tolist()):
        track = tracks[tracks["episode"] == episode]
        assert track["step"].tolist() == list(range(length + 1))
        expected = 100.0 * episode + 1.0 + np.arange(length + 1)
        assert track["x"].tolist() == track["y"].tolist() == expected.tolist()


def test_a_cell_outside_mazes_has_no_tracks(undisturbed):
    assert len(cells.read_tracks(undisturbed)) == 0
    assert not (group(undisturbed) / "tracks.csv").exists()


def test_a_finished_cell_is_not_run_again(undisturbed, cell, tmp_path):
    times = lambda: {
        path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.name != "lock"
    }
    before = times()
    assert run(cell, tmp_path / "undisturbed") == undisturbed
    after = times()
    assert before == after


def test_a_cell_stopped_at_any_write_ends_bit_identical(undisturbed, cell, tmp_path, monkeypatch):
    writes = {"checkpoint": checkpoint.save, "rows": store.write_rows}

    class Killed(BaseException):
        pass

    for number in range(1, 5):
        for kind, original in writes.items():
            count = iter(range(1, 100))

            def broken(*args, original=original, count=count, number=number):
                if next(count) == number:
                    raise Killed
                return original(*args)

            where = tmp_path / f"{kind}-{number}"
            module, name = {
                "checkpoint": (checkpoint, "save"),
                "rows": (store, "write_rows"),
            }[kind]
            with monkeypatch.context() as patch:
                patch.setattr(module, name, broken)
                try:
                    run(cell, where)
                except Killed:
                    stopped = True
                else:
                    stopped = False
            # Two evaluations make two checkpoints and four row files.
            assert stopped == (number <= (2 if kind == "checkpoint" else 4))
            assert content(run(cell, where)) == content(undisturbed)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(cell, tmp_path, monkeypatch):
    whole = content(run(cell, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "clear", lambda folder: None)
        folder = run(cell, tmp_path / "kept")
    (group(folder) / "DONE").unlink()
    # Named by phase and step.
    saved = [path for path in (group(folder) / "checkpoint").glob("*-*") if path.is_dir()]
    newest = max(saved, key=lambda path: [int(part) for part in path.name.split("-")])
    for path in newest.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    lines = []
    run(cell, tmp_path / "kept", report=lines.append)
    assert any("cannot be used" in line for line in lines)
    assert content(folder) == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_checkpoints_and_the_next_run_goes_on(datasets, tmp_path, monkeypatch, number):
    before = signal.getsignal(number)
    monkeypatch.setattr(cells, "chunk_steps", lambda interval: 100)
    cell = plan(config=dataclasses.replace(plan().config, num_steps=400), num_evaluations=1)
    whole = content(run(cell, tmp_path / "whole"))

    def interrupt(step, total):
        if step == 100:
            signal.raise_signal(number)

    with (
        asked_to_stop() as asked,
        pytest.raises(cells.Interrupted, match="stopped at step 200 of 400"),
    ):
        # The signal comes after the first chunk and is seen after the second.
        run(cell, tmp_path / "cut", asked=asked, progress=interrupt)
    assert signal.getsignal(number) == before
    folder = next((tmp_path / "cut").rglob("config.json")).parents[1]
    assert (group(folder) / "checkpoint").exists()
    assert not (group(folder) / "DONE").exists()
    steps = []
    run(cell, tmp_path / "cut", progress=lambda step, total: steps.append(step))
    assert steps == [300, 400]
    assert content(folder) == whole


def test_a_run_without_evaluations_is_checkpointed_from_time_to_time(
    datasets, tmp_path, monkeypatch
):
    monkeypatch.setattr(cells, "chunk_steps", lambda interval: 100)
    monkeypatch.setattr(cells, "SECONDS_TO_LOSE", 0.0)
    cell = plan(config=dataclasses.replace(plan().config, num_steps=400), num_evaluations=1)
    whole = content(run(cell, tmp_path / "whole"))

    class Killed(BaseException):
        pass

    def kill(step, total):
        if step == 300:
            raise Killed

    with pytest.raises(Killed):
        run(cell, tmp_path / "cut", progress=kill)
    steps = []
    folder = run(cell, tmp_path / "cut", progress=lambda step, total: steps.append(step))
    assert steps == [400]
    assert content(folder) == whole


def test_no_more_than_five_minutes_of_work_are_lost(datasets, tmp_path, monkeypatch):
    now, saved = [0.0], []
    monkeypatch.setattr(cells, "chunk_steps", lambda interval: 20)
    monkeypatch.setattr(cells, "time", SimpleNamespace(monotonic=lambda: now[0]))
    save = checkpoint.save

    def noted(folder, states, phase, step):
        saved.append(step)
        save(folder, states, phase, step)

    def pass_time(step, total):
        now[0] += 100.0

    monkeypatch.setattr(checkpoint, "save", noted)
    run(plan(num_evaluations=1), tmp_path, progress=pass_time)
    # A chunk of 20 steps takes 100 s here: 300 s are borne, 400 s are not. The last is the end.
    assert saved == [100, 180, 200]


def test_a_finished_cell_whose_rows_are_gone_is_run_again(datasets, tmp_path):
    folder = run(plan(), tmp_path)
    whole = content(folder)
    (group(folder) / "evals.csv").unlink()
    assert run(plan(), tmp_path) == folder
    assert content(folder) == whole


def test_data_are_read_once_for_many_cells_and_anew_when_they_change(monkeypatch):
    hashes, read = ["a" * 64], []

    def reader(task, scale):
        read.append(hashes[-1])
        return hashes[-1], {}

    provenance = lambda task, scale: {"dataset_id": "x", "hash": hashes[-1]}
    monkeypatch.setattr(regenerated, "READER", Reader(provenance, reader))
    for new in ("a" * 64, "b" * 64):
        hashes.append(new)
        assert [at_hand.load_once(plan(algorithm=name)) for name in ("bc", "iql")] == [new, new]
    assert read == ["a" * 64, "b" * 64]


def test_a_second_process_waits_for_the_first(datasets, tmp_path):
    cell = plan()
    folder = plans.folder_of(cell, tmp_path) / "seeds-0-1"
    folder.mkdir(parents=True)
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", holder, str(folder / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout.readline() == b"held\n"
    lines = []

    def release(line):
        lines.append(line)
        first.stdin.close()

    run(cell, tmp_path, report=release)
    first.wait()
    first.stdout.close()
    assert lines == ["hopper-medium/bc is being written by another process; waiting for it"]
    assert (folder / "DONE").exists()


def test_a_loss_that_is_not_finite_stops_the_cell_and_says_where(datasets, tmp_path):
    config = dataclasses.replace(plan(algorithm="iql").config, learning_rate=1e30)
    with pytest.raises(cells.Diverged, match=r"of hopper-medium/iql, seed 0, is \S+ by step 100"):
        run(plan(algorithm="iql", config=config), tmp_path)


def test_the_folder_changes_with_every_setting_that_moves_a_number(datasets, tmp_path, monkeypatch):
    base = plan()
    variants = [
        base,
        plan(algorithm="iql"),
        plan(config=dataclasses.replace(base.config, learning_rate=2e-3)),
        plan(num_episodes=3),
        plan(num_evaluations=1),
        plan(version="v5"),  # of the environment
    ]
    folders = {plans.folder_of(cell, tmp_path) for cell in variants}
    provenance = regenerated.provenance(base.task, base.settings.scale)
    for changed in (provenance | {"hash": "0" * 64}, provenance | {"dataset_id": "other-v0"}):
        changed_reader = Reader(lambda task, scale, changed=changed: changed, regenerated.read)
        with monkeypatch.context() as patch:
            patch.setattr(regenerated, "READER", changed_reader)
            folders.add(plans.folder_of(base, tmp_path))
    packages = ("jax", "jaxlib", "flax", "optax", "distrax", "numpy", "mujoco")
    for package in packages:
        newer = lambda name, package=package: "99" if name == package else version(name)
        with monkeypatch.context() as patch:
            patch.setattr(plans, "version", newer)
            folders.add(plans.folder_of(base, tmp_path))
    for switch in (
        jax.default_matmul_precision("bfloat16"),
        jax.enable_x64(True),
        jax.default_prng_impl("rbg"),
    ):
        with switch:
            folders.add(plans.folder_of(base, tmp_path))
    assert len(folders) == len(variants) + 2 + len(packages) + 3


def test_the_folder_stays_when_seeds_are_added_or_a_setting_gets_another_name(datasets, tmp_path):
    base = plan(algorithm="iql")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Renamed(core.ValueConfig):
        quantile: float = dataclasses.field(metadata={plans.KEY: "expectile"})
        inverse_temperature: float
        max_weight: float

    values = dataclasses.asdict(base.config)
    renamed = Renamed(quantile=values.pop("expectile"), **values)
    for other in (plan(algorithm="iql", num_seeds=3), plan(algorithm="iql", config=renamed)):
        assert plans.folder_of(other, tmp_path) == plans.folder_of(base, tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_seeds": 0}, "num_seeds must be 1 to 1,000, got 0"),
        ({"num_seeds": 10**12}, "num_seeds must be 1 to 1,000, got 1000000000000"),
        ({"num_seeds": 2, "seeds": (0, 1)}, "--seeds and --num-seeds both say which seeds"),
        ({"seeds": (1, 0)}, r"seeds must be one or more, each once and rising, got \(1, 0\)"),
        ({"seeds": (3, 2**32)}, "seeds must be between 0 and 4294967295, got 4294967296"),
        ({"num_episodes": 0}, "num_episodes must be at least 1, got 0"),
        ({"num_evaluations": 3}, "num_steps 200 is not divisible by num_evaluations 3"),
        ({"num_evaluations": 0}, "num_evaluations must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_run_are_refused_before_anything_is(overrides, message):
    with pytest.raises(InputError, match=message):
        plan(**overrides)
