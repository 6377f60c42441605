"""The folder of compiled programs: where it is, what is removed from it, what is said of it."""

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from bench.run import programs

ROOT = Path(programs.__file__).parent.parent.parent
WHOLE = zlib.compress(os.urandom(1000))
CUT = {"cut": WHOLE[:-1], "empty": b"", "zeros": bytes(len(WHOLE)), "half": WHOLE[:500]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return programs.default_folder()


def entries(folder):
    return {path.name.removesuffix("-cache") for path in folder.glob("*-cache")}


def write(folder, name, content, age=0.0):
    path = folder / f"{name}-cache"
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)


def test_what_was_cut_is_removed_with_one_line_and_the_rest_stays(folder, capsys):
    for name, content in CUT.items():
        write(folder, name, content)
    write(folder, "whole", WHOLE)
    write(folder, "zstandard", b"\x28\xb5\x2f\xfd")
    programs.tidy()
    assert entries(folder) == {"whole", "zstandard"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"4 compiled programs in {folder} were cut, and are made again"
    programs.tidy()
    assert capsys.readouterr().err == ""


def test_an_entry_is_read_once_and_again_when_it_is_written(folder):
    write(folder, "old", WHOLE, age=100.0)
    programs.tidy()
    write(folder, "old", CUT["cut"], age=100.0)  # as no crash leaves it
    programs.tidy()
    assert entries(folder) == {"old"}
    write(folder, "old", CUT["cut"])
    programs.tidy()
    assert entries(folder) == set()


def test_after_a_clock_that_has_gone_back_all_are_read_again(folder):
    programs.tidy()
    future = time.time() + 1000.0
    os.utime(folder / ".checked", (future, future))
    write(folder, "new", CUT["cut"])
    programs.tidy()
    assert entries(folder) == set()


def test_beyond_the_bound_the_longest_unused_go(folder, monkeypatch):
    monkeypatch.setattr(programs, "MAX_BYTES", 2 * len(WHOLE))
    programs.tidy()  # so that what is older is not read again, which would be a use
    for age, name in enumerate(("today", "yesterday", "before", "long-ago")):
        write(folder, name, WHOLE, age=1000.0 * age)
    programs.tidy()
    assert entries(folder) == {"today", "yesterday"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "{0}/xdg"}, "{0}/xdg/rl-or-bc/xla"),
        ({"XDG_CACHE_HOME": ""}, "{0}/home/.cache/rl-or-bc/xla"),
        ({"XDG_CACHE_HOME": "relative"}, "{0}/home/.cache/rl-or-bc/xla"),
        ({"XDG_CACHE_HOME": "", "HOME": ""}, None),
        ({"XDG_CACHE_HOME": "", "HOME": "relative"}, None),
        ({"XDG_CACHE_HOME": "{0}/file"}, None),
        ({"XDG_CACHE_HOME": "", "HOME": "/dev/null/home"}, None),
        ({"XDG_CACHE_HOME": "/sys/cache"}, None),
    ],
)
def test_the_folder_is_where_xdg_has_it_and_without_a_place_there_is_none(
    variables, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for name, value in ({"HOME": "{0}/home"} | variables).items():
        monkeypatch.setenv(name, value.format(tmp_path))
    found = programs.default_folder()
    assert found == (None if expected is None else Path(expected.format(tmp_path)))
    programs.tidy()
    assert not (tmp_path / "relative").exists()


COMPILE = """
import sys
import jax, jax.numpy as jnp
from bench.run import programs
programs.tidy()
programs.keep_compiled_programs()
for power in range(2, 5):
    jax.jit(lambda x: jnp.sin(x) ** power)(1.0)
sys.stdout.write(str(jax.config.jax_compilation_cache_dir))
"""


def compile_some(tmp_path, **variables):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "xdg")} | variables
    command = [sys.executable, "-c", COMPILE]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


def test_jax_makes_again_what_was_cut_and_says_nothing_more(tmp_path):
    done = compile_some(tmp_path)
    assert done.stderr == ""
    folder = Path(done.stdout)
    made = {path: path.read_bytes() for path in folder.glob("*-cache")}
    assert len(made) >= 3
    for path, content in made.items():
        path.write_bytes(content[: len(content) // 2])
    (line,) = compile_some(tmp_path).stderr.splitlines()
    assert line.startswith(f"{len(made)} compiled programs in {folder} were cut")
    assert set(folder.glob("*-cache")) == set(made)
    assert all(programs._is_whole(path.read_bytes()) for path in made)
    assert compile_some(tmp_path).stderr == ""


def test_the_users_folder_wins_is_not_tidied_and_what_is_wrong_with_it_is_one_line(tmp_path):
    theirs = tmp_path / "theirs"
    variables = {"JAX_COMPILATION_CACHE_DIR": str(theirs)}
    done = compile_some(tmp_path, **variables)
    assert (done.stdout, done.stderr) == (str(theirs), "")
    made = list(theirs.glob("*-cache"))
    assert len(made) >= 3
    for path in made:
        path.write_bytes(b"")
    (line,) = compile_some(tmp_path, **variables).stderr.splitlines()
    assert line.startswith(f"compiled programs in {theirs} cannot be used (")
    assert list(theirs.glob("*-cache")) == made
    assert not (tmp_path / "xdg").exists()
