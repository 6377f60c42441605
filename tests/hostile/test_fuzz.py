"""No traceback reaches a user, whatever is typed and whatever the files hold."""

import contextlib
import json

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench import cli, grid, interrupt, store
from bench.commands import cell as cell_command
from bench.commands import data as data_command
from bench.commands import doctor
from bench.commands import grid as grid_command
from bench.commands import sweep as sweep_command
from bench.report import formats, page
from bench.run import cell as cells
from bench.run import checkpoint
from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.recipes import Recipe
from envs.sources import d4rl, regenerated, registry
from envs.tasks import get_task
from tests.helpers import d4rl_files
from tests.helpers.damage import READERS, damaged, one_line_at_most

HOPPER = get_task("hopper-medium")

WORDS = [
    *cli.COMMANDS,
    *("data", "tasks", "algorithms", "profiles", "hopper-medium", "bc", "quick", "-1", "0", "1e9"),
    *("--tasks", "--results", "--profile", "--source", "--format", "--check", "--csv", "--plots"),
    *("--scale", "--workers", "--num-seeds", "--help", "--json-lines", "--", "-x", "=", "nan", ""),
    *("--environment", "v5", "--insist", "--keep", "--algorithms", "--hidden-dims", "--num-steps"),
    *("--num-evaluations", "--learning-rate", "d4rl", "minari", "file", "1", "inf", "None"),
    *("hopper-medium-v2", "pointmaze-umaze-v2", "--seeds", "0-2", "7", "--plan", "--rerun"),
    *("--seed", "--episodes", "--expectile", "--video"),
]


@pytest.fixture
def nothing_runs(monkeypatch, tmp_path):
    """Commands get as far as their arguments and files go; no cell is trained, no data made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))
    monkeypatch.setattr(registry, "fetch", lambda *_: False)
    for module in (cell_command, grid_command, sweep_command):
        monkeypatch.setattr(module, "have_data", lambda *_: {})
    monkeypatch.setattr(data_command, "_collect", lambda *_: {})
    monkeypatch.setitem(cli.COMMANDS, "doctor", cli.Command(doctor.Arguments, lambda _: 0))
    monkeypatch.setattr(cells, "run", raise_interrupted)
    monkeypatch.setattr(grid, "run", lambda *_: ["a cell failed"])
    (tmp_path / "file").touch()


def raise_interrupted(*_, **__):
    raise cells.Interrupted("as a cell that would run")


@READERS
@given(
    start=st.sampled_from([[], ["grid"], ["train"], ["train", "bc", "hopper-medium"]]),
    rest=st.lists(
        st.one_of(
            st.sampled_from(WORDS),
            st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
        ),
        max_size=6,
    ),
)
@example(start=["grid"], rest=["--results", "file"])
@example(start=["train", "bc", "hopper-medium"], rest=["--results", "file/folder"])
@example(start=["report"], rest=["--results", "file"])
@example(start=["train", "bc"], rest=["pointmaze-umaze-v2"])
def test_any_arguments_end_with_a_status_and_no_traceback(nothing_runs, start, rest, capsys):
    try:
        status = cli.main(start + rest)
    except SystemExit as stopped:  # tyro's own answer to --help and to a typing error
        status = stopped.code
    assert status in (0, cli.EXIT_FAILED, cli.EXIT_USAGE, interrupt.status())
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Sound results of one cell: (scores.csv, provenance.json) as text."""
    folder = tmp_path_factory.mktemp("sound")
    facts = {
        "task": {"name": "hopper-medium"},
        "algorithm": "iql",
        "title": "IQL",
        "style": "offline RL",
        "told": "nothing",
        "paper": "arXiv:2110.06169",
        "config": {"num_steps": 10},
        "settings": {"seeds": [0, 1], "num_episodes": 1, "source": "regenerated", "scale": 0.1},
        "dataset": {"dataset_id": "x", "hash": "y"},
        "versions": {},
        "environment": "Hopper-v4",
        "hash": "0123456789ab",
    }
    rows = [("hopper-medium", "iql", seed, 10, 0, 1000.0 * seed, 5) for seed in (0, 1)]
    frame = pd.DataFrame(rows, columns=list(store.SCORE_COLUMNS))
    store.publish(folder, frame, {"hopper-medium/iql": facts}, [])
    return [(folder / name).read_text() for name in ("scores.csv", "provenance.json")]


