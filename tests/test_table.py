"""Tables by hand."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bench import results, table
from envs.registry import TASKS
from envs.types import InputError


def facts(task, algorithm="bc", seeds=(0, 1), episodes=2):
    return {
        "task": {"name": task},
        "algorithm": algorithm,
        "title": algorithm.upper(),
        "settings": {"seeds": list(seeds), "num_episodes": episodes, "source": "regenerated"},
        "hash": "0123456789ab",
    }


def rows(task, returns, algorithm="bc", step=100):
    return pd.DataFrame(
        [
            (task, algorithm, seed, step, episode, value, 1000)
            for seed, values in enumerate(returns)
            for episode, value in enumerate(values)
        ],
        columns=list(results.SCORE_COLUMNS),
    )


def test_a_cell_is_the_mean_and_deviation_over_seeds_of_the_last_evaluation():
    played = pd.concat(
        [
            rows("antmaze-umaze", [[1.0, 1.0], [1.0, 1.0]], step=50),
            rows("antmaze-umaze", [[0.0, 1.0], [1.0, 1.0]]),
        ]
    )
    summary = table.summarize(played, {"antmaze-umaze/bc": facts("antmaze-umaze")}, "quick")
    row = summary.iloc[0]
    assert row["mean"] == 75.0
    assert row["std"] == pytest.approx(np.std([50.0, 100.0], ddof=1))
    assert (row["step"], row["num_seeds"], row["num_episodes"]) == (100, 2, 2)


def test_returns_are_normalized_with_the_tasks_reference_returns():
    low, high = TASKS["hopper-medium"].reference_returns
    played = rows("hopper-medium", [[low, high], [high, high]])
    summary = table.summarize(played, {"hopper-medium/bc": facts("hopper-medium")}, "quick")
    assert summary.iloc[0]["mean"] == pytest.approx(75.0)


def test_a_cell_with_a_missing_episode_is_refused():
    played = rows("antmaze-umaze", [[0.0, 1.0], [1.0, 1.0]]).head(3)
    with pytest.raises(InputError, match="antmaze-umaze/bc lacks episodes"):
        table.summarize(played, {"antmaze-umaze/bc": facts("antmaze-umaze")}, "quick")


def test_rows_without_provenance_are_refused():
    with pytest.raises(InputError, match="antmaze-umaze/bc have no provenance"):
        table.summarize(rows("antmaze-umaze", [[0.0]]), {}, "quick")


def test_family_averages_appear_only_when_every_task_of_the_family_does():
    ant = [name for name, task in TASKS.items() if task.family == "antmaze"]
    names = [*ant, "hopper-medium"]
    played = pd.concat([rows(name, [[1.0, 0.0], [1.0, 0.0]]) for name in names])
    provenance = {f"{name}/bc": facts(name) for name in names}
    text = table.render_markdown(table.summarize(played, provenance, "quick"), {"bc": "BC"})
    assert "| **antmaze average** | **50.0** |" in text
    assert "| **locomotion average** | - |" in text


def test_a_missing_cell_shows_a_dash():
    played = pd.concat([rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])])
    summary = table.summarize(played, {"hopper-medium/bc": facts("hopper-medium")}, "quick")
    text = table.render_markdown(summary, {"bc": "BC", "iql": "IQL"})
    line = next(line for line in text.splitlines() if line.startswith("| hopper-medium"))
    assert line.endswith("| - |")


def test_the_header_says_profile_source_seeds_steps_and_episodes():
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    summary = table.summarize(played, {"hopper-medium/bc": facts("hopper-medium")}, "quick")
    header = table.render_markdown(summary, {"bc": "BC"}).splitlines()[0]
    for part in ("profile quick", "source regenerated", "2 seeds", "100 steps", "2 episodes"):
        assert part in header


def test_a_table_that_is_not_what_its_scores_give_is_found(tmp_path):
    folder = tmp_path / "regenerated" / "quick"
    played = rows("hopper-medium", [[1.0, 0.0], [1.0, 0.0]])
    results.publish(folder, played, {"hopper-medium/bc": facts("hopper-medium")}, [])
    table.write(folder)
    assert table.find(tmp_path) == [folder]
    assert table.stale(folder) == []
    text = (folder / "table1.md").read_text()
    (folder / "table1.md").write_text(text.replace("BC", "CB"))
    assert table.stale(folder) == [folder / "table1.md"]


def test_making_a_table_loads_no_jax():
    code = "import sys, bench.table, bench.results; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
