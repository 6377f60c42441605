"""What is installed works away from the repository: no file that it reads is left behind."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench import cli
from bench.report import claims, package, page, plots, published, scores
from envs.errors import InputError
from envs.tasks import TASKS
from tests.helpers.score_files import write_scores

ROOT = Path(__file__).resolve().parents[2]
FAR = [n for n, t in TASKS.items() if t.family == "antmaze" and t.environment != "umaze"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what a wheel holds: modules of packages, and the data that pyproject names."""
    site = tmp_path_factory.mktemp("site")
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    wanted = {
        path
        for name in options["packages"]["find"]["include"]
        for init in ROOT.glob(f"{name.rstrip('*')}/**/__init__.py")
        for path in init.parent.glob("*.py")
    }
    for name, patterns in options["package-data"].items():
        for pattern in patterns:
            wanted |= set((ROOT / name.replace(".", "/")).glob(pattern))
    for path in wanted:
        target = site / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return site


def run(site, folder, code, **variables):
    """What ``code`` prints that imports the package of ``site``, and not the repository's."""
    check = f"import bench; assert bench.__file__.startswith({str(site)!r}), bench.__file__\n"
    done = subprocess.run(
        [sys.executable, "-c", check + code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMANDS = """
from bench import cli
assert cli.main(["report"]) == 0
assert cli.main(["table", "--check"]) == 0
print("---")
assert cli.main(["compare", "--csv"]) == 0
"""


def test_pages_and_comparisons_of_the_installed_package_are_the_repositorys(
    installed, tmp_path, capsys
):
    theirs, ours = tmp_path / "results", tmp_path / "ours"
    for root in (theirs, ours):
        write_scores(root / "regenerated" / "quick", [*FAR, "hopper-medium"], (100,))
    compared = run(installed, tmp_path, COMMANDS).split("---\n")[1]
    assert cli.main(["report", "--results", str(ours)]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "--csv", "--results", str(ours)]) == 0
    assert compared == capsys.readouterr().out
    files = {path.relative_to(ours) for path in ours.rglob("*.*")}
    assert {"FINDINGS.md", "report.html", "table1.md", "table1.csv"} <= {f.name for f in files}
    for path in files:
        assert (theirs / path).read_bytes() == (ours / path).read_bytes()
    assert "*published, v2*" in (theirs / "regenerated" / "quick" / "table1.md").read_text()
    assert "2301.02328" in compared


DRAW = """
import os
from bench.report import plots, scores
points = [plots.Point(scores.Column("BC", "imitation", "nothing"), 1.0, 0.0, 2.0, None)]
assert os.environ["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"
print(plots.svg(plots.dichotomy({"locomotion": points}), "x"), end="")
"""


def test_pictures_need_no_backend_and_obey_no_file_of_the_folder(installed, tmp_path):
    # Jupyter sets the variable for every command; the module is not installed with the package.
    backend = "module://matplotlib_inline.backend_inline"
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.linewidth: 9\n")
    drawn = run(installed, tmp_path, DRAW, MPLBACKEND=backend)
    points = [plots.Point(scores.Column("BC", "imitation", "nothing"), 1.0, 0.0, 2.0, None)]
    assert drawn == plots.svg(plots.dichotomy({"locomotion": points}), "x")


@pytest.mark.parametrize(
    ("module", "name"), [(published, "TABLE"), (claims, "CLAIMS")], ids=["published", "claims"]
)
def test_a_missing_table_of_the_package_is_an_error(monkeypatch, tmp_path, module, name, capsys):
    write_scores(tmp_path / "regenerated" / "quick", FAR, (100,))
    monkeypatch.setattr(module, name, tmp_path / "missing.csv")
    assert cli.main(["report", "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    missing = tmp_path / "missing.csv"
    assert line == f"error: {missing} is missing, which belongs to rl-or-bc; install it again"


@pytest.mark.parametrize("name", ["findings.md.jinja", "page.html.jinja", "page.css", "page.js"])
def test_a_missing_template_of_the_package_is_an_error(monkeypatch, tmp_path, name):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,), (0,))
    templates = tmp_path / "page"
    shutil.copytree(package.TEMPLATES, templates)
    (templates / name).unlink()
    monkeypatch.setattr(package, "TEMPLATES", templates)
    build = page.build if name.startswith("page") else claims.build
    with pytest.raises(InputError, match=rf"{name} is missing"):
        build(folder if name.startswith("page") else tmp_path)
