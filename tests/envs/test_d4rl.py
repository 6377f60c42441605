"""D4RL's files: both readings, and every way a file can be wrong."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from algos import views
from bench import cli
from envs.dataset import check
from envs.errors import InputError
from envs.sources import d4rl, registry
from envs.sources.d4rl_files import FILES
from envs.tasks import TASKS, get_task
from tests.helpers import d4rl_files

HOPPER, MAZE = get_task("hopper-medium"), get_task("antmaze-umaze")


@pytest.fixture(scope="module")
def hopper():
    """The arrays of a hopper file: falls and timeouts, and a last episode that the file cuts."""
    return d4rl_files.locomotion()


@pytest.fixture(scope="module")
def maze():
    """The arrays of an antmaze file: two whole blocks of 41 rows and a third that is cut."""
    return d4rl_files.antmaze(num_rows=110)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))
    return tmp_path / "d4rl"


def qlearning_dataset(arrays):
    """What d4rl.qlearning_dataset makes of a file, row by row."""
    rows = []
    for i in range(len(arrays["rewards"]) - 1):
        if not arrays["timeouts"][i]:
            row = [arrays[key][i] for key in ("observations", "actions", "rewards")]
            rows.append([*row, bool(arrays["terminals"][i]), arrays["observations"][i + 1]])
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", ["hopper-medium", "antmaze-umaze"])
def test_the_qlearning_reading_is_d4rls_row_for_row(name, hopper, maze):
    arrays = {"hopper-medium": hopper, "antmaze-umaze": maze}[name]
    d4rl_files.write(name, arrays)
    dataset, facts = d4rl.read_qlearning(get_task(name), 1.0)
    ours = (dataset.observations, dataset.actions, dataset.rewards, dataset.terminations)
    for got, expected in zip(
        (*ours, dataset.next_observations), qlearning_dataset(arrays), strict=True
    ):
        np.testing.assert_array_equal(got, expected, strict=True)
    left_out = arrays["timeouts"][:-1].sum() + 1
    assert facts["rows_left_out"] == left_out > 2


def test_full_locomotion_keeps_every_row_with_its_true_successor(hopper):
    d4rl_files.write("hopper-medium", hopper)
    dataset, facts = d4rl.read(HOPPER, 1.0)
    assert facts["rows_left_out"] == facts["jumps"] == 0
    for name, key in (
        ("observations", "observations"),
        ("actions", "actions"),
        ("rewards", "rewards"),
        ("terminations", "terminals"),
        ("next_observations", "next_observations"),
    ):
        np.testing.assert_array_equal(getattr(dataset, name), hopper[key], strict=True)
    ends = np.flatnonzero(hopper["terminals"] | hopper["timeouts"])
    assert hopper["timeouts"].any()
    assert hopper["terminals"].any()
    # The file ends inside an episode, which is cut there, not terminated.
    assert ends[-1] < 599
    assert dataset.episode_ends.tolist() == [*ends, 599]
    assert dataset.truncations[-1]
    assert (dataset.truncations[ends] == hopper["timeouts"][ends]).all()
    returns = np.split(hopper["rewards"], dataset.episode_ends[:-1] + 1)
    np.testing.assert_allclose(dataset.episode_returns, [r.sum(dtype=float) for r in returns])


def test_full_antmaze_masks_at_the_goal_and_ends_at_timeouts(maze):
    d4rl_files.write("antmaze-umaze", maze)
    dataset, facts = d4rl.read(MAZE, 1.0)
    # Blocks of 41 rows, the last of which is left out: it leads to another episode.
    assert dataset.episode_ends.tolist() == [39, 79, 106]
    assert (facts["rows_in_file"], facts["rows_left_out"], facts["jumps"]) == (110, 3, 0)
    kept = np.r_[0:40, 41:81, 82:109]
    np.testing.assert_array_equal(dataset.observations, maze["observations"][kept])
    np.testing.assert_array_equal(dataset.next_observations, maze["observations"][kept + 1])
    np.testing.assert_array_equal(dataset.terminations, maze["terminals"][kept] > 0)
    np.testing.assert_array_equal(dataset.rewards, maze["rewards"][kept])
    # At the goal the episode goes on.
    assert 1 < dataset.terminations.sum() < 107
    assert dataset.terminations[0]
    assert np.flatnonzero(dataset.truncations).tolist() == [39, 79, 106]
    # The second block starts far from the goal, the third beside it: the file's own label of the
    # row between them is of the wrong episode.
    assert maze["rewards"][81] == 1.0
    assert dataset.rewards[40:80].sum() == 0.0


def test_a_goal_that_is_reached_pays_in_both_readings(maze):
    # Loaders that skip terminal rows without successors lose every reward of antmaze.
    d4rl_files.write("antmaze-umaze", maze)
    for read in (d4rl.read, d4rl.read_qlearning):
        dataset, _ = read(MAZE, 1.0)
        np.testing.assert_array_equal(dataset.rewards > 0, dataset.terminations)
        assert dataset.rewards.sum() > 10


def test_a_next_action_never_comes_from_another_episode(hopper):
    d4rl_files.write("hopper-medium", hopper)
    dataset, _ = d4rl.read(HOPPER, 1.0)
    rows = views.sarsa(dataset, "raw")
    ends = np.isin(np.arange(600), dataset.episode_ends)
    kept = ~ends | dataset.terminations
    assert len(rows.actions) == kept.sum() < 600
    inside = np.flatnonzero(~ends)
    np.testing.assert_array_equal(
        rows.next_actions[~ends[kept]], hopper["actions"][inside + 1], strict=True
    )


def test_the_best_episodes_are_ranked_by_all_their_rows(hopper):
    d4rl_files.write("hopper-medium", hopper)
    dataset, _ = d4rl.read(HOPPER, 1.0)
    best = np.argmax(dataset.episode_returns)
    rows = views.top_episodes(dataset, fraction=0.01)
    start, end = dataset.episode_starts[best], dataset.episode_ends[best]
    np.testing.assert_array_equal(rows.actions, hopper["actions"][start : end + 1], strict=True)


def test_teleports_end_an_episode_where_timeouts_are_out_of_step(maze):
    shifted = maze | {"timeouts": np.roll(maze["timeouts"], -7)}
    d4rl_files.write("antmaze-umaze", shifted)
    jumps = np.hypot(*np.diff(maze["observations"][:, :2], axis=0).T)
    assert np.flatnonzero(jumps > 1.0).tolist() == [40, 81]
    with pytest.raises(InputError, match="observations row 40 leads elsewhere than to the next"):
        d4rl.read(MAZE, 1.0)  # 2 of 110 rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(d4rl, "MOST_JUMPS", 0.02)
        dataset, facts = d4rl.read(MAZE, 1.0)
    assert facts["jumps"] == 2
    moves = dataset.next_observations[:, :2] - dataset.observations[:, :2]
    assert np.abs(moves).max() < 0.5


def test_successors_that_jump_end_an_episode_and_stay_true(hopper):
    arrays = hopper | {"timeouts": hopper["timeouts"].copy()}
    row = np.flatnonzero(arrays["timeouts"])[1]
    arrays["timeouts"][row] = False
    d4rl_files.write("hopper-medium", arrays)
    dataset, facts = d4rl.read(HOPPER, 1.0)
    assert facts["jumps"] == 1
    assert dataset.truncations[row]
    assert row in dataset.episode_ends
    np.testing.assert_array_equal(dataset.next_observations[row], hopper["next_observations"][row])


def test_successors_that_differ_by_rounding_are_the_next_row(hopper):
    arrays = hopper | {"next_observations": hopper["next_observations"].copy()}
    arrays["next_observations"][3] += 5e-7
    assert (arrays["next_observations"][3] != hopper["next_observations"][3]).any()
    d4rl_files.write("hopper-medium", arrays)
    dataset, facts = d4rl.read(HOPPER, 1.0)
    assert facts["jumps"] == 0
    np.testing.assert_array_equal(dataset.next_observations, hopper["next_observations"])


@pytest.mark.parametrize("difference", [2e-6, 1e-4, 5e-3])
def test_successors_that_differ_by_more_than_rounding_are_not_the_next_row(hopper, difference):
    arrays = hopper | {"next_observations": hopper["next_observations"].copy()}
    near_zero = np.abs(arrays["next_observations"][3]).argmin()  # where float32 has digits to spare
    arrays["next_observations"][3, near_zero] += difference
    d4rl_files.write("hopper-medium", arrays)
    dataset, facts = d4rl.read(HOPPER, 1.0)
    assert facts["jumps"] == 1
    assert 3 in dataset.episode_ends
    successor = arrays["next_observations"][3]
    np.testing.assert_array_equal(dataset.next_observations[3], successor)


def test_misaligned_successors_are_refused(hopper):
    wrong = hopper | {"next_observations": np.roll(hopper["next_observations"], 1, axis=0)}
    d4rl_files.write("hopper-medium", wrong)
    with pytest.raises(InputError, match=r"next_observations row 0 leads elsewhere.*out of step"):
        d4rl.read(HOPPER, 1.0)


def test_without_successors_only_unmasked_rows_are_left_out(hopper):
    arrays = {key: value for key, value in hopper.items() if key != "next_observations"}
    d4rl_files.write("hopper-medium", arrays)
    dataset, facts = d4rl.read(HOPPER, 1.0)
    assert facts["rows_left_out"] == hopper["timeouts"].sum() + 1
    assert dataset.terminations.sum() == hopper["terminals"].sum()
    assert dataset.rewards[dataset.terminations].sum() == hopper["rewards"][
        hopper["terminals"]
    ].sum(dtype=np.float32)
    # What followed a fall is not in the file, and masked: the observation before it stands there.
    fell = dataset.terminations
    np.testing.assert_array_equal(dataset.next_observations[fell], dataset.observations[fell])


def test_columns_of_width_one_doubles_and_numbers_as_flags_are_read_alike(hopper, folder):
    d4rl_files.write("hopper-medium", hopper)
    plain, _ = d4rl.read(HOPPER, 1.0)
    column = lambda key: hopper[key][:, None]
    variants = hopper | {
        "rewards": column("rewards").astype(np.float64),
        "terminals": column("terminals").astype(np.uint8),
        "timeouts": column("timeouts").astype(np.float32),
        "observations": hopper["observations"].astype(">f8"),
    }
    d4rl_files.write("hopper-medium", variants)
    other, _ = d4rl.read(HOPPER, 1.0)
    for field in dataclasses.fields(plain):
        np.testing.assert_array_equal(
            getattr(plain, field.name), getattr(other, field.name), strict=True
        )


@pytest.mark.parametrize("options", [{}, {"compression": None}, {"chunks": (7, 11)}])
def test_the_layout_of_the_file_does_not_matter(hopper, options):
    if "chunks" in options:
        path = d4rl_files.write("hopper-medium", hopper)
        with h5py.File(path, "a") as file:
            del file["observations"]
            file.create_dataset("observations", data=hopper["observations"], **options)
    else:
        d4rl_files.write("hopper-medium", hopper, **options)
    np.testing.assert_array_equal(d4rl.read(HOPPER, 1.0)[0].observations, hopper["observations"])


def test_nothing_loops_over_rows_and_memory_stays_below_two_and_a_half_times_the_arrays(
    monkeypatch,
):
    import sys
    import tracemalloc

    rows = 200_000
    generator = np.random.default_rng(0)
    arrays = {
        "observations": generator.standard_normal((rows, 29)).astype(np.float32),
        "actions": np.zeros((rows, 8), np.float32),
        "rewards": np.zeros(rows, np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.arange(rows) % 1001 == 1000,
    }
    arrays["observations"][:, :2] *= 0.1
    d4rl_files.write("antmaze-umaze", arrays, compression=None)
    spec = MAZE.spec  # built outside the count
    for read in (d4rl.read, d4rl.read_qlearning):
        lines = 0

        def count(frame, event, argument):
            nonlocal lines
            lines += 1
            return count

        d4rl.provenance(MAZE, 1.0)
        before = sys.gettrace()
        sys.settrace(count)
        try:
            read(MAZE, 1.0)
        finally:
            sys.settrace(before)
        assert lines < rows / 20  # there are 200 episodes, each of which takes some lines
        tracemalloc.start()
        dataset, _ = read(MAZE, 1.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        size = sum(getattr(dataset, f.name).nbytes for f in dataclasses.fields(dataset))
        assert peak < 2.5 * size
        check(dataset, spec, "file")


def test_two_million_rows_are_not_cut(monkeypatch):
    task = get_task("halfcheetah-medium-expert")
    rows = 2_000_000
    path = d4rl.path_of(task)
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        zeros = {"compression": "gzip", "compression_opts": 1, "chunks": True}
        for key, width in (("observations", 17), ("next_observations", 17), ("actions", 6)):
            file.create_dataset(key, data=np.zeros((rows, width), np.int8), **zeros)
        file.create_dataset("rewards", data=np.zeros(rows, np.int8), **zeros)
        file.create_dataset("terminals", data=np.zeros(rows, bool), **zeros)
        file.create_dataset("timeouts", data=np.arange(rows) % 1000 == 999, **zeros)
    dataset, _ = d4rl.read_file(path, task)
    assert dataset.num_rows == rows
    assert len(dataset.episode_ends) == 2000


def replace(key, change):
    """Returns a maker of hostile files: one array changed."""
    return lambda arrays: d4rl_files.write("hopper-medium", arrays | {key: change(arrays[key])})


def at(row, value):
    def change(array):
        array = array.copy()
        array[row] = value
        return array

    return change


def without(*keys):
    return lambda arrays: d4rl_files.write(
        "hopper-medium", {k: v for k, v in arrays.items() if k not in keys}
    )


def raw(change):
    """Returns a maker of hostile files: the bytes of a good one changed."""

    def make(arrays):
        path = d4rl_files.write("hopper-medium", arrays)
        path.write_bytes(change(path.read_bytes()))

    return make


def header_alone(rows, **options):
    def make(arrays):
        path = d4rl_files.write("hopper-medium", arrays)
        with h5py.File(path, "a") as file:
            del file["observations"]
            file.create_dataset("observations", (rows, 11), np.float32, **options)

    return make


def symlink_loop(arrays):
    path = d4rl.path_of(HOPPER)
    path.parent.mkdir(parents=True)
    path.symlink_to(path.name)


def a_folder(arrays):
    d4rl.path_of(HOPPER).mkdir(parents=True)


def dangling(arrays):
    path = d4rl_files.write("hopper-medium", arrays)
    with h5py.File(path, "a") as file:
        del file["actions"]
        file["actions"] = h5py.SoftLink("/nowhere")


def elsewhere(link):
    """Returns a maker of hostile files: actions are those of another file."""

    def make(arrays):
        path = d4rl_files.write("hopper-medium", arrays)
        other = path.with_name("other.hdf5")
        with h5py.File(other, "w") as file:
            file["actions"] = arrays["actions"]
        with h5py.File(path, "a") as file:
            del file["actions"]
            link(file, other, arrays["actions"].shape)

    return make


def external_link(file, other, shape):
    file["actions"] = h5py.ExternalLink(str(other), "/actions")


def external_storage(file, other, shape):
    file.create_dataset("actions", shape, "f4", external=[(str(other), 0, 4 * shape[0] * shape[1])])


def virtual(file, other, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(str(other), "actions", shape)
    file.create_virtual_dataset("actions", layout)


def second_name(file, other, shape):
    file["actions"] = np.zeros(shape, np.float32)
    file["again"] = file["actions"]


def a_pipe(arrays):
    d4rl.path_of(HOPPER).parent.mkdir(parents=True)
    os.mkfifo(d4rl.path_of(HOPPER))


def a_group(arrays):
    path = d4rl_files.write("hopper-medium", arrays)
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file["rewards/0"] = 1.0


def scalars(arrays):
    d4rl_files.write("hopper-medium", dict.fromkeys(arrays, 1.0), compression=None)


FETCH = "run: rl-or-bc data fetch hopper-medium --source d4rl, or put http://rail.eecs"
HOSTILE = {
    "missing": (lambda arrays: None, "it is not there; " + FETCH),
    "truncated": (raw(lambda b: b[: len(b) // 2]), "cut short; " + FETCH),
    "empty": (raw(lambda b: b""), "is empty; " + FETCH),
    "not HDF5": (raw(lambda b: b"<html>403 Forbidden</html>"), "it is no HDF5 file; " + FETCH),
    "a folder": (a_folder, "Is a directory; " + FETCH),
    "a loop": (symlink_loop, "Too many levels of symbolic links; " + FETCH),
    "missing key": (without("timeouts"), "the key timeouts is missing; it holds actions, infos"),
    "no keys": (lambda arrays: d4rl_files.write("hopper-medium", {}), "is missing; it holds none"),
    "dangling": (dangling, "actions is a link to elsewhere, which is not followed"),
    "external link": (elsewhere(external_link), "actions is a link to elsewhere"),
    "external storage": (elsewhere(external_storage), "actions is kept in other files, which"),
    "virtual": (elsewhere(virtual), "actions is kept in other files, which are not read"),
    "second name": (elsewhere(second_name), "actions is a second name of other data"),
    "a pipe": (a_pipe, "is a pipe or a device, not a file"),
    "a clock": (
        replace("observations", lambda a: 10 * a.astype(float) + 1.7e9),
        "observations column 0 goes from 1700000",
    ),
    "a group": (a_group, "the key rewards is missing"),
    "short": (replace("actions", lambda a: a[:-1]), "shape (599, 3), expected (600, 3)"),
    "short flags": (replace("timeouts", lambda a: a[1:]), "timeouts has shape (599,)"),
    "short successors": (replace("next_observations", lambda a: a[1:]), "next_observations has sh"),
    "wide": (replace("rewards", lambda a: np.stack([a, a], 1)), "rewards has shape (600, 2)"),
    "a scalar": (scalars, "observations has no rows"),
    "other task": (replace("observations", lambda a: a[:, :5]), "expected (600, 11); is this the"),
    "NaN": (replace("observations", at((13, 2), np.nan)), "observations row 13 is not finite"),
    "NaN after": (replace("next_observations", at(13, np.nan)), "next_observations row 13 is not"),
    "inf reward": (replace("rewards", at(7, np.inf)), "rewards row 7 is not finite"),
    "too large": (
        replace("rewards", lambda a: at(7, 1e300)(a.astype(float))),
        "rewards row 7 is not within the range of float32 (1e+300",
    ),
    "NaN flag": (replace("terminals", lambda a: at(5, np.nan)(a.astype(float))), "row 5 is nan"),
    "wrong flag": (replace("timeouts", lambda a: at(5, 2)(a.astype(int))), "timeouts row 5 is 2"),
    "text": (replace("actions", lambda a: a.astype("S8")), "has type |S8, expected numbers"),
    "complex": (replace("rewards", lambda a: a.astype(complex)), "rewards has type complex128"),
    "objects": (replace("rewards", lambda a: np.array(["x"] * len(a), object)), "has type object"),
    "text flags": (replace("timeouts", lambda a: a.astype("S1")), "timeouts has type |S1"),
    "out of range": (replace("actions", at(20, 1.5)), "actions row 20 leaves [-1, 1]"),
    "a billion rows": (header_alone(10**9), "has 1,000,000,000 rows, D4RL's hopper-medium"),
    "unwritten": (header_alone(600), "600 rows by its header, but the file does not hold them"),
    "unwritten chunks": (header_alone(600, chunks=(50, 11)), "the file does not hold them all"),
    "damaged": (raw(lambda b: b.replace(b"\x78\x5e", b"\x78\x5f")), "cannot be read"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_answered_with_one_line_and_nothing_is_written(
    kind, hopper, tmp_path, capsys, monkeypatch
):
    make, message = HOSTILE[kind]
    make(hopper)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for command in (["grid", "--tasks", "hopper-medium"], ["train", "bc", "hopper-medium"]):
        arguments = [*command, "--source", "d4rl", "--insist", "--profile", "smoke"]
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert str(d4rl.path_of(HOPPER)) in error
        assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_is_open_elsewhere_is_not_to_be_downloaded_again(hopper, capsys):
    path = d4rl_files.write("hopper-medium", hopper)
    program = "import h5py, sys; file = h5py.File(sys.argv[1], 'a'); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program, str(path)], **pipes) as other:
        other.stdout.readline()
        assert cli.main(["train", "bc", "hopper-medium-v2", "--profile", "smoke", "--insist"]) == 2
        other.communicate(b"\n")
    error = capsys.readouterr().err
    assert f"{path} cannot be read: another program has it open for writing; close that" in error
    assert "data fetch" not in error


def test_a_file_that_may_not_be_read_is_answered_with_one_line(hopper, monkeypatch, capsys):
    # Not by its mode: the superuser reads it all the same.
    path = d4rl_files.write("hopper-medium", hopper)
    opened = Path.open

    def refuse(self, *arguments):
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, *arguments)

    monkeypatch.setattr(Path, "open", refuse)
    assert cli.main(["train", "bc", "hopper-medium-v2", "--profile", "smoke"]) == 2
    error = capsys.readouterr().err
    assert f"{path} cannot be read: Permission denied" in error
    assert "data fetch" not in error  # the file may be sound
    assert error.count("\n") == 1


def test_a_file_that_is_not_the_published_one_is_refused_unless_insisted_on(hopper):
    path = d4rl_files.write("hopper-medium", hopper)
    facts = d4rl.provenance(HOPPER, 1.0)
    assert f"{path} is not the file that D4RL published for hopper-medium" in facts["doubts"][0]
    with pytest.raises(InputError, match="instead of 5bdf1bc4; mend that, or --insist"):
        registry.require_trust(facts, insist=False)
    registry.require_trust(facts, insist=True)


def test_the_published_file_is_not_doubted(hopper, monkeypatch):
    d4rl_files.write("hopper-medium", hopper)
    checksum = d4rl.provenance(HOPPER, 1.0)["hash"]
    same = dataclasses.replace(FILES["hopper-medium"], sha256=checksum)
    monkeypatch.setitem(FILES, "hopper-medium", same)
    registry.require_trust(d4rl.provenance(HOPPER, 1.0), insist=False)


def test_the_hash_follows_the_file(hopper):
    path = d4rl_files.write("hopper-medium", hopper)
    before = d4rl.provenance(HOPPER, 1.0)["hash"]
    path.write_bytes(path.read_bytes() + b"x")
    longer = d4rl.provenance(HOPPER, 1.0)["hash"]
    path.write_bytes(path.read_bytes()[:-1] + b"y")  # as long as it was
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    assert len({before, longer, d4rl.provenance(HOPPER, 1.0)["hash"]}) == 3


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.in_post])
def test_every_task_of_the_post_has_a_published_file_of_its_own(name):
    published = FILES[name]
    assert [file.path for file in FILES.values()].count(published.path) == 1
    known = name != "antmaze-medium-play"
    assert (published.sha256 is not None) == (published.num_bytes is not None) == known
    assert not known or len(bytes.fromhex(published.sha256)) == 32
    assert registry.resolve(f"{name}-v2", None) == (TASKS[name], "d4rl")
    assert registry.resolve(name, None) == (TASKS[name], "regenerated")


def test_the_files_have_d4rls_names(monkeypatch):
    monkeypatch.delenv("D4RL_DATASET_DIR")
    monkeypatch.setenv("HOME", "/home/someone")
    folder = Path("/home/someone/.d4rl/datasets")
    assert d4rl.path_of(HOPPER) == folder / "hopper_medium-v2.hdf5"
    replay = d4rl.path_of(get_task("walker2d-medium-replay"))
    assert replay.name == "walker2d_medium_replay-v2.hdf5"
    name = "Ant_maze_hardest-maze_noisy_multistart_True_multigoal_False_sparse_fixed.hdf5"
    assert d4rl.path_of(get_task("antmaze-large-play")).name == name


def test_d4rls_name_means_d4rls_data():
    assert registry.resolve("hopper-medium-v2", "d4rl-qlearning") == (HOPPER, "d4rl-qlearning")
    with pytest.raises(InputError, match="hopper-medium-v2 is D4RL's file, the source is regen"):
        registry.resolve("hopper-medium-v2", "regenerated")
    with pytest.raises(InputError, match="did you mean 'hopper-medium'"):
        registry.resolve("hopper-medium-v0", None)
    with pytest.raises(InputError, match="d4rl has no data for pointmaze-umaze; it has"):
        registry.resolve("pointmaze-umaze-v2", None)


@pytest.mark.parametrize(
    "command", [["audit", "hopper-medium-v2"], ["train", "bc", "hopper-medium-v2"]]
)
def test_published_data_have_one_size(command, capsys):
    assert cli.main([*command, "--scale", "0.1"]) == 2
    error = capsys.readouterr().err
    assert error == "error: data of source d4rl have one size; leave --scale out\n"


def test_names_of_two_sources_make_no_table(capsys):
    assert cli.main(["grid", "--tasks", "hopper-medium-v2", "antmaze-umaze"]) == 2
    assert "a table has one source, these tasks have d4rl and regen" in capsys.readouterr().err


def test_the_grid_runs_two_methods_on_two_of_d4rls_files(hopper, maze, tmp_path, capsys):
    d4rl_files.write("hopper-medium", hopper)
    d4rl_files.write("antmaze-umaze", maze)
    arguments = ["grid", "--profile", "smoke", "--algorithms", "bc", "iql", "--workers", "1"]
    arguments += ["--results", str(tmp_path / "results")]
    arguments += ["--tasks", "hopper-medium-v2", "antmaze-umaze-v2"]
    assert cli.main(arguments) == 2
    assert "is not the file that D4RL published for hopper-medium" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
    assert cli.main([*arguments, "--insist"]) == 0
    text = (tmp_path / "results" / "d4rl" / "smoke" / "table1.md").read_text()
    for task in ("hopper-medium", "antmaze-umaze"):
        line = next(line for line in text.splitlines() if line.startswith(f"| {task} "))
        assert line.count("±") == line.count("†") == 2
        assert f"that D4RL published for {task}" in text
    assert "†" in capsys.readouterr().out
