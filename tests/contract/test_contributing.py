"""CONTRIBUTING.md's worked example, done to a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with the examples' file and lines added."""
    folder = tmp_path_factory.mktemp("scratch")
    for name in ("algos", "bench", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    contracts = ("contract/test_algorithm_contract.py", "envs/test_task_contract.py")
    for name in ("__init__.py", "conftest.py", *contracts):
        target = folder / "tests" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, target)
        (target.parent / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    path, code = re.search(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text, re.DOTALL).groups()
    (folder / path).write_text(code)
    starts = {"VARIANTS": "VARIANTS = {\n", "TASKS": "CONTRIBUTING.md has an example.\n"}
    found = re.findall(r"<!-- line: (\S+) (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL)
    assert [table for _, table, _ in found] == list(starts)
    for path, table, line in found:
        registry = (folder / path).read_text()
        assert registry.count(starts[table]) == 1
        (folder / path).write_text(registry.replace(starts[table], starts[table] + line))
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


def test_the_new_task_is_listed(copy):
    done = run(copy, "bench", "list", "tasks")
    assert re.search(r"^me-pendulum +own +Pendulum-v1", done.stdout, re.MULTILINE), done.stderr


def test_the_examples_logs_become_the_tasks_data(copy):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", text, re.DOTALL)
    (copy / "logs.py").write_text(code)
    done = run(copy, "logs")
    assert done.returncode == 0, done.stderr
    done = run(copy, "bench", "audit", "me-pendulum")
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr
    assert re.search(r"^episodes +100 *$", done.stdout, re.MULTILINE)
    # The row of the text is what the audit proposes; physics may differ in the last digits.
    row = r'_own\("me/pendulum-v0", "Pendulum-v1", \((\S+), (\S+)\)\),'
    (written,), (proposed,) = re.findall(row, text), re.findall(row, done.stdout)
    assert [float(value) for value in proposed] == pytest.approx(
        [float(value) for value in written], rel=0.05
    )


@pytest.mark.parametrize(("name", "least"), [("rwr", 10), ("me-pendulum", 6)])
def test_the_contract_tests_pick_the_new_one_up_and_pass(name, least, copy):
    done = run(copy, "pytest", "-p", "no:cacheprovider", "-k", name, "tests")
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert passed is not None
    assert int(passed[1]) >= least


def test_the_example_is_formatted_and_linted_like_the_rest(copy):
    for check in (["check"], ["format", "--check"]):
        done = run(copy, "ruff", *check, "--no-cache", "algos/rwr.py")
        assert done.returncode == 0, done.stdout + done.stderr
