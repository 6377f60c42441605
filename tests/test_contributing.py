"""CONTRIBUTING.md's worked example, done to a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with the example's file and line added; its name is the file's."""
    folder = tmp_path_factory.mktemp("scratch")
    for name in ("algos", "bench", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("conftest.py", "test_algorithm_contract.py"):
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    path, code = re.search(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text, re.DOTALL).groups()
    (folder / path).write_text(code)
    where, line = re.search(r"<!-- line: (.*?) -->\n```python\n(.*?)```", text, re.DOTALL).groups()
    path, table = where.split()
    registry = (folder / path).read_text()
    assert registry.count(f"{table} = {{\n") == 1
    (folder / path).write_text(registry.replace(f"{table} = {{\n", f"{table} = {{\n{line}"))
    return folder


def run(folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_new_method_is_listed(copy):
    done = run(copy, "bench", "list", "algorithms")
    assert re.search(r"^rwr +RWR +imitation", done.stdout, re.MULTILINE), done.stderr


def test_the_contract_tests_pick_the_new_method_up_and_pass(copy):
    done = run(copy, "pytest", "-p", "no:cacheprovider", "-k", "rwr", "tests")
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert passed is not None
    assert int(passed[1]) >= 10


def test_the_example_is_formatted_and_linted_like_the_rest(copy):
    for check in (["check"], ["format", "--check"]):
        done = run(copy, "ruff", *check, "--no-cache", "algos/rwr.py")
        assert done.returncode == 0, done.stdout + done.stderr
