"""Methods from outside the package: a user's file, and an installed package's module."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from algos import contract, outside, registry
from algos.settings import Size, resolve
from bench import cli
from envs.errors import InputError
from tests.helpers.methods_file import TEXT

SMALL = Size(num_steps=500, batch_size=8, hidden_dims=(4,))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a method file, edited; what is added of it is forgotten after the test."""
    monkeypatch.setenv(outside.FILES, "")
    known = dict(registry.ALGORITHMS)

    def write(*edits, name="mean.py"):
        text = TEXT
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    yield write
    registry.ALGORITHMS.clear()
    registry.ALGORITHMS.update(known)


def test_the_columns_of_a_file_are_columns_like_ours(write):
    path = write()
    assert registry.add_file(path) == ["mean", "steep"]
    entry = registry.get_algorithm("steep")
    assert (entry.title, entry.style, entry.told) == ("Steep", "imitation", "nothing")
    assert entry.source == path
    config, origins = resolve("steep", "antmaze", SMALL)
    assert (config.slope, config.num_steps) == (0.9, 500)
    assert origins["slope"] == "variant steep"
    assert origins["batch_size"] == "profile"
    assert resolve("mean", "antmaze").config.slope == 0.25
    assert resolve("mean", "antmaze").origins["slope"].startswith("published for antmaze, ")


def test_a_file_that_is_named_again_is_not_read_again(write):
    path = write()
    registry.add_file(path)
    path.write_text("nonsense")
    assert registry.add_file(path) == ["mean", "steep"]


def test_two_files_of_one_name_are_two_methods(write, tmp_path):
    registry.add_file(write())
    (tmp_path / "other").mkdir()
    edits = [('"mean": {', '"mean2": {'), ('"steep": {', '"steep2": {'), ("0.5", "0.6")]
    registry.add_file(write(*edits, name="other/mean.py"))
    assert resolve("mean", "own").config.slope == 0.5
    assert resolve("mean2", "own").config.slope == 0.6


def test_at_small_sizes_an_outside_method_gets_what_ours_get(write):
    field = "    normalize_observations: bool = False\n    slope: float"
    registry.add_file(
        write(("    slope: float", field), ("rate: float = 0.1", "rate: float = 1e-4"))
    )
    config, origins = resolve("mean", "locomotion", SMALL)
    assert (config.normalize_observations, config.learning_rate) == (True, 1e-3)
    assert origins["learning_rate"] == "small runs, algos/settings.py"
    assert resolve("mean", "locomotion").config.learning_rate == 1e-4


def test_an_outside_method_that_learns_values_gets_what_ours_get_in_pointmaze(write):
    registry.add_file(write(("class Config(core.Config)", "class Config(core.ValueConfig)")))
    assert resolve("mean", "pointmaze").config.discount == 0.97
    assert resolve("mean", "pointmaze").origins["discount"] == "pointmaze, algos/settings.py"


def test_its_own_settings_of_a_family_win_over_ours(write):
    values = ("class Config(core.Config)", "class Config(core.ValueConfig)")
    registry.add_file(write(values, ('{"antmaze": ', '{"pointmaze": ')))
    assert resolve("mean", "pointmaze").config.discount == 0.99
    assert resolve("mean", "pointmaze").config.slope == 0.25


def test_a_file_may_have_settings_for_small_runs(write):
    everywhere = '"everywhere": {"slope": lambda c, run: c.slope + run.num_steps}'
    small = f'SMALL = {{{everywhere}, "own": {{"learning_rate": 0.2}}}}'
    registry.add_file(write(("COLUMNS =", f"{small}\nCOLUMNS =")))
    assert resolve("mean", "locomotion", SMALL).config.slope == 500.5
    assert resolve("mean", "locomotion", SMALL).config.learning_rate == 0.1
    config, origins = resolve("mean", "own", SMALL)
    assert config.learning_rate == 0.2
    assert origins["slope"].endswith("/mean.py")
    assert resolve("mean", "own").config.slope == 0.5


