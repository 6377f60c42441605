"""CONTRIBUTING.md's worked examples, done to a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with the method's file beside it, and with the task's line in it."""
    folder = tmp_path_factory.mktemp("scratch")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("algos", "bench", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("__init__.py", "conftest.py", "envs/__init__.py", "envs/test_task_contract.py"):
        (folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    path, code = re.search(r"<!-- file: (\S+) -->\n```python\n(.*?)```", TEXT, re.DOTALL).groups()
    (folder / path).write_text(code)
    _, _, line = place("TASKS")
    add_line(folder / "envs/tasks.py", "CONTRIBUTING.md has an example.\n", line)
    return folder


@pytest.fixture(scope="module")
def moved(copy, tmp_path_factory):
    """The copy with the method made part of the package, as the text says at its end."""
    folder = tmp_path_factory.mktemp("moved") / "project"
    shutil.copytree(copy, folder)
    code = (folder / "rwr.py").read_text()
    without = re.sub(r"COLUMNS = .*\n\n", "", code)
    assert code != without
    (folder / "rwr.py").unlink()
    (folder / "algos/rwr.py").write_text(without)
    _, _, line = place("VARIANTS")
    registry = folder / "algos/registry.py"
    add_line(registry, "VARIANTS = {\n", line)
    registry.write_text(registry.read_text().replace("outside, rvs, ", "outside, rvs, rwr, "))
    return folder


def place(name):
    """The line that the text has for the table called ``name``: (file, table, line)."""
    found = re.findall(r"<!-- line: (\S+) (\S+) -->\n```\w*\n(.*?)```", TEXT, re.DOTALL)
    (of_table,) = [row for row in found if row[1] == name]
    return of_table


def add_line(path, after, line):
    text = path.read_text()
    assert text.count(after) == 1
    path.write_text(text.replace(after, after + line))


def run(folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def commands():
    """The commands that the text gives for the method's file."""
    (block,) = re.findall(r"```sh\n(rl-or-bc check-method.*?)```", TEXT, re.DOTALL)
    return [line.split()[1:] for line in block.splitlines()]


def test_the_example_keeps_the_contract(copy):
    (check,) = [words for words in commands() if words[0] == "check-method"]
    done = run(copy, "bench", *check)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": ok\n") >= 10


def test_the_examples_settings_are_listed(copy):
    (listed,) = [words for words in commands() if words[0] == "list"]
    done = run(copy, "bench", *listed)
    assert re.search(r"^inverse_temperature +5 +published", done.stdout, re.MULTILINE), done.stderr


def test_the_example_is_trained_beside_a_method_of_the_package(copy):
    """The text's grid, at the smallest size."""
    (grid,) = [words for words in commands() if words[0] == "grid"]
    tasks = ["--tasks", "pointmaze-umaze", "--profile", "smoke", "--workers", "2"]
    done = run(copy, "bench", *grid, *tasks)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^task +BC +RWR", done.stdout, re.MULTILINE)


def test_the_method_can_become_part_of_the_package(moved):
    done = run(moved, "bench", "list", "algorithms")
    assert re.search(r"^rwr +RWR +imitation", done.stdout, re.MULTILINE), done.stderr


def test_the_new_task_is_listed(copy):
    done = run(copy, "bench", "list", "tasks")
    assert re.search(r"^me-pendulum +own +Pendulum-v1", done.stdout, re.MULTILINE), done.stderr


def test_the_examples_logs_become_the_tasks_data(copy):
    (code,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    (copy / "logs.py").write_text(code)
    done = run(copy, "logs")
    assert done.returncode == 0, done.stderr
    done = run(copy, "bench", "audit", "me-pendulum")
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr
    assert re.search(r"^episodes +100 *$", done.stdout, re.MULTILINE)
    # The row of the text is what the audit proposes; physics may differ in the last digits.
    row = r'_own\("me/pendulum-v0", "Pendulum-v1", \((\S+), (\S+)\)\),'
    (written,), (proposed,) = re.findall(row, TEXT), re.findall(row, done.stdout)
    assert [float(value) for value in proposed] == pytest.approx(
        [float(value) for value in written], rel=0.05
    )


def test_the_contract_tests_pick_the_new_task_up_and_pass(copy):
    done = run(copy, "pytest", "-p", "no:cacheprovider", "-k", "me-pendulum", "tests")
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert passed is not None
    assert int(passed[1]) >= 6


def test_the_example_is_formatted_and_linted_like_the_rest(copy):
    for check in (["check"], ["format", "--check"]):
        done = run(copy, "ruff", *check, "--no-cache", "rwr.py")
        assert done.returncode == 0, done.stdout + done.stderr
