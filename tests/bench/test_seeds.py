"""A cell's seeds: what is there is not trained again, and each row knows its company."""

import dataclasses

import pytest

from bench import cli, store
from bench.interrupt import asked_to_stop
from bench.run import cell as cells
from bench.run import groups
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.errors import InputError
from envs.tasks import get_task

TASK = "hopper-medium"


def plan(*seeds, **overrides):
    profile = PROFILES["smoke"]
    return plans.plan(get_task(TASK), "bc", profile, "regenerated", seeds=seeds, **overrides)


def run(cell, folder):
    """The cell's folder, and the seeds that were trained for it."""
    trained = []
    with pytest.MonkeyPatch.context() as patch:
        train = cells._train

        def noted(cell, *rest):
            trained.append(cell.settings.seeds)
            train(cell, *rest)

        patch.setattr(cells, "_train", noted)
        return cells.run(cell, folder), trained


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["3"], (3,)),
        (["10-12"], (10, 11, 12)),
        (["0", "5", "7-9"], (0, 5, 7, 8, 9)),
        (["7-9,0", "8"], (0, 7, 8, 9)),
        (["4294967295"], (2**32 - 1,)),
    ],
)
def test_seeds_are_named_singly_or_as_ranges(words, seeds):
    assert groups.parse(words) == seeds
    assert groups.parse([groups.in_words(seeds)]) == seeds


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x", "numbers or ranges such as 10-12, got 'x'"),
        ("1.5", "got '1.5'"),
        ("-1", "got '-1'"),
        ("1-2-3", "got '1-2-3'"),
        ("٣", "got"),
        ("12-10", "'12-10': a range begins with its smaller number"),
        ("0-4000000000", "at most 1,000 at a time"),
        ("0-999,2000", "at most 1,000 seeds at a time, got 1,001"),
        ("4294967296", "between 0 and 4294967295, got 4294967296"),
        (",".join(str(seed) for seed in range(0, 200, 2)), "100 seeds with gaps"),
    ],
)
def test_what_names_no_seeds_is_one_line(word, message):
    with pytest.raises(InputError, match=message) as raised:
        groups.parse([word])
    assert "\n" not in str(raised.value)


def test_a_cell_that_is_asked_for_more_seeds_trains_those_that_it_lacks(datasets, tmp_path):
    first, trained = run(plan(0, 1, 2), tmp_path)
    assert trained == [(0, 1, 2)]
    before = (first / "seeds-0-2" / "evals.csv").read_bytes()
    folder, trained = run(plan(0, 1, 2, 3, 4), tmp_path)
    assert folder == first
    assert trained == [(3, 4)]
    assert (folder / "seeds-0-2" / "evals.csv").read_bytes() == before
    rows, facts = cells.read(folder)
    alone = cells.read(run(plan(3, 4), tmp_path / "alone")[0])[0]
    assert rows[rows["seed"] >= 3].reset_index(drop=True).equals(alone)
    assert facts["settings"]["seeds"] == [0, 1, 2, 3, 4]
    assert [group["seeds"] for group in facts["groups"]] == [[0, 1, 2], [3, 4]]
    assert len(facts["episode_seeds"]) == 5
    expected = cells.read(folder, [3, 4])[1]["episode_seeds"]
    assert facts["episode_seeds"][3:] == expected


def test_a_cell_that_is_asked_for_fewer_seeds_trains_none_and_reads_those(datasets, tmp_path):
    folder, _ = run(plan(0, 1, 2), tmp_path)
    assert run(plan(1, 2), tmp_path) == (folder, [])
    rows, facts = cells.read(folder, (1, 2))
    assert sorted(rows["seed"].unique()) == facts["settings"]["seeds"] == [1, 2]
    # They were trained in the company of another.
    assert [group["seeds"] for group in facts["groups"]] == [[0, 1, 2]]


def test_seeds_that_were_trained_apart_make_one_cell_together(datasets, tmp_path):
    folder, _ = run(plan(0, 1), tmp_path)
    run(plan(10), tmp_path)
    assert run(plan(0, 1, 10), tmp_path) == (folder, [])
    rows, _ = cells.read(folder, (0, 1, 10))
    assert rows[["step", "seed", "episode"]].to_numpy().tolist() == [
        [step, seed, episode] for step in (100, 200) for seed in (0, 1, 10) for episode in (0, 1)
    ]


