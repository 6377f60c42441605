"""Result files are whole, exact and merged cell by cell."""

import errno
import os

import numpy as np
import pandas as pd
import pytest

from bench import store
from envs import files
from envs.errors import InputError
from tests.helpers.score_files import sound

ORDER = ["a/x", "a/y", "b/x", "b/y"]


def rows(task, algorithm, value):
    return pd.DataFrame(
        [
            (task, algorithm, seed, 10, episode, value + seed, 5)
            for seed in (1, 0)
            for episode in (1, 0)
        ],
        columns=list(store.SCORE_COLUMNS),
    )


def test_floats_survive_a_round_trip_bit_for_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-500, 500).clip(
        -300, 300
    )
    store.write_rows(tmp_path / "x.csv", pd.DataFrame({"value": values}))
    np.testing.assert_array_equal(store.read_rows(tmp_path / "x.csv", ["value"])["value"], values)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    files.write_text(tmp_path / "x", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "x", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_published_cells_stand_in_table_order_whatever_the_order_they_came_in(tmp_path):
    for task, algorithm in (("b", "x"), ("a", "y"), ("a", "x")):
        name = f"{task}/{algorithm}"
        store.publish(tmp_path, rows(task, algorithm, 0.0), {name: sound(name)}, ORDER)
    merged = store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)
    assert list(dict.fromkeys(store.cell_names(merged))) == ["a/x", "a/y", "b/x"]
    assert list(store.read_provenance(tmp_path / "provenance.json")) == ["a/x", "a/y", "b/x"]
    assert merged["seed"].tolist()[:4] == [0, 0, 1, 1]
    assert merged["episode"].tolist()[:4] == [0, 1, 0, 1]


def test_publishing_a_cell_again_replaces_it_whole_and_leaves_the_others(tmp_path):
    both = pd.concat([rows("a", "x", 0.0), rows("b", "x", 0.0)])
    first = {name: sound(name, n=1) for name in ("a/x", "b/x")}
    second = {"a/x": sound("a/x", n=2)}
    store.publish(tmp_path, both, first, ORDER)
    store.publish(tmp_path, rows("a", "x", 5.0).head(2), second, ORDER)
    merged = store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)
    counts = store.cell_names(merged).value_counts().to_dict()
    assert counts == {"a/x": 2, "b/x": 4}
    assert store.read_provenance(tmp_path / "provenance.json") == first | second


def test_tracks_are_merged_as_scores_are(tmp_path):
    def tracks(task, *xs):
        points = [(task, "x", 0, 0, step, x, -x) for step, x in enumerate(xs)]
        return pd.DataFrame(points, columns=list(store.TRACK_COLUMNS))

    for task, xs in (("b", (1.0, 2.0)), ("a", (3.0,)), ("b", (4.0, 5.0, 6.0))):
        facts = {f"{task}/x": sound(f"{task}/x")}
        store.publish(tmp_path, rows(task, "x", 0.0), facts, ORDER, tracks(task, *xs))
    store.publish(tmp_path, rows("a", "y", 0.0), {"a/y": sound("a/y")}, ORDER)
    merged = store.read_tracks(tmp_path / "tracks.csv")
    assert store.cell_names(merged).tolist() == ["a/x", "b/x", "b/x", "b/x"]
    assert merged["x"].tolist() == [3.0, 4.0, 5.0, 6.0]
    store.publish(tmp_path, rows("b", "x", 0.0), {"b/x": sound("b/x")}, ORDER)
    merged = store.read_tracks(tmp_path / "tracks.csv")
    assert merged["x"].tolist() == [3.0]  # of the run before, which is gone


def test_publishing_twice_changes_no_byte(tmp_path):
    for _ in range(2):
        store.publish(tmp_path, rows("a", "x", 1 / 3), {"a/x": sound("a/x")}, ORDER)
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    store.publish(tmp_path, rows("a", "x", 1 / 3), {"a/x": sound("a/x")}, ORDER)
    assert found == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("text", "message"),
    [("task,seed\n1,2\n", "lacks the column 'algorithm'"), ("", "not a CSV file")],
)
def test_a_damaged_csv_is_named_with_what_is_wrong(tmp_path, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)


