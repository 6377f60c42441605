"""Another project's packages of the same names."""

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from bench import cli, shadows

ROOT = Path(__file__).resolve().parents[2]
FILES = ["algos/__init__.py", "envs/__init__.py", "envs.py"]


def write(folder, file):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("raise SystemExit('code of another project ran')\n")
    return path


def run(folder, *arguments, **variables):
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "80"} | variables
    command = [sys.executable, "-c", "import sys; from bench.cli import main; sys.exit(main())"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", FILES)
def test_another_projects_package_is_named_in_one_line(file, tmp_path):
    path = write(tmp_path / "mine", file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    places = os.pathsep.join([str(tmp_path / "mine"), str(ROOT)])
    done = run(elsewhere, "list", "algorithms", PYTHONPATH=places)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: Python imports {path} in place of rl-or-bc's own ")
    assert done.stderr.count("\n") == 1
    assert "PYTHONPATH" in done.stderr


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "train"])
def test_every_command_says_so(name, tmp_path):
    write(tmp_path, "envs.py")
    done = run(tmp_path, *name.split(), PYTHONPATH=str(ROOT))
    assert done.returncode == 2
    assert f"imports {tmp_path / 'envs.py'} in place" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_init_hides_a_package_that_is_installed_in_place(monkeypatch, tmp_path):
    spec = ModuleSpec("algos", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "algos")]
    monkeypatch.setattr(shadows, "find_spec", lambda name: spec if name == "algos" else None)
    assert f"imports {tmp_path / 'algos'} in place of rl-or-bc's own 'algos'" in (
        shadows.find_foreign()
    )


def test_the_projects_own_packages_are_not_taken_for_others(tmp_path):
    assert shadows.find_foreign() == ""
    (tmp_path / "link").symlink_to(ROOT)
    done = run(tmp_path, "--version", PYTHONPATH=str(tmp_path / "link"))
    assert done.returncode == 0, done.stderr
