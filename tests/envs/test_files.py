"""Files are whole whoever else writes, links are not written through, and locks are no trap."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from envs import files
from envs.errors import InputError

ROOT = Path(__file__).resolve().parents[2]

WRITE = """
import sys
from pathlib import Path
from envs import files
for number in range(100):
    files.write_text(Path(sys.argv[1]), f"{sys.argv[2]} {number}\\n" * 1000)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_with(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


def test_hundreds_of_writes_at_once_leave_one_whole_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    command = [sys.executable, "-c", WRITE, str(path)]
    running = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b", "c")]
    seen = set()
    while any(process.poll() is None for process in running):
        if path.exists():
            seen.add(len(set(path.read_text().splitlines())))
    assert [process.returncode for process in running] == [0, 0, 0]
    assert seen == {1}
    assert path.read_text() in {f"{name} 99\n" * 1000 for name in ("a", "b", "c")}
    assert names(tmp_path) == ["x"]


def test_threads_write_at_once_too(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: files.write_text(tmp_path / "x", f"{n}" * 100), range(300)))
    text = (tmp_path / "x").read_text()
    assert text == text[: len(text) // 100] * 100
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_at_the_place_of_a_file_is_replaced_and_its_target_is_untouched(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("precious")
    else:
        target.mkdir()
        (target / "precious").write_text("precious")
    (tmp_path / "x").symlink_to(target)
    files.write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    assert not (tmp_path / "x").is_symlink()
    assert (target if kind == "file" else target / "precious").read_text() == "precious"


def test_a_folder_is_replaced_in_one_move_and_a_link_to_one_too(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "precious").write_text("precious")
    (tmp_path / "x").symlink_to(tmp_path / "old")
    for number in range(2):
        with files.replacing(tmp_path / "x") as new:
            new.mkdir()
            files.write_text(new / f"{number}", "")
        assert names(tmp_path / "x") == [f"{number}"]
    assert names(tmp_path / "old") == ["precious"]
    assert names(tmp_path) == ["old", "x"]
    (tmp_path / "y").symlink_to(tmp_path / "nowhere")
    with files.replacing(tmp_path / "y") as new:
        new.mkdir()
    assert names(tmp_path) == ["old", "x", "y"]


def test_a_link_at_the_place_of_a_lock_is_refused_and_its_target_is_untouched(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with (
        pytest.raises(InputError, match=r"lock is a symbolic link.*; remove it"),
        files.locked(tmp_path / "lock", "it", print),
    ):
        pass
    assert (tmp_path / "target").read_text() == "precious"


def test_a_lock_empties_no_file(tmp_path):
    (tmp_path / "lock").write_text("precious")
    with files.locked(tmp_path / "lock", "it", print):
        pass
    assert (tmp_path / "lock").read_text() == "precious"


def test_a_new_file_has_the_permissions_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "")
        with files.locked(tmp_path / "lock", "it", print):
            pass
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x", "lock")}
    assert modes == {0o640}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_write_that_fails_names_the_file_keeps_the_old_one_and_leaves_nothing(
    tmp_path, monkeypatch, number
):
    files.write_text(tmp_path / "x", "old")
    monkeypatch.setattr(os, "fsync", fail_with(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        files.write_text(tmp_path / "x", "new")
    assert caught.value.filename == str(tmp_path / "x")
    assert caught.value.errno in files.CANNOT_WRITE
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_what_is_there_already_is_not_written_again(tmp_path, monkeypatch):
    files.write_text(tmp_path / "x", "same")
    monkeypatch.setattr(os, "mkdir", fail_with(errno.EROFS))
    files.write_text(tmp_path / "x", "same")
    with pytest.raises(OSError, match="Read-only"):
        files.write_text(tmp_path / "x", "diff")


def test_what_a_killed_process_left_is_removed_by_the_next_that_holds_the_lock(tmp_path):
    code = """
import os, sys
from pathlib import Path
from envs import files
with files.locked(Path(sys.argv[1]) / "lock", "it", print):
    with files.replacing(Path(sys.argv[1]) / "x") as new:
        new.write_text("half")
        os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    (tmp_path / ".y.csv.tmp").write_text("of an earlier version")
    assert len(names(tmp_path)) == 3
    with files.locked(tmp_path / "lock", "it", print):
        assert names(tmp_path) == ["lock"]


def test_a_lock_of_one_name_leaves_what_others_are_writing(tmp_path):
    for name in (".a.1234.tmp", ".b.1234.tmp"):
        (tmp_path / name).mkdir()
    with files.locked(tmp_path / ".a.lock", "it", print, leftovers="a"):
        assert names(tmp_path) == [".a.lock", ".b.1234.tmp"]


def test_a_thread_may_take_a_lock_that_it_has_and_another_waits(tmp_path):
    path, said, order = tmp_path / "lock", [], []

    def second():
        with files.locked(path, "it", said.append):
            order.append("second")

    other = threading.Thread(target=second)
    with files.locked(path, "it", said.append), files.locked(path, "it", said.append):
        assert said == []
        other.start()
        while not said:
            pass
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    assert said == ["it is being written by another process; waiting for it"]


def test_readers_share_a_lock_and_make_no_file(tmp_path):
    with files.locked(tmp_path / "lock", "it", print, shared=True):
        assert names(tmp_path) == []
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with files.locked(tmp_path / "lock", "it", pytest.fail, shared=True):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_noted_once_and_worked_on(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", fail_with(number))
    monkeypatch.setattr(files, "_noted", set())
    (tmp_path / ".x.1234.tmp").mkdir()  # of another process, for all that is known
    said = []
    for _ in range(3):
        with files.locked(tmp_path / "lock", "it", said.append):
            files.write_text(tmp_path / "x", "")
    assert said == ["no locks on the file system of it: run one command at a time there"]
    assert ".x.1234.tmp" in names(tmp_path)


def test_where_nothing_can_be_written_no_lock_is_needed(tmp_path, monkeypatch):
    opened = os.open

    def read_only(path, flags, *rest):
        if flags & (os.O_RDWR | os.O_WRONLY):
            fail_with(errno.EROFS)()
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    with files.locked(tmp_path / "lock", "it", pytest.fail):
        assert names(tmp_path) == []


def test_too_little_room_is_told_in_numbers(tmp_path):
    files.ask_for_room(tmp_path / "not" / "there", 1000)
    with pytest.raises(OSError, match=r"takes 1,000,000,000,000 kB and [\d,]+ kB are") as caught:
        files.ask_for_room(tmp_path / "x", 10**15)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "missing"])
def test_what_is_no_file_is_not_read_and_not_waited_for(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"x is not a file|cannot read .*x"):
        files.read_json(path)


def test_json_that_is_nested_too_deep_is_one_line(tmp_path):
    (tmp_path / "x").write_text("[" * 100_000)
    with pytest.raises(InputError, match="x is not JSON"):
        files.read_json(tmp_path / "x")


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(5.0), "b": np.array(True)}
    files.write_arrays(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert {name: read[name].tolist() for name in read.files} == {
            name: array.tolist() for name, array in arrays.items()
        }