def test_a_group_that_was_stopped_is_gone_on_with_before_more_seeds_are_trained(datasets, tmp_path):
    with pytest.raises(cells.Interrupted), asked_to_stop():
        cells.run(plan(0, 1), tmp_path, asked=lambda: True)
    steps = []
    folder = cells.run(plan(0, 1, 2), tmp_path, progress=lambda step, _: steps.append(step))
    # The first group had done 100 of its 200 steps.
    assert steps == [200, 300, 400]
    assert [path.name for path in sorted(folder.glob("seeds-*"))] == ["seeds-0-1", "seeds-2"]
    whole, _ = run(plan(0, 1), tmp_path / "whole")
    for name in ("evals.csv", "train.csv"):
        read = [(path / "seeds-0-1" / name).read_bytes() for path in (folder, whole)]
        assert read[0] == read[1]


def test_a_group_that_was_stopped_and_has_seeds_that_nobody_asks_for_is_left_alone(
    datasets, tmp_path
):
    with pytest.raises(cells.Interrupted):
        cells.run(plan(0, 1, 2), tmp_path, asked=lambda: True)
    folder, trained = run(plan(0, 1), tmp_path)
    assert trained == [(0, 1)]
    assert groups.finished(folder) == {(0, 1): folder / "seeds-0-1"}
    assert run(plan(0, 1, 2), tmp_path)[1] == [(2,)]


def test_a_seed_that_two_groups_have_counts_once(datasets, tmp_path):
    folder, _ = run(plan(0, 1), tmp_path)
    other, _ = run(plan(1, 2), tmp_path / "other")
    (other / "seeds-1-2").rename(folder / "seeds-1-2")  # as two runs at one time could leave it
    rows, facts = cells.read(folder)
    assert facts["settings"]["seeds"] == [0, 1, 2]
    assert len(rows) == 3 * 2 * 2
    (folder / "seeds-1-2").rename(folder / "seeds-1,2")  # no name that we give
    assert cells.read(folder)[1]["settings"]["seeds"] == [0, 1]


def test_a_failure_is_told_in_the_group_that_failed(datasets, tmp_path):
    bad = {"config": dataclasses.replace(plan(0).config, learning_rate=1e30)}
    folder = plans.folder_of(plan(0, 1, **bad), tmp_path)
    (folder / "seeds-0").mkdir(parents=True)
    (folder / "seeds-0" / "DONE").touch()
    assert cells.failed_in(plan(0, 1, **bad), tmp_path) == folder / "seeds-1"
    assert cells.failed_in(plan(0, 1, 2, **bad), tmp_path) == folder / "seeds-1-2"


def test_grid_and_train_share_seeds_and_a_table_has_those_that_were_asked_for(
    datasets, tmp_path, monkeypatch, capsys
):
    fixed = ["--profile", "smoke", "--results", str(tmp_path)]
    assert cli.main(["train", "bc", TASK, *fixed, "--seeds", "0-1"]) == 0
    grid = ["grid", *fixed, "--tasks", TASK, "--algorithms", "bc", "--workers", "1"]
    assert cli.main([*grid, "--num-seeds", "3"]) == 0
    assert sorted(path.name for path in tmp_path.rglob("seeds-*")) == ["seeds-0-1", "seeds-2"]
    folder = tmp_path / "regenerated" / "smoke"
    seeds = lambda: set(store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)["seed"])
    facts = lambda: store.read_provenance(folder / "provenance.json")[f"{TASK}/bc"]
    assert seeds() == {0, 1, 2}
    assert [group["seeds"] for group in facts()["groups"]] == [[0, 1], [2]]
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("trained again"))
    assert cli.main([*grid, "--seeds", "0", "2"]) == 0
    assert seeds() == {0, 2}
    assert cli.main([*grid, "--num-seeds", "3"]) == 0
    assert cli.main([*grid, "--num-seeds", "2", "--keep"]) == 0  # all of them are in the table
    assert seeds() == {0, 1, 2}
    monkeypatch.setattr(cells, "_train", lambda cell, *_: 1 / 0)
    assert cli.main([*grid, "--num-seeds", "4", "--keep"]) == 1
    capsys.readouterr()
    assert cli.main([*grid, "--num-seeds", "4", "--seeds", "0-3"]) == 2
    assert capsys.readouterr().err.startswith("error: --seeds and --num-seeds both say")
