"""Ours beside published scores, and what that may be called."""

import io

import numpy as np
import pandas as pd
import pytest

from bench import cli, store
from bench.report import compare, published, scores
from envs.tasks import TASKS
from tests.helpers.score_files import write_scores


def summary(low, high, **changes):
    row = dict.fromkeys(scores.TABLE_COLUMNS, None) | {
        "family": "locomotion",
        "task": "hopper-medium",
        "algorithm": "iql",
        "mean": (low + high) / 2,
        "low": low,
        "high": high,
        "num_seeds": 3,
        "source": "regenerated",
        "profile": "quick",
    }
    return pd.DataFrame([row | changes])


def of_the_post(frame):
    """The row of the score that IQL's paper prints for hopper-medium, 66.3, and its texts."""
    rows = compare.of_the_post(compare.compare(frame))
    assert rows["published"].tolist() == [66.3]
    return rows.iloc[0], compare.texts(rows)[0]


@pytest.mark.parametrize(
    ("low", "high", "inside"), [(60.0, 70.0, True), (66.4, 70.0, False), (50.0, 66.2, False)]
)
def test_a_published_mean_is_inside_when_our_interval_holds_it(low, high, inside):
    row, texts = of_the_post(summary(low, high))
    assert row["inside"] is inside
    assert row["difference"] == pytest.approx((low + high) / 2 - 66.3)
    assert texts[-2] == ("inside" if inside else "outside")


def test_one_seed_has_no_interval_to_be_inside_of():
    row, texts = of_the_post(summary(-np.inf, np.inf, mean=60.0, num_seeds=1))
    assert row["inside"] is None
    assert np.isnan(row["low"])
    assert texts[3] == "one seed"


@pytest.mark.parametrize(
    ("source", "profile", "version", "expected"),
    [
        ("regenerated", "paper", "v2", compare.OTHER_DATA),
        ("d4rl", "paper", "v0", compare.OTHER_DATA),
        ("d4rl", "quick", "v2", compare.OTHER_SIZE),
        ("d4rl", "paper", "v2", compare.REPRODUCTION),
    ],
)
def test_only_equal_data_at_published_sizes_is_a_reproduction(source, profile, version, expected):
    assert compare.relation(source, profile, version) == expected


def test_a_summary_of_other_data_says_that_it_is_no_reproduction():
    text = compare.summary(compare.compare(summary(60.0, 70.0)))
    assert text.startswith("other data: 1 of 1 published means inside.")
    assert "would be a reproduction" in text
    own = compare.summary(compare.compare(summary(60.0, 70.0, source="d4rl", profile="paper")))
    assert own == "reproduction: 1 of 1 published means inside."


def test_every_source_of_a_score_is_kept_with_its_version():
    compared = compare.compare(summary(60.0, 70.0))
    printed = pd.read_csv(published.TABLE)
    of_cell = printed[(printed["task"] == "hopper-medium") & (printed["algorithm"] == "iql")]
    assert len(compared) == len(of_cell) > 2
    assert compared["source"].str.contains("CORL").any()
    assert compared["source"].str.endswith("D4RL v2").all()


def test_compare_prints_the_posts_scores_and_as_csv_all_of_them(tmp_path, capsys):
    facts = {
        "task": {"name": "hopper-medium"},
        "algorithm": "iql",
        "title": "IQL",
        "style": "offline RL",
        "told": "nothing",
        "paper": "arXiv:2110.06169",
        "settings": {"seeds": [0, 1], "num_episodes": 1, "source": "regenerated", "scale": 0.1},
        "dataset": {"hash": "d"},
        "hash": "0",
    }
    rows = [("hopper-medium", "iql", seed, 10, 0, 1000.0 * seed, 5) for seed in (0, 1)]
    frame = pd.DataFrame(rows, columns=list(store.SCORE_COLUMNS))
    store.publish(tmp_path / "regenerated" / "quick", frame, {"hopper-medium/iql": facts}, [])
    assert cli.main(["compare", "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count("hopper-medium") == 1
    assert "66.3" in text
    assert "other data: 1 of 1 published means inside" in text
    assert cli.main(["compare", "--csv", "--results", str(tmp_path)]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert len(printed) > 2
    assert printed["difference"].tolist() == [
        pytest.approx(row["mean"] - row["published"], abs=0.011) for _, row in printed.iterrows()
    ]


def test_compare_fits_a_terminal_of_80_with_the_longest_names_and_numbers(tmp_path, capsys):
    tasks = [name for name, task in TASKS.items() if task.in_post]
    high = {(task, "iql"): 123.4 for task in tasks} | {(task, "dt"): -123.4 for task in tasks}
    write_scores(tmp_path / "regenerated" / "quick", tasks, scores=high, spread=9.0)
    assert cli.main(["compare", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]  # the first is the folder
    assert max(map(len, lines)) <= 80
    assert sum(line.endswith(("inside ", "outside")) for line in lines) == 3 * len(tasks)
    assert "other data:" in lines


def test_a_table_of_which_nothing_is_published_is_named(tmp_path, capsys):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["pointmaze-umaze"])
    assert cli.main(["compare", "--results", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert str(folder) in shown
    assert "nothing published for these cells" in shown


def test_data_or_environments_with_doubts_reproduce_nothing():
    doubted = compare.relation("d4rl", "paper", "v2", "scored in another environment")
    assert doubted == compare.OTHER_DATA