@pytest.mark.parametrize("value", ["x", "", "1e300", "inf", "nan"])
def test_a_return_that_is_no_number_is_named(tmp_path, value):
    (tmp_path / "scores.csv").write_text(
        f"task,algorithm,seed,step,episode,return,length\na,x,0,1,0,{value},5\n"
    )
    with pytest.raises(InputError, match="holds no numbers in 'return'"):
        store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ((), [], "is no provenance of cells as this version writes it"),
        ((), {"a/x": sound("a/x")}, "is no provenance of cells as this version writes it"),
        (("shared",), 3, "no sound 'shared'"),
        (("tasks", "a"), 3, "no sound entry for 'a/x'"),
        (
            (
                "cells",
                "a/x",
            ),
            3,
            "no sound entry for 'a/x'",
        ),
        (("cells", "a/x", "style"), "other", "no sound style"),
        (("cells", "a/x", "settings", "seeds"), None, "no sound settings.seeds"),
        (("cells", "a/x", "algorithm"), "y", "another cell's provenance for 'a/x'"),
        (("cells", "a/x", "dataset_provenance"), None, "no sound dataset_provenance"),
        (("cells", "a/x", "dataset_provenance"), {"doubts": "ab"}, "no sound dataset_provenance"),
        (("cells", "a/x", "dataset_provenance"), {"doubts": [1]}, "no sound dataset_provenance"),
        (("cells", "a/x", "dataset_provenance"), {"scored_in": []}, "no sound dataset_provenance"),
    ],
)
def test_provenance_that_is_not_sound_is_named(tmp_path, where, value, message):
    parts = {"shared": {}, "tasks": {}, "algorithms": {}, "cells": {"a/x": sound("a/x")}}
    files.write_json(tmp_path / "p.json", parts)
    assert store.read_provenance(tmp_path / "p.json") == parts["cells"]
    part = parts
    for key in where[:-1]:
        part = part[key]
    if where:
        part[where[-1]] = value
    files.write_json(tmp_path / "p.json", parts if where else value)
    with pytest.raises(InputError, match=message) as refused:
        store.read_provenance(tmp_path / "p.json")
    assert "\n" not in str(refused.value)


def test_what_cells_have_in_common_is_written_once_and_read_for_each(tmp_path):
    cells = {
        f"{task}/{name}": sound(
            f"{task}/{name}", device="cpu", title=name.upper(), environment=task, hash=task + name
        )
        for task in ("a", "b")
        for name in ("x", "y")
    }
    cells["b/y"]["versions"] = {"jax": "1"}  # a fact that one cell alone has
    store.write_provenance(tmp_path / "p.json", cells)
    assert store.read_provenance(tmp_path / "p.json") == cells
    parts = files.read_json(tmp_path / "p.json")
    assert parts["shared"]["device"] == "cpu"
    assert parts["tasks"]["a"] == {"task": {"name": "a"}, "environment": "a"}
    assert parts["algorithms"]["x"] == {"algorithm": "x", "title": "X"}
    assert parts["cells"]["b/y"] == {"hash": "by", "versions": {"jax": "1"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,x,0,0,0 1,0.5 1.5,2.5", "whose points are no numbers"),
        ("a,x,0,0,0,,1.0", "no numbers in 'x'"),
        ("a,x,0,0,0,dear,1.0", "whose points are no numbers"),
        ("a,x,0,0,0.5,1.0,1.0", "whose points are no numbers"),
        ("a,x,0,0,0,inf,1.0", "no numbers in 'x'"),
        ("a,x,y,0,0,1.0,1.0", "no numbers in 'seed'"),
    ],
)
def test_tracks_that_are_not_sound_are_named(tmp_path, line, message):
    path = tmp_path / "tracks.csv"
    path.write_text(f"{','.join(store.TRACK_COLUMNS)}\na,x,0,0,0 5,1.0 0.1,2.0 -0.3\n")
    assert store.read_tracks(path)["y"].tolist() == [2.0, -0.3]
    path.write_text(f"{','.join(store.TRACK_COLUMNS)}\n{line}\n")
    with pytest.raises(InputError, match=message):
        store.read_tracks(path)


def test_damaged_json_is_named(tmp_path):
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(InputError, match=r"p\.json is not JSON"):
        files.read_json(tmp_path / "p.json")


@pytest.mark.parametrize(
    "text",
    [
        "task," + ",".join(map(str, range(1_000_000))) + "\n",
        "\n\n" + "," * 1_000_000 + "\n",
        ",".join(store.SCORE_COLUMNS) + "\n" + "1," * 1_000_000 + "\n",
    ],
    ids=["header", "header below blank lines", "row"],
)
def test_a_million_columns_are_refused_before_they_take_memory(tmp_path, monkeypatch, text):
    (tmp_path / "scores.csv").write_text(text)
    monkeypatch.setattr(pd, "read_csv", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"scores\.csv has a line of more than 4,096 bytes; "):
        store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)


def test_a_pipe_in_place_of_scores_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scores.csv")
    with pytest.raises(InputError, match=r"scores\.csv is not a file"):
        store.read_rows(tmp_path / "scores.csv", store.SCORE_COLUMNS)
