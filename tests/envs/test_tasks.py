"""Tasks of a user's own data: from arguments, from a file, and from what was run before."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from envs import tasks
from envs.errors import InputError
from envs.sources.registry import SOURCES, resolve

ROOT = Path(__file__).resolve().parents[2]
LOGS = tasks.own_task("me/logs-v0", "me.package:Env-v0", (-1212.0, -150.0))
FILE = """
[[tasks]]
data = "me/logs-v0"
environment = "me.package:Env-v0"
reference = [-1212, -150]

[[tasks]]
data = "you/logs-v1"
environment = "Pendulum-v1"
reference = [0, 1.5]
"""


def facts(**changes):
    """What provenance holds of a cell on ``LOGS``, of which some is changed."""
    parts = {
        "data": "me/logs-v0",
        "environment": "me.package:Env-v0",
        "reference": [-1212.0, -150.0],
        "source": tasks.OWN,
    } | changes
    return {
        "task": {"name": "me-logs", "reference_returns": parts["reference"]},
        "settings": {"source": parts["source"]},
        "dataset": {"dataset_id": parts["data"]},
        "environment": parts["environment"],
    }


def test_a_file_has_a_table_for_each_task(tmp_path):
    path = tmp_path / "rows.toml"
    path.write_text(FILE)
    assert tasks.read_tasks_file(path) == [
        LOGS,
        tasks.own_task("you/logs-v1", "Pendulum-v1", (0.0, 1.5)),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tasks = [", "is no TOML file: "),
        ("", "expected tables [[tasks]] and nothing else"),
        ("tasks = 3", "expected tables [[tasks]] and nothing else"),
        (FILE + "[more]", "expected tables [[tasks]] and nothing else"),
        ("tasks = [3]", "row 1: expected the keys data, environment, reference"),
        (FILE.replace("reference = [0,", "references = [0,"), "row 2: expected the keys data, "),
        (FILE.replace('"Pendulum-v1"', "1"), "row 2: environment is 1, expected a name"),
        (FILE.replace('"me/logs-v0"', '""'), "row 1: data is '', expected a name"),
        (FILE.replace("[0, 1.5]", "[0]"), "row 2: reference is [0], expected two returns"),
        (FILE.replace("[0, 1.5]", "[2, 1]"), "the second, a good return, must be above it"),
        (FILE.replace("[0, 1.5]", '["a", 1]'), "reference returns ('a', 1): the first is what"),
        (FILE.replace("you/logs-v1", "me/logs-v1"), "two tasks are called me-logs"),
    ],
)
def test_a_file_that_is_no_list_of_tasks_is_refused(tmp_path, text, reason):
    path = tmp_path / "rows.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        tasks.read_tasks_file(path)
    assert reason in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*rows\.toml: No such file"):
        tasks.read_tasks_file(tmp_path / "rows.toml")
    (tmp_path / "rows.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is no TOML file"):
        tasks.read_tasks_file(tmp_path / "rows.toml")


def test_a_task_is_known_once_it_is_registered():
    with pytest.raises(InputError, match="unknown task 'me-logs'"):
        tasks.get_task("me-logs")
    assert tasks.OWN not in tasks.FAMILIES
    tasks.register(LOGS)
    assert tasks.get_task("me-logs") is LOGS
    assert list(tasks.FAMILIES)[-1] == tasks.OWN
    better = dataclasses.replace(LOGS, reference_returns=(0.0, 1.0))
    tasks.register(better)
    assert tasks.get_task("me-logs") is better


def test_a_name_that_another_family_has_is_refused():
    with pytest.raises(InputError, match="there is a task hopper-medium; give the data another"):
        tasks.register(tasks.own_task("hopper-medium-v0", "Hopper-v4"))


def test_a_task_that_was_run_before_is_recalled():
    known = dict(tasks.TASKS)
    tasks.recall(facts(source="d4rl"))
    tasks.recall(facts(data=None))  # as a cell of an older version
    assert known == tasks.TASKS
    tasks.recall(facts())
    assert tasks.get_task("me-logs") == LOGS


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "logs"},
        {"data": 3},
        {"environment": 3},
        {"reference": 1.0},
        {"reference": [1.0, "x"]},
        {"data": "hopper-medium-v0"},
    ],
)
def test_facts_that_are_no_row_are_refused(changes):
    with pytest.raises(InputError):
        tasks.recall(facts(**changes))


def test_every_source_says_what_it_has_data_for():
    found = {name: set(source.tasks) for name, source in SOURCES.items()}
    post = {name for name, task in tasks.TASKS.items() if task.in_post}
    assert found["d4rl"] == found["d4rl-qlearning"] == post
    assert found["minari"] == found["minari-goal"] == {n for n in post if "replay" not in n}
    assert found["regenerated"] == set(tasks.TASKS)
    assert found["own"] == set()


def test_own_data_are_what_the_source_own_has():
    tasks.register(LOGS)
    assert resolve("me-logs", None) == (LOGS, "own")
    assert SOURCES["own"].tasks == ("me-logs",)
    assert "me-logs" not in SOURCES["regenerated"].tasks


# What a list of tasks, a list of sources and a table are made with.
LIGHT = ["envs.tasks", "envs.sources.registry", *sorted(
    f"bench.report.{path.stem}" for path in (ROOT / "bench/report").glob("[a-z]*.py")
)]  # fmt: skip


def test_lists_and_tables_need_no_simulator():
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(name)\n"
        "print({'mujoco', 'gymnasium', 'minari'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
