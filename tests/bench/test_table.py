"""Tables by hand."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bench import screen, store
from bench.report import artifacts, formats, layout, notes, published, scores
from envs.errors import InputError
from envs.tasks import FAMILIES, TASKS
from tests.helpers.score_files import results_of, write_scores


def facts(task, algorithm="bc", seeds=(0, 1), episodes=2, scale=0.1, data_hash="d" * 64):
    return {
        "task": {"name": task},
        "algorithm": algorithm,
        "title": algorithm.upper(),
        "style": "imitation" if algorithm == "bc" else "offline RL",
        "paper": "arXiv:2110.06169",
        "told": "nothing" if algorithm == "bc" else "the goal",
        "settings": {
            "seeds": list(seeds),
            "num_episodes": episodes,
            "source": "regenerated",
            "scale": scale,
        },
        "dataset": {"hash": data_hash},
        "hash": "0123456789ab",
    }


def rows(task, returns, algorithm="bc", step=100):
    return pd.DataFrame(
        [
            (task, algorithm, seed, step, episode, value, 1000)
            for seed, values in enumerate(returns)
            for episode, value in enumerate(values)
        ],
        columns=list(store.SCORE_COLUMNS),
    )


BC = scores.Column("BC", "imitation", "nothing")
IQL = scores.Column("IQL", "offline RL", "nothing")


def markdown(played, provenance, columns=None, published=None):
    return formats.markdown(results_of(played, provenance, columns or {"bc": BC}, published))


def test_a_cell_is_the_mean_and_deviation_over_seeds_of_the_last_evaluation():
    played = pd.concat(
        [
            rows("antmaze-umaze", [[1.0, 1.0], [1.0, 1.0]], step=50),
            rows("antmaze-umaze", [[0.0, 1.0], [1.0, 1.0]]),
        ]
    )
    summary = scores.summarize(played, {"antmaze-umaze/bc": facts("antmaze-umaze")}, "quick")
    row = summary.iloc[0]
    assert row["mean"] == 75.0
    assert row["std"] == pytest.approx(np.std([50.0, 100.0], ddof=1))
    assert (row["step"], row["num_seeds"], row["num_episodes"]) == (100, 2, 2)


def test_returns_are_normalized_with_the_tasks_reference_returns():
    low, high = TASKS["hopper-medium"].reference_returns
    played = rows("hopper-medium", [[low, high], [high, high]])
    summary = scores.summarize(played, {"hopper-medium/bc": facts("hopper-medium")}, "quick")
    assert summary.iloc[0]["mean"] == pytest.approx(75.0)


def test_a_cell_with_a_missing_episode_is_refused():
    played = rows("antmaze-umaze", [[0.0, 1.0], [1.0, 1.0]]).head(3)
    with pytest.raises(InputError, match="antmaze-umaze/bc lacks episodes"):
        scores.summarize(played, {"antmaze-umaze/bc": facts("antmaze-umaze")}, "quick")


def test_rows_without_provenance_are_refused():
    with pytest.raises(InputError, match="antmaze-umaze/bc have no provenance"):
        scores.summarize(rows("antmaze-umaze", [[0.0]]), {}, "quick")


def test_scores_of_a_row_that_is_gone_are_named():
    played = rows("hopper-medium", [[0.0]]).assign(task="me-logs")
    with pytest.raises(InputError, match="me-logs/bc has scores, but no row any more: unknown"):
        scores.summarize(played, {"me-logs/bc": facts("me-logs")}, "quick")


def test_family_averages_appear_only_when_every_task_of_the_family_does():
    ant = [name for name, task in TASKS.items() if task.family == "antmaze"]
    names = [*ant, "hopper-medium"]
    played = pd.concat([rows(name, [[1.0, 0.0], [1.0, 0.0]]) for name in names])
    provenance = {f"{name}/bc": facts(name) for name in names}
    text = markdown(played, provenance)
    assert "| **antmaze average** | **50.0** |" in text
    assert "| **locomotion average** | - |" in text


def test_a_missing_cell_shows_a_dash():
    played = pd.concat([rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])])
    text = markdown(played, {"hopper-medium/bc": facts("hopper-medium")}, {"bc": BC, "iql": IQL})
    line = next(line for line in text.splitlines() if line.startswith("| hopper-medium"))
    assert line.endswith("| - |")


def test_the_header_says_profile_source_seeds_steps_and_episodes():
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    header = markdown(played, {"hopper-medium/bc": facts("hopper-medium")}).splitlines()[0]
    for part in ("profile quick", "source regenerated", "2 seeds", "100 steps", "2 episodes"):
        assert part in header


def test_a_header_of_one_seed_speaks_of_no_deviation():
    known = {"hopper-medium/bc": facts("hopper-medium", seeds=(0,))}
    lines = markdown(rows("hopper-medium", [[1.0, 0.0]]), known).splitlines()
    assert " 1 seed;" in lines[0]
    assert not any("±" in line for line in lines)


def test_published_scores_stand_under_ours_and_are_called_other_data():
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    provenance = {"hopper-medium/bc": facts("hopper-medium")}
    published = {("hopper-medium", "bc"): (52.9, "v2")}
    lines = markdown(played, provenance, {"bc": BC, "iql": IQL}, published).splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("| hopper-medium"))
    assert lines[row + 1] == "| *published, v2* | *52.9* |  |"
    assert "other data than ours" in "\n".join(lines)
    provenance["hopper-medium/bc"]["settings"]["source"] = "d4rl"
    text = markdown(played, provenance)
    assert "other data" not in text
    assert "*published" not in text


def test_a_published_score_of_another_version_says_so():
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    published = {("hopper-medium", "bc"): (52.9, "v0"), ("hopper-medium", "iql"): (66.3, "v2")}
    text = markdown(
        played, {"hopper-medium/bc": facts("hopper-medium")}, {"bc": BC, "iql": IQL}, published
    )
    assert "| *published, v0* | *52.9* | *66.3 (v2)* |" in text


def test_columns_say_which_side_they_are_on_and_what_they_are_told():
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    goal = scores.Column("RvS-G", "imitation", "the goal")
    columns = {"bc": BC, "rvs_g": goal, "iql": IQL}
    text = markdown(played, {"hopper-medium/bc": facts("hopper-medium")}, columns)
    assert "|  | *imitation* | *imitation* | *offline RL* |" in text
    assert "Told at evaluation: RvS-G the goal; the other methods nothing." in text


def test_the_published_scores_are_those_of_the_posts_sources():
    known = published.of_the_post()
    assert known["hopper-medium-replay", "iql"] == (94.7, "v2")
    assert known["antmaze-large-play", "iql"] == (39.6, "v0")
    assert known["antmaze average", "iql"][0] == pytest.approx(378.0 / 6)
    assert known["antmaze average", "rvs_g"] == (53.5, "v2")
    # Only ever recalled, never found in print: no task of RvS may be shown.
    assert not [key for key in known if key[1].startswith("rvs") and key[0] in TASKS]
    for algorithm in ("bc", "bc_10pct", "onestep", "dt", "td3_bc", "cql", "iql"):
        assert all((name, algorithm) in known for name, task in TASKS.items() if task.in_post)


def everything(titles, mean):
    """Results in which every method of ``titles`` has ``mean`` on every task."""
    played = pd.concat(rows(task, [[1e4, 0.0], [1e4, 0.0]]) for task in TASKS)
    results = results_of(played, {f"{task}/bc": facts(task) for task in TASKS})
    columns = {title: scores.Column(title, "offline RL", "nothing") for title in titles}
    summary = pd.concat(results.summary.assign(algorithm=t, mean=mean) for t in titles)
    return dataclasses.replace(results, summary=summary, columns=columns)


@pytest.mark.parametrize("mean", [100.0, -12345.6])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_text_table_has_every_number_whole_in_blocks_that_fit(mean, width, capsys):
    titles = ["BC", "10%BC", "Onestep RL", "DT", "RvS-R", "RvS-G", "TD3+BC", "CQL", "IQL"]
    titles += ["Onestep RL, easy BCQ", "DT as in CORL", "CQL, learned weight", "IQL as in CORL"]
    screen.show(formats.text(everything(titles, mean), width))
    lines = capsys.readouterr().out.splitlines()
    numbers = [word for line in lines for word in line.split() if word == str(mean)]
    assert len(numbers) == len(titles) * (len(TASKS) + len(FAMILIES))
    assert max(map(len, lines)) <= width
    # Each block has a row of its own for every task, all as long as the next.
    blocks = sum(line.startswith("pointmaze average") for line in lines)
    assert sum(line.startswith("halfcheetah-medium-replay") for line in lines) == blocks
    assert blocks == {40: 13, 80: 2, 120: 1}[width] if mean == 100.0 and width > 40 else blocks > 1


def test_a_score_that_rounds_to_zero_has_no_sign(capsys):
    results = everything(["BC"], -0.04)
    screen.show(formats.text(results))
    shown = capsys.readouterr().out + formats.markdown(results)
    assert "0.0" in shown
    assert "-0.0" not in shown


def test_columns_are_in_the_registrys_order_where_the_first_task_lacks_some():
    order = lambda cells: scores.in_order(pd.DataFrame(cells, columns=["task", "algorithm"]))
    cells = [("a", "iql"), ("a", "rwr"), ("b", "bc"), ("b", "dt"), ("b", "iql"), ("c", "bc")]
    assert order(cells) == ["bc", "dt", "iql", "rwr"]
    assert order([("a", "x"), ("a", "y"), ("b", "y"), ("b", "x")]) == ["x", "y"]  # by hand


def test_a_table_that_is_not_what_its_scores_give_is_found(tmp_path):
    folder = tmp_path / "regenerated" / "quick"
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    store.publish(folder, played, {"hopper-medium/bc": facts("hopper-medium")}, [])
    artifacts.write(folder, formats.build)
    assert artifacts.stale(folder, formats.build, optional=False) == []
    text = (folder / "table1.md").read_text()
    (folder / "table1.md").write_text(text.replace("BC", "CB"))
    assert artifacts.stale(folder, formats.build, optional=False) == [folder / "table1.md"]
    (folder / "table1.md").unlink()
    assert artifacts.stale(folder, formats.build, optional=False) == [folder / "table1.md"]
    assert artifacts.stale(folder, formats.build, optional=True) == []


def test_a_users_own_results_are_no_source_of_the_committed_ones_nor_the_reverse(tmp_path):
    root = tmp_path / "results"
    committed = write_scores(root / "regenerated" / "quick", ["hopper-medium"])
    own = write_scores(root / "local" / "regenerated" / "quick", ["hopper-medium"])
    write_scores(root / "local" / "runs", ["hopper-medium"])  # as deep as a source's profile
    assert store.find(root) == [committed]
    assert store.find(root / "local") == [own]
    assert store.find(root, profile="cpu") == store.find(root, source="d4rl") == []
    assert store.find(root, "regenerated", "quick") == [committed]


def test_imitation_comes_first_where_the_first_task_lacks_it(tmp_path):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium", "walker2d-medium"])
    path = folder / "provenance.json"
    facts = store.read_provenance(path)
    store.write_provenance(path, dict(reversed(facts.items())))
    assert list(scores.read(folder).columns) == ["dt", "bc", "iql"]


def test_making_a_table_loads_no_jax():
    code = "import sys, bench.report.formats, bench.store; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("source", "other", "note"),
    [("regenerated", True, False), ("d4rl", False, False), ("minari", True, True)],
)
def test_notes_say_whose_data_and_references_the_scores_are_of(source, other, note):
    cell = facts("hopper-medium")
    cell["settings"]["source"] = source
    text = markdown(rows("hopper-medium", [[1.0, 1.0]] * 2), {"hopper-medium/bc": cell})
    assert ("which are other data than ours" in text) == other
    assert ("normalized by D4RL's reference returns" in text) == note


def test_a_doubted_score_is_marked_and_explained_and_others_are_not():
    doubted = facts("hopper-medium") | {"dataset_provenance": {"doubts": ["of another day"]}}
    played = pd.concat([rows(t, [[1.0, 1.0]] * 2) for t in ("hopper-medium", "walker2d-medium")])
    provenance = {"hopper-medium/bc": doubted, "walker2d-medium/bc": facts("walker2d-medium")}
    lines = markdown(played, provenance).splitlines()
    marked = [line.split("|")[1].strip() for line in lines if line.endswith("† |")]
    assert marked == ["hopper-medium"]
    assert "† Insisted on: of another day." in lines


def test_a_table_says_how_much_of_the_data_was_learned_from():
    played = pd.concat(
        [rows("antmaze-umaze", [[0.0, 1.0]] * 2), rows("hopper-medium", [[0.0, 1.0]] * 2)]
    )
    known = {
        "antmaze-umaze/bc": facts("antmaze-umaze", scale=0.002),
        "hopper-medium/bc": facts("hopper-medium", scale=1.0),
    }
    shown = markdown(played, known)
    assert "locomotion: 100 % of the rows, 100 steps" in shown
    assert "antmaze: 0.2 % of the rows, 100 steps" in shown
    assert "Share of" not in shown
    known["hopper-medium/bc"]["settings"]["source"] = "d4rl"
    assert "locomotion: 100 steps" in markdown(played, known)


def test_tasks_of_one_family_with_data_of_several_sizes_are_named():
    played = pd.concat(
        [rows(task, [[0.0, 1.0]] * 2) for task in ("antmaze-umaze", "antmaze-large-play")]
    )
    known = {
        "antmaze-umaze/bc": facts("antmaze-umaze", scale=1.0),
        "antmaze-large-play/bc": facts("antmaze-large-play", scale=0.3),
    }
    shown = markdown(played, known)
    assert "antmaze: 30 % or 100 % of the rows" in shown
    named = "30 % in antmaze-large-play; 100 % in antmaze-umaze"
    assert f"Share of the rows in antmaze: {named}." in shown
    assert "Steps of most methods" not in shown


def test_tasks_of_one_family_with_other_steps_are_named():
    played = [rows(task, [[0.0, 1.0]] * 2) for task in ("antmaze-umaze", "antmaze-large-play")]
    played[0]["step"] *= 2
    known = {f"{t}/bc": facts(t) for t in ("antmaze-umaze", "antmaze-large-play")}
    shown = markdown(pd.concat(played), known)
    named = "100 in antmaze-large-play; 200 in antmaze-umaze"
    assert f"Steps of most methods in antmaze: {named}." in shown


def test_columns_of_a_task_that_learned_from_different_data_are_not_to_be_compared():
    warning = "Not to be compared: columns of antmaze-umaze learned from different data."
    played = pd.concat([rows("antmaze-umaze", [[0.0, 1.0]] * 2, name) for name in ("bc", "iql")])
    columns = {"bc": BC, "iql": IQL}
    known = {f"antmaze-umaze/{name}": facts("antmaze-umaze", name) for name in columns}
    assert warning not in markdown(played, known, columns)
    known["antmaze-umaze/iql"]["dataset"]["hash"] = "e" * 64
    assert warning in markdown(played, known, columns)


@pytest.mark.parametrize(
    ("place", "other", "says"),
    [
        ("environment", "Hopper-v5", "were scored in different environments"),
        ("reference_returns", [0.0, 2.0], "were run with different reference returns"),
    ],
)
def test_columns_that_were_scored_otherwise_are_not_to_be_compared(place, other, says):
    warning = f"Not to be compared: columns of hopper-medium {says}."
    played = pd.concat([rows("hopper-medium", [[0.0, 1.0]] * 2, name) for name in ("bc", "iql")])
    columns = {"bc": BC, "iql": IQL}
    known = {f"hopper-medium/{name}": facts("hopper-medium", name) for name in columns}
    for cell in known.values():
        cell["environment"] = "Hopper-v4"
        cell["task"]["reference_returns"] = [0.0, 1.0]
    assert warning not in markdown(played, known, columns)
    changed = known["hopper-medium/iql"]
    (changed if place in changed else changed["task"])[place] = other
    assert warning in markdown(played, known, columns)
    # A cell that does not say is no difference.
    del (changed if place in changed else changed["task"])[place]
    assert warning not in markdown(played, known, columns)


@pytest.mark.parametrize(
    ("key", "one", "other", "says"),
    [
        ("class", "Dial", "Clock", "were scored in environments of different classes"),
        ("arguments", {"gain": 1.0}, {"gain": 2.0}, "environments with different arguments"),
        ("wrappers", [], [{"name": "RescaleAction"}], "were scored in different wrappers"),
        ("time_limit", 20, 100, "were scored with different time limits"),
    ],
)
def test_columns_scored_in_another_environment_of_the_same_id_are_not_to_be_compared(
    key, one, other, says
):
    played = pd.concat([rows("hopper-medium", [[0.0, 1.0]] * 2, name) for name in ("bc", "iql")])
    known = {f"hopper-medium/{name}": facts("hopper-medium", name) for name in ("bc", "iql")}

    def found():
        return notes.differences(scores.summarize(played, known, "quick"))

    known["hopper-medium/bc"]["dataset_provenance"] = {"scored_in": {key: one}}
    assert found() == []
    known["hopper-medium/iql"]["dataset_provenance"] = {"scored_in": {key: one}}
    assert found() == []
    known["hopper-medium/iql"]["dataset_provenance"] = {"scored_in": {key: other}}
    [line] = found()
    assert says in line


def test_columns_of_other_wrappers_are_not_to_be_compared_and_those_of_other_tasks_may_differ():
    summary = pd.DataFrame(
        [("a", "x", "d", "", "one"), ("a", "y", "d", "", "two"), ("b", "x", "e", "", "three")],
        columns=["task", "algorithm", "data_hash", "doubts", "wrappers"],
    )
    (line,) = notes.warnings(summary)
    assert line == "Not to be compared: columns of a were scored in different wrappers."


def test_the_csv_has_the_tables_columns_alone():
    played = rows("hopper-medium", [[0.0, 1.0]] * 2)
    results = results_of(played, {"hopper-medium/bc": facts("hopper-medium")})
    heading = formats.csv(results).splitlines()[0]
    assert heading == ",".join([*scores.TABLE_COLUMNS, "published", "in_post"])


@pytest.mark.parametrize(
    ("cells", "near"),
    [
        ([(50.0, 40.0, 60.0), (40.0, 0.0, 80.0), (39.9, 0.0, 80.0)], [True, True, False]),
        ([(50.0, 40.0, 60.0), None, (10.0, 0.0, 80.0)], [True, False, False]),
        ([(50.0, 40.0, 60.0), (45.0, 0.0, 80.0)], [False, False]),  # nothing is told apart
        ([(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)], [False, False]),
        ([(50.0, -np.inf, np.inf), (10.0, -np.inf, np.inf)], [False, False]),  # one seed
        ([None, None], [False, False]),
    ],
)
def test_cells_near_a_rows_best_lie_within_its_interval(cells, near):
    known = tuple(cell and layout.Cell(cell[0], 1.0, *cell[1:]) for cell in cells)
    assert layout.Row("task", "a", known, (None,) * len(cells)).near_best() == near