def test_processes_that_are_started_know_the_methods(write):
    registry.add_file(write())
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(resolve, "steep", "antmaze").result() == resolve("steep", "antmaze")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ("CONFIGS =", "SETTINGS ="),
            "has no CONFIGS; a method has Config, CONFIGS, make, COLUMNS",
        ),
        (("def make", "def build"), "has no make; a method has"),
        (("def make", "raise ValueError('no luck')\n\ndef make"), "ValueError: no luck (line 29)"),
        (("def make", "def make("), "SyntaxError: "),
        (("import jax\n", "import jaxx\n"), "No module named 'jaxx' (line 5)"),
        (("import jax\n", "import sys\nsys.exit(3)\n"), "SystemExit: 3"),
        (("Config(core.Config)", "Config"), "Config is no subclass of algos.core.Config"),
        (("batch_size: int = 256", "batch_size: int"), "missing 1 required keyword-only argument"),
        (("Config(slope=0.25)", "Config(slop=0.25)"), "unexpected keyword argument 'slop' (line"),
        (("Config(slope=0.25)", "0.25"), "CONFIGS has values that are no Config"),
        (("rate: float = 0.1", "rate: float = 0.0"), "learning_rate must be above 0"),
        (('"mean": {"title"', '"Mean/": {"title"'), "column 'Mean/': a name has small letters"),
        (('"mean": {"title"', '"iql": {"title"'), "there is a column 'iql' already"),
        (
            ('{"title": "Mean",', '{"titel": "Mean",'),
            "unknown attribute 'titel'; did you mean 'tit",
        ),
        (('{"title": "Mean",', "{"), "column 'mean' must have a title, which is text"),
        (('"Mean", "style": "imitation"', '"Mean", "style": "cloning"'), "style must be one of"),
        (('{"title": "Mean",', '{"title": "Mean", "actions": ("Box",),'), "Box, Discrete or both"),
        (('"slope": 0.9', '"slop": 0.9'), "changes has 'slop', which is no field of the Config"),
        (("COLUMNS =", "SMALL = {'own': {'slop': 1}}\nCOLUMNS ="), "SMALL has 'slop', which is no"),
        (("COLUMNS =", "SMALL = {'slope': 1.0}\nCOLUMNS ="), "SMALL must be a dict of dicts"),
        (("COLUMNS = {", "COLUMNS = {} and {"), "COLUMNS must be a dict with a column or more"),
    ],
)
def test_a_mistake_in_a_file_is_answered_with_one_line(write, edit, message, capsys):
    path = write(edit)
    assert cli.main(["list", "algorithms", "--methods-file", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: methods file {path}")
    assert message in " ".join(error.split())
    assert os.environ[outside.FILES] == ""
    assert "steep" not in registry.ALGORITHMS


def test_check_method_says_of_each_column_what_is_broken(write, capsys):
    path = write(("-1.0, 1.0)", "-1.0, 1.0 + (config.slope > 0.8))"))
    assert cli.main(["check-method", str(path)]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == 2 * len(contract.CHECKS)
    assert lines[0] == "mean: settings are plain values in every family and size: ok"
    bounds = "steep: actions are in bounds and memory keeps its shape"
    assert [line for line in lines if not line.endswith(": ok")] == [f"{bounds}: BROKEN"]
    assert printed.err.startswith(f"error: {bounds}: an action of 1.")
    assert cli.main(["check-method", str(write(name="other.py"))]) == 2
    assert "there is a column 'mean' already" in capsys.readouterr().err


def test_a_plan_refuses_actions_that_a_method_does_not_take(write, capsys):
    space = ("import jax\n", "import jax\nfrom envs.spaces import Discrete\n")
    path = write(space, ('{"title": "Mean",', '{"title": "Mean", "actions": (Discrete,),'))
    arguments = ["--methods-file", str(path), "--profile", "smoke"]
    for words in (["grid", "--algorithms", "bc", "mean"], ["train", "mean", "hopper-medium"]):
        assert cli.main([*words, *arguments]) == 2
        error = capsys.readouterr().err
        assert "Mean takes Discrete actions and those of h" in error
        assert "-medium are Box; leave one of them out" in error
    assert cli.main(["check-method", str(path)]) == 2
    assert "mean cannot be trained on Discrete actions: ValueError" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nowhere.py", "mean.txt"])
def test_a_file_that_is_not_there_is_named(write, name, tmp_path):
    write(name="mean.txt")
    with pytest.raises(InputError, match=f"{name} is not there; name a file that ends in .py"):
        registry.add_file(tmp_path / name)


@pytest.fixture
def install(write, tmp_path):
    """Installs a package with a method in a folder; gives what ``rl-or-bc`` says there."""

    def install(*edits):
        write(*edits, name="mean_policy.py")
        info = tmp_path / "mean_policy-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mean-policy\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{outside.GROUP}]\nmean = mean_policy\n")
        return subprocess.run(
            [sys.executable, "-m", "bench", "list", "algorithms"],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return install


def test_the_methods_of_an_installed_package_are_columns(install):
    done = install()
    assert done.returncode == 0, done.stderr
    assert "mean " in done.stdout
    assert "Steep" in done.stdout


def test_an_installed_package_that_is_broken_is_named(install):
    done = install(("CONFIGS =", "1 / 0\nCONFIGS ="))
    assert done.returncode == 2
    lines = " ".join(done.stderr.split())
    assert "module mean_policy of package mean-policy cannot be imported: ZeroDivision" in lines
