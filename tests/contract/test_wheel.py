"""The wheel, installed where nothing of the repository is: it gives what the checkout gives."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("algos", "bench", "envs")


def run(command, folder, **variables):
    """What ``command`` prints in ``folder``, where Python's path has nothing of the checkout."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy, for a build leaves folders beside what it builds."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    run([*pip, "--wheel-dir", built, copy], built)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def program(wheel, tmp_path_factory):
    """``rl-or-bc`` of an environment that has the wheel and the project's dependencies.

    A folder that a ``.pth`` file names is searched for packages, but its own ``.pth`` files are
    not read. So the checkout, which is installed there as editable, is out of reach.
    """
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    run([*pip, wheel], folder)
    (site,) = folder.glob("lib/python*/site-packages")
    theirs = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(theirs))
    for name in PACKAGES:
        file = run([python, "-c", f"import {name}; print({name}.__file__)"], folder).strip()
        assert Path(file) == site / name / "__init__.py"
    return folder / "bin" / "rl-or-bc"


def test_the_wheel_holds_the_packages_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    about = f"rl_or_bc-{version}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, about}
    paths = [path for name in PACKAGES for path in ROOT.glob(f"{name}/**/*.py")]
    code = {str(path.relative_to(ROOT)) for path in paths}
    assert {name for name in names if name.endswith(".py")} == code


def files(folder):
    """What a grid writes, by its path: scores, tables and pages, and the rows of each cell."""
    paths = [*folder.glob("*/*/*.*"), *folder.glob("runs/**/*.csv"), *folder.glob("*.md")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_grid_of_the_wheel_is_that_of_the_checkout(program, tmp_path):
    grid = ["grid", "--profile", "smoke", "--tasks", "hopper-medium", "--algorithms", "bc", "iql"]
    asked = (grid, ["table"], ["compare", "--csv"], ["report"])
    printed, written = [], []
    for name, command in (("wheel", [program]), ("checkout", [sys.executable, "-m", "bench"])):
        folder = tmp_path / name
        folder.mkdir()
        variables = {"MINARI_DATASETS_PATH": str(folder / "data")}
        if name == "checkout":
            variables["PYTHONPATH"] = str(ROOT)
        outputs = [run([*command, *words], folder, **variables) for words in asked]
        printed.append(outputs[1:])
        written.append(files(folder / "results" / "local"))
    assert printed[0] == printed[1]
    assert written[0].keys() == written[1].keys()
    # They say when and of which commit a cell was run.
    dated = {"regenerated/smoke/provenance.json", "regenerated/smoke/report.html"}
    different = {name for name in written[0] if written[0][name] != written[1][name]}
    assert different <= dated
    for name in ("evals.csv", "train.csv", "scores.csv", "table1.md", "report.html", "FINDINGS.md"):
        assert any(Path(path).name == name for path in written[0]), name
    table = written[0]["regenerated/smoke/table1.md"].decode()
    assert "*published, v2*" in table
    assert "2301.02328" in printed[0][1]


def test_pages_of_the_committed_scores_are_the_committed_ones(program, tmp_path):
    for name in ("regenerated", "notes.md"):
        path = ROOT / "results" / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / name)
    made = [*tmp_path.glob("*/*/table1.*"), *tmp_path.glob("*/*/report.html")]
    assert len(made) >= 4
    for path in made:
        path.unlink()
    run([program, "report", "--results", tmp_path], tmp_path)
    for path in [*made, tmp_path / "FINDINGS.md"]:
        committed = ROOT / "results" / path.relative_to(tmp_path)
        assert path.read_bytes() == committed.read_bytes(), path
