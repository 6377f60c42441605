"""No traceback reaches a user, whatever is typed and whatever the files hold."""

import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import cell as cells
from bench import checkpoint, cli, report, results, table
from envs.types import InputError

READERS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = [
    *cli.COMMANDS,
    *("data", "tasks", "algorithms", "profiles", "hopper-medium", "bc", "quick", "-1", "0", "1e9"),
    *("--tasks", "--results", "--profile", "--source", "--format", "--check", "--csv", "--plots"),
    *("--scale", "--workers", "--num-seeds", "--help", "--json-lines", "--", "-x", "=", "nan", ""),
]


@pytest.fixture
def nothing_runs(monkeypatch, tmp_path):
    """Commands get as far as their arguments and files go; no cell is trained, no data made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    monkeypatch.setattr(cli, "_have_data", lambda *_: None)
    monkeypatch.setattr(cli, "_collect", lambda *_: None)
    monkeypatch.setattr(cli, "_doctor", lambda _: 0)
    monkeypatch.setitem(cli.COMMANDS, "doctor", cli.Command(cli.DoctorArgs, lambda _: 0))
    monkeypatch.setattr(cells, "_train", lambda *_: None)
    monkeypatch.setattr(cells, "run", lambda *_, **__: pytest.fail("ran a cell"))


@READERS
@given(
    arguments=st.lists(
        st.one_of(
            st.sampled_from(WORDS),
            st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
        ),
        max_size=6,
    ).filter(lambda words: words[:1] not in (["grid"], ["train"]))
)
def test_any_arguments_end_with_a_status_and_no_traceback(nothing_runs, arguments, capsys):
    try:
        status = cli.main(arguments)
    except SystemExit as stopped:  # tyro's own answer to --help and to a typing error
        status = stopped.code
    assert status in (0, 1, 2)
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
        "config": {"num_steps": 10},
        "settings": {"seeds": [0, 1], "num_episodes": 1, "source": "regenerated"},
        "dataset": {"dataset_id": "x", "hash": "y"},
        "versions": {},
        "environment": "Hopper-v4",
        "hash": "0123456789ab",
    }
    rows = [("hopper-medium", "iql", seed, 10, 0, 1000.0 * seed, 5) for seed in (0, 1)]
    frame = pd.DataFrame(rows, columns=list(results.SCORE_COLUMNS))
    results.publish(folder, frame, {"hopper-medium/iql": facts}, [])
    return [(folder / name).read_text() for name in ("scores.csv", "provenance.json")]


def read_everything(folder, scores, provenance):
    """Every reader of results on these two files: a refusal is an InputError of one line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.csv").write_bytes(scores)
    (folder / "provenance.json").write_bytes(provenance)
    for read in (table.build, report.build):
        try:
            read(folder)
        except InputError as refusal:
            lines = str(refusal).splitlines()
        else:
            continue
        assert len(lines) == 1


def damaged(draw, text):
    """``text`` with a piece cut out, a piece put in, or some bytes replaced."""
    data = text.encode()
    start = draw(st.integers(0, len(data)))
    length = draw(st.integers(0, 40))
    return data[:start] + draw(st.binary(max_size=20)) + data[start + length :]


@READERS
@given(data=st.data())
def test_damaged_scores_are_refused_in_one_line(tmp_path, scored, data):
    scores, provenance = scored
    read_everything(tmp_path, damaged(data.draw, scores), provenance.encode())


@READERS
@given(data=st.data())
def test_damaged_provenance_is_refused_in_one_line(tmp_path, scored, data):
    scores, provenance = scored
    read_everything(tmp_path, scores.encode(), damaged(data.draw, provenance))


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
    entry = facts["hopper-medium/iql"]
    where = data.draw(st.sampled_from([facts, entry, entry["task"], entry["settings"]]))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(values)
    read_everything(tmp_path, scores.encode(), json.dumps(facts).encode())


@READERS
@given(content=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_in_a_checkpoints_list_of_files_are_a_defect(tmp_path, content):
    path = tmp_path / "0-10"
    path.mkdir(exist_ok=True)
    (tmp_path / "0-10.json").write_bytes(content)
    assert checkpoint._defect(path, {"format": 1})
