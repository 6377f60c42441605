"""Which files make a cell's numbers."""

import shutil
from pathlib import Path

import pytest

from bench.run import code
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.tasks import get_task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the sources, in which a test may change what it likes."""
    for package in ("algos", "bench", "envs"):
        only_code = lambda _, names: [n for n in names if "." in n and not n.endswith(".py")]
        shutil.copytree(ROOT / package, tmp_path / package, ignore=only_code)
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    return tmp_path


def files_of(algorithm, task="hopper-medium", source="regenerated"):
    cell = plans.plan(get_task(task), algorithm, PROFILES["smoke"], source)
    lanes = cell.world.make(1, 1)
    try:
        return code.files_of(cell, lanes)
    finally:
        lanes.close()


def test_a_cell_is_made_by_its_method_its_environment_its_reader_and_the_harness():
    files = files_of("iql")
    assert {
        *("algos/iql.py", "algos/core.py", "algos/networks.py", "algos/views.py"),
        *("envs/worlds/locomotion.py", "envs/worlds/simulate.py", "envs/dataset.py"),
        *("envs/sources/regenerated.py", "envs/sources/hdf5.py"),
        *("bench/run/train.py", "bench/run/placement.py", "bench/run/evaluate.py"),
    } <= files.keys()
    others = ("algos/cql.py", "algos/registry.py", "envs/tasks.py", "envs/worlds/antmaze.py")
    others += ("envs/sources/d4rl.py", "bench/run/plan.py", "bench/grid.py")
    assert not files.keys() & set(others)
    assert "envs/worlds/antmaze.py" in files_of("bc", "antmaze-umaze")
    assert "envs/sources/d4rl.py" in files_of("bc", source="d4rl")


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        ("algos/iql.py", True),
        ("algos/core.py", True),
        ("envs/worlds/locomotion.py", True),
        ("envs/sources/stored.py", True),
        ("bench/run/placement.py", True),
        ("algos/__init__.py", True),
        ("algos/bc.py", False),
        ("algos/registry.py", False),
        ("envs/worlds/pointmaze.py", False),
        ("envs/tasks.py", False),
        ("bench/report/page.py", False),
    ],
)
def test_a_cell_is_of_other_code_when_one_of_its_files_changes_and_no_other(tree, name, is_part):
    before = files_of("iql")
    assert code.is_todays(before)
    path = tree / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert code.is_todays(before) == (not is_part)
    assert (code.digest_of(files_of("iql")) == code.digest_of(before)) == (not is_part)


def test_a_file_that_is_gone_or_imported_anew_changes_the_code(tree):
    before = files_of("iql")
    (tree / "algos" / "more.py").write_text("x = 1\n")
    assert code.digest_of(files_of("iql")) == code.digest_of(before)
    path = tree / "algos" / "losses.py"
    path.write_text(path.read_text() + "\nfrom algos import more\n")
    assert "algos/more.py" in files_of("iql")
    path.unlink()
    assert not code.is_todays(before)
