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
    for name in ("__init__.py", "conftest.py", "contract/test_algorithm_contract.py"):
        target = folder / "tests" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, target)
        (target.parent / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert [path for path, _ in files] == ["algos/rwr.py", "rows.toml"]
    for path, content in files:
        (folder / path).write_text(content)
    line_of = r"<!-- line: (\S+) VARIANTS -->\n```\w*\n(.*?)```"
    (path, line), start = re.search(line_of, text, re.DOTALL).groups(), "VARIANTS = {\n"
    registry = (folder / path).read_text()
    assert registry.count(start) == 1
    (folder / path).write_text(registry.replace(start, start + line))
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


def test_the_examples_logs_become_the_tasks_data(copy):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", text, re.DOTALL)
    (copy / "logs.py").write_text(code)
    done = run(copy, "logs")
    assert done.returncode == 0, done.stderr
    named = ("me/pendulum-v0", "--environment", "Pendulum-v1")
    done = run(copy, "bench", "audit", *named)
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr
    assert re.search(r"^episodes +100 *$", done.stdout, re.MULTILINE)
    # The command of the text is what the audit proposes; physics may differ in the last digits.
    command = rf"rl-or-bc grid --data {' '.join(named)} --reference (\S+) (\S+)"
    (written,), (proposed,) = re.findall(command, text), re.findall(command, done.stdout)
    assert [float(value) for value in proposed] == pytest.approx(
        [float(value) for value in written], rel=0.05
    )
    done = run(copy, "bench", "audit", "me-pendulum", "--tasks-file", "rows.toml")
    assert re.search(r"^rows +20000 *$", done.stdout, re.MULTILINE), done.stderr


def test_the_contract_tests_pick_the_new_one_up_and_pass(copy):
    done = run(copy, "pytest", "-p", "no:cacheprovider", "-k", "rwr", "tests")
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout
    assert passed is not None
    assert int(passed[1]) >= 10


def test_the_example_is_formatted_and_linted_like_the_rest(copy):
    for check in (["check"], ["format", "--check"]):
        done = run(copy, "ruff", *check, "--no-cache", "algos/rwr.py")
        assert done.returncode == 0, done.stdout + done.stderr