def read_everything(folder, scores, provenance):
    """Every reader of results on these two files: a refusal is an InputError of one line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.csv").write_bytes(scores)
    (folder / "provenance.json").write_bytes(provenance)
    for read in (formats.build, page.build):
        with one_line_at_most():
            read(folder)


@READERS
@given(data=st.data())
def test_damaged_scores_are_refused_in_one_line(tmp_path, scored, data):
    scores, provenance = scored
    read_everything(tmp_path, damaged(data.draw, scores.encode()), provenance.encode())


@READERS
@given(data=st.data())
def test_damaged_provenance_is_refused_in_one_line(tmp_path, scored, data):
    scores, provenance = scored
    read_everything(tmp_path, scores.encode(), damaged(data.draw, provenance.encode()))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@READERS
@given(data=st.data())
def test_provenance_of_other_shapes_is_refused_in_one_line(tmp_path, scored, data):
    scores, provenance = scored
    facts = json.loads(provenance)
    entry = facts["shared"]
    where = data.draw(
        st.sampled_from([facts, facts["cells"], entry, entry["task"], entry["settings"]])
    )
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(values)
    read_everything(tmp_path, scores.encode(), json.dumps(facts).encode())


@READERS
@given(content=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_in_a_checkpoints_list_of_files_are_a_defect(tmp_path, content):
    path = tmp_path / "0-10"
    path.mkdir(exist_ok=True)
    (tmp_path / "0-10.json").write_bytes(content)
    assert checkpoint._defect(path, {"format": checkpoint.FORMAT})


@pytest.fixture(scope="module")
def d4rl_file(tmp_path_factory):
    """A sound file of D4RL's kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("D4RL_DATASET_DIR", str(tmp_path_factory.mktemp("d4rl")))
        return d4rl_files.write(HOPPER.name, d4rl_files.locomotion(num_rows=60))


@READERS
@given(data=st.data())
def test_damaged_d4rl_files_are_refused_in_one_line(d4rl_file, tmp_path, data):
    path = tmp_path / "damaged.hdf5"
    path.write_bytes(damaged(data.draw, d4rl_file.read_bytes()))
    with one_line_at_most():
        d4rl.read_file(path, HOPPER)


@READERS
@given(name=st.sampled_from(["main_data.hdf5", "metadata.json"]), data=st.data())
def test_damaged_regenerated_datasets_are_refused_in_one_line(datasets, name, data):
    recipe = Recipe(HOPPER, PROFILES["smoke"].sizes["locomotion"].scale)
    path = regenerated.dataset_folder(recipe.dataset_id) / "data" / name
    sound = path.read_bytes()
    path.write_bytes(damaged(data.draw, sound))
    try:
        with one_line_at_most():
            regenerated.read(HOPPER, recipe.scale)
    finally:
        path.write_bytes(sound)


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": 7},
        {"versions": 5},
        {"reference_returns": None},
        {"goals_reached_fraction": "x"},
        {"flipped_fraction": [1]},
    ],
)
def test_provenance_of_other_types_in_regenerated_data_is_one_line(datasets, changes):
    with changed_provenance(changes) as recipe:
        refusal = "is half written or was not made here; run: rl-or-bc data make"
        with pytest.raises(InputError, match=refusal):
            regenerated.provenance(HOPPER, recipe.scale)


def test_regenerated_data_say_nothing_of_themselves_but_what_is_asked(datasets):
    with changed_provenance({}) as recipe:
        plain = regenerated.provenance(HOPPER, recipe.scale)
    for changes in ({"doubts": 5}, {"dataset_id": ["x"]}, {"scale": "x"}, {"source": 5}):
        with changed_provenance(changes) as recipe:
            assert regenerated.provenance(HOPPER, recipe.scale) == plain


@contextlib.contextmanager
def changed_provenance(changes):
    recipe = Recipe(HOPPER, PROFILES["smoke"].sizes["locomotion"].scale)
    path = regenerated.dataset_folder(recipe.dataset_id) / "data" / "metadata.json"
    sound = path.read_text()
    facts = json.loads(sound)
    ours = json.loads(facts[regenerated.METADATA_KEY]) | changes
    path.write_text(json.dumps(facts | {regenerated.METADATA_KEY: json.dumps(ours)}))
    try:
        yield recipe
    finally:
        path.write_text(sound)


@READERS
@given(stored=values)
def test_metadata_of_other_shapes_are_refused_in_one_line(datasets, stored):
    recipe = Recipe(HOPPER, PROFILES["smoke"].sizes["locomotion"].scale)
    path = regenerated.dataset_folder(recipe.dataset_id) / "data" / "metadata.json"
    sound = path.read_text()
    for content in (stored, json.loads(sound) | {regenerated.METADATA_KEY: json.dumps(stored)}):
        path.write_text(json.dumps(content))
        try:
            with one_line_at_most():
                regenerated.read(HOPPER, recipe.scale)
        finally:
            path.write_text(sound)
