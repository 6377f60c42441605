"""What goes wrong on real machines: damaged files, full disks, losses of NaN, two at once."""

import ast
import dataclasses
import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algos.registry import ALGORITHMS
from bench import cli, grid, store
from bench.report import artifacts, claims, formats, page
from bench.run import cell as cells
from bench.run import checkpoint, records
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs import files
from envs.collect import policy
from envs.recipes import Recipe
from envs.scores import normalized_score
from envs.sources.registry import SOURCES
from envs.tasks import TASKS, get_task
from tests.helpers import score_files

ROOT = Path(__file__).resolve().parents[2]


def plan(algorithm="bc", **overrides):
    task = get_task("hopper-medium")
    return plans.plan(task, algorithm, PROFILES["smoke"], "regenerated", **overrides)


def group(folder):
    """The folder of the one group of seeds that a cell's folder has."""
    (found,) = folder.glob("seeds-*")
    return found


def content(folder):
    """Of a group of seeds."""
    return {name: (folder / name).read_bytes() for name in ("evals.csv", "train.csv")}


@pytest.fixture(scope="module")
def undisturbed(datasets, tmp_path_factory):
    return content(group(cells.run(plan(), tmp_path_factory.mktemp("undisturbed"))))


@pytest.fixture
def stopped(datasets, tmp_path, monkeypatch):
    """A group's folder as a power cut at its very end leaves it: two checkpoints, no DONE."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "clear", lambda folder: None)
        folder = group(cells.run(plan(), tmp_path))
    (folder / "DONE").unlink()
    return folder


def checkpoints(folder):
    """Newest first."""
    return [path for _, _, path in checkpoint._list(folder / "checkpoint")]


def go_on(folder):
    """Run the cell of a group again; (its content, what was said, steps that were trained)."""
    lines, steps = [], []
    results_folder = folder.parents[5]
    again = cells.run(
        plan(),
        results_folder,
        report=lines.append,
        progress=lambda step, total: steps.append(step),
    )
    assert again == folder.parent
    return content(folder), lines, steps


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def largest(folder):
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )


def test_two_checkpoints_are_kept_and_a_sound_one_is_gone_on_from_silently(stopped, undisturbed):
    assert [path.name for path in checkpoints(stopped)] == ["0-200", "0-100"]
    assert go_on(stopped) == (undisturbed, [], [])


def test_the_newest_checkpoint_is_the_one_of_the_most_steps_in_the_last_phase(tmp_path):
    for phase, step in ((0, 900), (0, 1000), (1, 20), (1, 100)):
        checkpoint.save(tmp_path, {"weights": jnp.full(3, phase + step)}, phase, step)
    found, *where = checkpoint.load(tmp_path, {"weights": jnp.zeros(3, int)}, lambda line: None)
    assert where == [1, 100]
    np.testing.assert_array_equal(found["weights"], np.full(3, 101))
    # The one before is kept as well, and no other.
    assert sorted(path.name for path in tmp_path.glob("*-*") if path.is_dir()) == ["1-100", "1-20"]


@pytest.mark.parametrize("damage", [flip_a_byte, cut, Path.unlink])
def test_damage_to_the_newest_checkpoint_is_named_and_the_one_before_is_used(
    stopped, undisturbed, damage
):
    newest = checkpoints(stopped)[0]
    where = largest(newest)
    damage(where)
    found, lines, steps = go_on(stopped)
    assert found == undisturbed
    assert steps == [200]
    name = where.relative_to(newest).as_posix()
    reason = f"{name} is not what was written"
    assert lines == [f"checkpoint {newest} cannot be used ({reason}); going back to the one before"]


def test_damage_to_every_checkpoint_restarts_the_cell_and_says_so(stopped, undisturbed):
    for path in checkpoints(stopped):
        flip_a_byte(largest(path))
    found, lines, steps = go_on(stopped)
    assert found == undisturbed
    assert steps == [100, 200]
    assert len(lines) == 2
    assert lines[1].endswith("the cell starts from nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest | {"format": 0}, "written with format 0, this is 1"),
        (lambda manifest: manifest | {"files": 3}, "its list of files is damaged"),
        (lambda manifest: [], "its list of files is damaged"),
        (lambda manifest: None, "its list of files is missing or damaged"),
    ],
)
def test_a_checkpoint_of_another_version_is_named_and_not_used(
    stopped, undisturbed, change, message
):
    where = checkpoint._manifest(checkpoints(stopped)[0])
    changed = change(json.loads(where.read_text()))
    where.write_text("{" if changed is None else json.dumps(changed))
    found, lines, steps = go_on(stopped)
    assert found == undisturbed
    assert steps == [200]
    assert len(lines) == 1
    assert message in lines[0]


def test_a_checkpoint_of_other_networks_is_not_used(datasets, tmp_path, monkeypatch, undisturbed):
    other = plan(config=dataclasses.replace(plan().config, hidden_dims=(8, 8)))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "clear", lambda folder: None)
        wrong = group(cells.run(other, tmp_path / "other"))
    folder = plans.folder_of(plan(), tmp_path / "x") / wrong.name
    folder.parent.mkdir(parents=True)
    wrong.rename(folder)
    (folder / "DONE").unlink()
    found, lines, _ = go_on(folder)
    assert found == undisturbed
    assert len(lines) == 2
    assert "written with arrays " in lines[0]


def test_rows_that_are_gone_restart_the_cell_instead_of_leaving_it_with_fewer(stopped, undisturbed):
    (stopped / "evals.csv").unlink()
    found, lines, steps = go_on(stopped)
    assert found == undisturbed
    assert steps == [100, 200]
    assert lines == ["hopper-medium/bc lacks rows of evals.csv; the cell starts from nothing"]


def spoil(monkeypatch, at, *lost):
    """Losses of BC are NaN at step ``at``, for the seeds ``lost``."""
    add = records.Records.add_metrics

    def spoiled(self, step, metrics):
        spoil = np.isin(self._seeds, lost) & (step == at)
        return add(self, step, {k: np.where(spoil, np.nan, v) for k, v in metrics.items()})

    monkeypatch.setattr(records.Records, "add_metrics", spoiled)


def test_losses_of_nan_stop_their_cell_keep_the_last_good_checkpoint_and_stop_no_other_cell(
    datasets, tmp_path, monkeypatch, capsys
):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--algorithms", "bc", "bc_10pct"]
    train = cells._train

    def train_with_nan(cell, *rest):
        with monkeypatch.context() as patch:
            if cell.algorithm == "bc":
                spoil(patch, 200, *cell.settings.seeds)
            train(cell, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(cells, "_train", train_with_nan)
        assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert re.search(r"_loss of hopper-medium/bc, seed 0, is nan by step 200; so it went", error)
    assert "Traceback" not in error
    folder = group(plans.folder_of(plan(), tmp_path))
    assert [path.name for path in checkpoints(folder)] == ["0-100"]
    assert (group(plans.folder_of(plan("bc_10pct"), tmp_path)) / "DONE").exists()
    assert cli.main(arguments) == 0  # goes on from that checkpoint


def test_a_lost_seed_is_put_to_rest_and_the_score_is_of_others(undisturbed, tmp_path, monkeypatch):
    (tmp_path / "whole.csv").write_bytes(undisturbed["evals.csv"])
    expected = store.read_rows(tmp_path / "whole.csv", records.EVAL_COLUMNS)
    scores, played = [], []
    play = cells._play

    def noted(cell, program, states, lanes):
        played.append(jax.device_get(jax.tree.leaves(states)))
        return play(cell, program, states, lanes)

    monkeypatch.setattr(cells, "_play", noted)
    spoil(monkeypatch, 200, 1)
    with pytest.raises(cells.Diverged, match=r"seed 1, is nan by step 200$"):
        cells.run(plan(), tmp_path, scored=scores.append)
    before, after = ([np.array_equal(leaf[1], leaf[0]) for leaf in leaves] for leaves in played)
    assert not all(before)
    assert all(after)
    folder = group(plans.folder_of(plan(), tmp_path))
    found = store.read_rows(folder / "evals.csv", records.EVAL_COLUMNS)
    kept = expected[(expected["seed"] == 0) | (expected["step"] == 100)]
    assert found.equals(kept.reset_index(drop=True))
    last = kept[kept["step"] == 200]["return"].to_numpy()
    reference = get_task("hopper-medium").reference_returns
    assert scores[1] == pytest.approx(normalized_score(last, reference).mean())


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_losses(tmp_path, loss):
    written = records.Records(tmp_path, (3, 4))
    assert written.add_metrics(10, {"q": np.array([1e30, -1e30])}) == {}
    found = written.add_metrics(20, {"a": np.array([0.0, loss]), "q": np.array([1.0, 1.0])})
    assert list(found) == list(written.lost) == [4]
    assert (found[4].step, found[4].metric) == (20, "a")
    written.write()
    assert list(records.Records(tmp_path, (3, 4)).lost) == [4]


@pytest.mark.parametrize("stop_at", [None, 100])
def test_a_seed_that_is_lost_to_nan_stops_no_other_seed(datasets, tmp_path, monkeypatch, stop_at):
    config = dataclasses.replace(plan().config, num_steps=300)
    whole = group(cells.run(plan(config=config, num_evaluations=3), tmp_path / "whole"))
    expected = store.read_rows(whole / "evals.csv", records.EVAL_COLUMNS)
    planned = plan(config=config, num_evaluations=3)
    lines, steps = [], []

    def run(**options):
        return cells.run(
            planned, tmp_path, report=lines.append, progress=lambda n, _: steps.append(n), **options
        )

    spoil(monkeypatch, 200, 0)
    if stop_at:
        asked = iter([False, True])
        with pytest.raises(cells.Interrupted):
            run(asked=lambda: next(asked))
        assert steps == [100, 200]
    with pytest.raises(cells.Diverged, match=r"seed 0, is nan by step 200$"):
        run()
    assert steps == [100, 200, 300]
    assert len(lines) == 1
    assert re.fullmatch(r".* seed 0, is nan by step 200; the other seeds go on", lines[0])
    folder = group(plans.folder_of(planned, tmp_path))
    found = store.read_rows(folder / "evals.csv", records.EVAL_COLUMNS)
    kept = (expected["seed"] == 1) | (expected["step"] == 100)
    assert found.equals(expected[kept].reset_index(drop=True))
    assert [path.name for _, _, path in checkpoint._list(folder / "good")] == ["0-100"]
    assert not (folder / "DONE").exists()
    with pytest.raises(cells.Diverged, match=r"seed 0, is nan by step 200$"):
        run()  # trains nothing again
    assert steps == [100, 200, 300]


def test_a_second_loss_leaves_the_checkpoint_from_before_the_first(datasets, tmp_path, monkeypatch):
    config = dataclasses.replace(plan().config, num_steps=400)
    planned = plan(config=config, num_evaluations=4, num_seeds=3)
    spoil(monkeypatch, 200, 0)
    spoil(monkeypatch, 300, 1)
    with pytest.raises(cells.Diverged, match="it went with 2 of its seeds"):
        cells.run(planned, tmp_path)
    folder = group(plans.folder_of(planned, tmp_path))
    # At step 200, when seed 0 was lost, the newest was that of step 100.
    assert [path.name for _, _, path in checkpoint._list(folder / "good")] == ["0-100"]
    found = store.read_rows(folder / "evals.csv", records.EVAL_COLUMNS)
    assert found.groupby("seed")["step"].max().to_dict() == {0: 100, 1: 200, 2: 400}


def test_a_clock_that_goes_backwards_changes_nothing(datasets, tmp_path, undisturbed, monkeypatch):
    now = iter(range(2_000_000_000, 0, -100))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    assert content(group(cells.run(plan(), tmp_path))) == undisturbed


def test_a_disk_that_takes_no_more_bytes_is_one_line_and_nothing_is_half_written(
    datasets, tmp_path
):
    command = [sys.executable, "-m", "bench", "grid", "--profile", "smoke", "--workers", "1"]
    command += ["--tasks", "hopper-medium", "--algorithms", "bc", "--results", str(tmp_path)]
    # No file may grow beyond a block, as on a full disk; the kernel says EFBIG for ENOSPC.
    full = ["sh", "-c", 'ulimit -S -f 1; exec "$@"', "sh", *command]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "error: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


STAGES = {  # what is written at each, and cannot be
    "checkpoint": "0-100.json",
    "rows": "evals.csv",
    "publish": "provenance.json",
    "table": "table1.md",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_at_any_stage_ends_the_grid_in_one_line_and_loses_nothing(
    datasets, tmp_path, monkeypatch, capsys, stage, undisturbed
):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--algorithms", "bc", "bc_10pct"]
    write, refused = files.write_bytes, []

    def refuse(path, content):
        if path.name == STAGES[stage]:
            refused.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", refuse)
        assert cli.main(arguments) == 1
    line = r"error: cannot write \S+: No space left on device; [^\n]*\n"
    assert re.fullmatch(line, capsys.readouterr().err)
    assert len(refused) == 1  # the next cell is not trained into the same full disk
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("FAILED"))
    assert cli.main(arguments) == 0
    assert content(group(plans.folder_of(plan(), tmp_path))) == undisturbed


def test_a_checkpoint_on_a_full_disk_is_one_line_with_several_workers(datasets, tmp_path):
    command = [sys.executable, "-m", "bench", "grid", "--profile", "smoke", "--workers", "2"]
    command += ["--tasks", "hopper-medium", "antmaze-umaze", "--algorithms", "bc", "td3_bc"]
    # Blocks of 512 or 1024 bytes, by the shell; every checkpoint has more than 40 of either.
    full = ["sh", "-c", 'ulimit -S -f 40; exec "$@"', "sh", *command, "--results", str(tmp_path)]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(
        r"error: cannot write \S+/checkpoint/0-100: File too large; [^\n]*\n", done.stderr
    )
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("FAILED"))


FILL_UP_AFTER_THE_QUESTION = """
import sys
from bench import cli
from envs import files
files.ask_for_room = lambda path, num_bytes: None
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("blocks", [16, 40])
def test_a_disk_that_fills_up_while_orbax_writes_is_one_line_and_ends_the_grid(
    datasets, tmp_path, blocks
):
    command = [sys.executable, "-c", FILL_UP_AFTER_THE_QUESTION, "grid", "--profile", "smoke"]
    command += ["--tasks", "hopper-medium", "--algorithms", "iql", "bc", "--workers", "1"]
    full = ["sh", "-c", f'ulimit -S -f {blocks}; exec "$@"', "sh", *command]
    done = subprocess.run(
        [*full, "--results", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: cannot write \S+/checkpoint/0-100: File too large; [^\n]*\n", done.stderr
    )
    assert not list(tmp_path.rglob("FAILED"))


def make_read_only(monkeypatch):
    """Nothing can be made, changed or removed any more, as on a disk mounted to be read."""
    opened = os.open

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    def open_to_read(path, flags, *rest, **options):
        allowed = refuse if flags & (os.O_RDWR | os.O_WRONLY) else opened
        return allowed(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", open_to_read)
    for name in ("unlink", "rmdir", "rename", "replace"):
        monkeypatch.setattr(os, name, refuse)
    made = os.mkdir
    monkeypatch.setattr(os, "mkdir", lambda p, *_, **__: (made if Path(p).exists() else refuse)(p))


def test_a_grid_whose_cells_are_done_works_on_a_disk_that_is_read_only(
    datasets, tmp_path, monkeypatch, capsys
):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--algorithms", "bc"]
    assert cli.main(arguments) == 0
    assert cli.main(["report", "--results", str(tmp_path)]) == 0
    for lock in (*tmp_path.rglob("lock"), *tmp_path.rglob(".lock")):
        lock.unlink()  # as in a fresh clone
    monkeypatch.setattr("bench.run.programs.keep_compiled_programs", lambda: None)
    make_read_only(monkeypatch)
    for command in (arguments, ["table", "--results", str(tmp_path)]):
        assert cli.main(command) == 0
    assert cli.main(["report", "--results", str(tmp_path)]) == 0
    capsys.readouterr()
    assert cli.main([*arguments, "bc_10pct"]) == 1
    assert re.fullmatch(r"error: cannot write \S+: Read-only[^\n]*\n", capsys.readouterr().err)


def test_a_checkpoint_that_a_kill_left_in_a_finished_cell_goes_in_the_next_run(
    datasets, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "clear", lambda folder: None)
        folder = group(cells.run(plan(), tmp_path))
    assert (folder / "checkpoint").exists()
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert cells.run(plan(), tmp_path) == folder.parent
    assert not (folder / "checkpoint").exists()


def test_links_in_place_of_what_a_cell_writes_are_not_written_through(datasets, tmp_path):
    folder = plans.folder_of(plan(), tmp_path / "results") / "seeds-0-1"
    folder.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    names = ("config.json", "evals.csv", "train.csv", "audit.json")
    for name in names:
        (outside / name).write_text("seed,step,episode,return,length,metric,value\n")
        (folder / name).symlink_to(outside / name)
    (folder / "checkpoint").symlink_to(outside)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    assert cells.run(plan(), tmp_path / "results") == folder.parent
    assert not any((folder / name).is_symlink() for name in (*names, "checkpoint"))
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


@pytest.mark.parametrize("folder", ["/sys/results", "/proc/not/there"])
def test_a_results_folder_that_cannot_be_made_is_one_line(datasets, capsys, folder):
    # Linux lets nobody write there, root neither.
    arguments = ["--profile", "smoke", "--results", folder]
    assert cli.main(["train", "bc", "hopper-medium", *arguments]) == 1
    assert cli.main(["grid", "--tasks", "hopper-medium", *arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: cannot write /") for line in lines)


def test_a_table_that_becomes_read_only_loses_no_cell(datasets, tmp_path, monkeypatch, capsys):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--algorithms", "bc"]
    write = files.write_bytes

    def refuse(path, content):
        if path.parent.name == "smoke":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", refuse)
        assert cli.main(arguments) == 1
    assert re.fullmatch(
        r"error: cannot write .*: Read-only file system; .*\n", capsys.readouterr().err
    )
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert cli.main(arguments) == 0
    assert (tmp_path / "regenerated" / "smoke" / "table1.md").exists()


WRITERS = {
    "table": "artifacts.write(folder, formats.build)",
    "report": "artifacts.write(folder, page.build)",
    "findings": "artifacts.write(root, claims.build)",
    "publish": "store.publish(folder, rows.assign(step=100 + number % 2), facts, order)",
}
WRITE = """
import sys
from pathlib import Path
from bench import store
from bench.report import artifacts, claims, formats, page
root = Path(sys.argv[1])
folder = root / "regenerated" / "quick"
rows = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
facts = store.read_provenance(folder / "provenance.json")
name = sys.argv[2]
order, facts = list(facts), {name: facts[name]}
rows = rows[(store.cell_names(rows) == name) & (rows["step"] == 100)]
for number in range(int(sys.argv[3])):
"""


def write_all(root, folder):
    artifacts.write(folder, formats.build)
    artifacts.write(folder, page.build)
    artifacts.write(root, claims.build)


def test_every_writer_of_a_results_folder_beside_every_other(tmp_path):
    folder = tmp_path / "regenerated" / "quick"
    score_files.write_scores(folder, ("hopper-medium", "antmaze-umaze"), steps=(100,))
    scores = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
    facts = store.read_provenance(folder / "provenance.json")
    store.publish(folder, scores, facts, list(facts))
    write_all(tmp_path, folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = [str(tmp_path), "hopper-medium/iql"]
    counts = {"table": "60", "report": "3", "findings": "3", "publish": "61"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"{WRITE}    {WRITERS[name]}", *arguments, counts[name]],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        for name in WRITERS
    ]
    errors = [process.communicate()[1].decode() for process in running]
    assert errors == [""] * len(WRITERS)
    write_all(tmp_path, folder)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


PUBLISH = """
import sys
from pathlib import Path
import pandas as pd
from bench import store
from tests.helpers.score_files import sound
folder, task = Path(sys.argv[1]), sys.argv[2]
for number in range(10):
    row = (task, f"method{number}", 0, 10, 0, 1.0, 5)
    rows = pd.DataFrame([row], columns=list(store.SCORE_COLUMNS))
    name = f"{task}/method{number}"
    store.publish(folder, rows, {name: sound(name)}, [])
"""


def test_two_grids_that_publish_at_once_lose_no_cell(tmp_path):
    command = [sys.executable, "-c", PUBLISH, str(tmp_path)]
    running = [subprocess.Popen([*command, task], cwd=ROOT) for task in ("a", "b")]
    assert [process.wait() for process in running] == [0, 0]
    scores = store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)
    names = {f"{task}/method{number}" for task in ("a", "b") for number in range(10)}
    assert set(store.cell_names(scores)) == names
    assert set(store.read_provenance(tmp_path / "provenance.json")) == names


def test_a_grid_holds_the_lock_while_it_publishes(datasets, tmp_path, monkeypatch):
    held = []
    publish = grid.publish

    def look(rows, provenance, folder, tracks):
        code = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | 4)"
        lock = str(folder / ".lock")
        done = subprocess.run([sys.executable, "-c", code, lock], capture_output=True, check=False)
        held.append(b"BlockingIOError" in done.stderr)
        publish(rows, provenance, folder, tracks)

    monkeypatch.setattr(grid, "publish", look)
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    assert cli.main([*arguments, "--tasks", "hopper-medium", "--algorithms", "bc"]) == 0
    assert held == [True]


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "hopper-medium/..", "..\\x", ""])
def test_a_name_that_leads_out_of_its_folder_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for option in ("--tasks", "--algorithms", "--profile", "--source"):
        assert cli.main(["grid", option, name]) == 2
        assert repr(name) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_name_that_becomes_a_path_is_a_plain_one():
    ids = [Recipe(task, 1.0).dataset_id.split("/")[-1] for task in TASKS.values()]
    for name in [*TASKS, *ALGORITHMS, *PROFILES, *SOURCES, *ids]:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name), name


def test_no_pickle_is_ever_read():
    for path in [*ROOT.glob("bench/*.py"), *ROOT.glob("algos/*.py"), *ROOT.glob("envs/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                forbidden = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
                assert not modules & forbidden, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                assert called not in ("pd.read_pickle", "np.fromfile"), path
                if called == "np.load":
                    keywords = {
                        keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords
                    }
                    assert keywords.get("allow_pickle") == "False", path


def test_a_policy_file_with_objects_in_it_is_refused(tmp_path):
    np.savez(tmp_path / "evil.npz", **{"kernel0": np.array([{"run": "me"}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        policy.load("evil", tmp_path)
