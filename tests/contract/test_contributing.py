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
    """The project with the examples' files beside it."""
    folder = tmp_path_factory.mktemp("scratch")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("algos", "bench", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert [path for path, _ in files] == ["rwr.py", "rows.toml"]
    for path, content in files:
        (folder / path).write_text(content)
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
    path, line = re.search(r"<!-- line: (\S+) VARIANTS -->\n```\w*\n(.*?)```", TEXT, re.S).groups()
    text = (folder / path).read_text()
    for before, after in (
        ("VARIANTS = {\n", f"VARIANTS = {{\n{line}"),
        ("outside, rvs, ", "outside, rvs, rwr, "),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / path).write_text(text)
    return folder


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


def test_the_examples_logs_become_the_tasks_data(copy):
    (code,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    (copy / "logs.py").write_text(code)
    done = run(copy, "logs")
    assert done.returncode == 0, done.stderr
    named = ("me/pendulum-v0", "--environment", "Pendulum-v1")
    done = run(copy, "bench", "audit", *named)
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr
    assert re.search(r"^episodes +100 *$", done.stdout, re.MULTILINE)
    # The command of the text is what the audit proposes; physics may differ in the last digits.
    command = rf"rl-or-bc grid --data {' '.join(named)} --reference (\S+) (\S+)"
    (written,), (proposed,) = re.findall(command, TEXT), re.findall(command, done.stdout)
    assert [float(value) for value in proposed] == pytest.approx(
        [float(value) for value in written], rel=0.05
    )
    done = run(copy, "bench", "audit", "me-pendulum", "--tasks-file", "rows.toml")
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr


def test_the_example_is_formatted_and_linted_like_the_rest(copy):
    for check in (["check"], ["format", "--check"]):
        done = run(copy, "ruff", *check, "--no-cache", "rwr.py")
        assert done.returncode == 0, done.stdout + done.stderr
