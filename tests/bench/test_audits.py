"""What audits say about scores, from audits that are a few numbers each."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import cli, store
from bench.report import audits, claims, page
from envs import files
from envs.errors import InputError
from envs.facts import _histogram, _quantiles
from envs.tasks import TASKS, own_task
from tests.helpers.score_files import sound, write_scores

ROOT = Path(__file__).resolve().parents[2]
TASK = own_task("me/logs-v0", "Pendulum-v1", (-100.0, 0.0))


def audit(rewards=(0.0, 1.0), terminations=0, returns=(-60.0, -40.0), **baselines):
    """The least of an audit; ``baselines`` are returns, of which own data have all or none."""
    found = {
        "rewards": _histogram(np.array(rewards)),
        "returns": _quantiles(np.array(returns)),
        "terminations": terminations,
    }
    usual = dict(zip(audits.BASELINES, (-50.0, -20.0, -90.0, -95.0, -99.0), strict=True))
    kept = {name: {"return": value, "episodes": 20} for name, value in (usual | baselines).items()}
    return found | ({"baselines": kept} if baselines else {})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"rewards": (0.0, 0.0)}, True),
        ({"rewards": (-1.0, -1.0)}, True),
        ({"rewards": (0.0, 1e-6)}, False),
        ({"rewards": (-0.5, 0.5)}, False),
        # Paid for each step until a fall: how long to go on is a choice.
        ({"rewards": (1.0, 1.0), "terminations": 2}, False),
        ({"rewards": (1.0, 1.0), "terminations": 2, "returns": (5.0, 5.0)}, True),
        ({"rewards": (0.0, 0.0), "terminations": 2, "returns": (0.0, 0.0)}, True),
    ],
)
def test_rewards_tell_nothing_where_no_choice_earns_more(facts, expected):
    assert audits.rewards_tell_nothing(audit(**facts)) is expected
    lines = audits.remarks(audit(**facts), TASK)
    assert any("Offline RL does not apply" in line for line in lines) is expected


def test_the_constant_reward_is_named():
    assert audits.constant_reward(audit(rewards=(-7.25, -7.25))) == -7.25
    assert audits.constant_reward(audit(rewards=(-7.25, -7.5))) is None
    assert audits.remarks(audit(rewards=(2.5, 2.5)), TASK)[0].startswith(
        "me-logs: every reward of the data is 2.5, so that"
    )


@pytest.mark.parametrize("name", audits.PLAYED)
def test_a_policy_that_looks_at_nothing_and_scores_high_is_named(name):
    assert audits.remarks(audit(**{name: -50.0}), TASK) == []
    (line,) = audits.remarks(audit(**{name: -49.9}), TASK)
    assert f"({audits.BASELINES[name]}) scores 50.1 on this scale" in line
    assert "rl-or-bc audit me-logs proposes references" in line


def test_the_logs_themselves_may_score_high():
    assert audits.remarks(audit(logs=-5.0, best_tenth=-1.0), TASK) == []


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ((-10.0, -10.0), True),
        ((-10.2, -10.0), False),  # below 90 on average
        ((-12.0, -2.0), True),
        ((-9.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0, 50.0, 50.0), False),  # some far better
    ],
)
def test_near_expert_data_are_those_near_100_with_little_to_pick(returns, expected):
    found = audit(returns=returns)
    assert audits.is_near_expert(found, TASK) is expected
    lines = audits.remarks(found, TASK)
    assert any("Imitation is expected to do as well" in line for line in lines) is expected


def test_data_of_a_maze_lead_elsewhere_and_are_never_near_expert():
    found = audit(returns=(1.0, 1.0))
    assert not audits.is_near_expert(found, TASKS["antmaze-umaze"])
    assert audits.is_near_expert(audit(returns=(4500.0, 4600.0)), TASKS["walker2d-medium"])


def test_pages_and_tables_of_every_source_say_that_data_are_near_expert(tmp_path, capsys):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,))
    facts = store.read_provenance(folder / "provenance.json")["hopper-medium/bc"]
    expert = {store.data_name(facts): audit(returns=(3200.0, 3300.0))}
    files.write_json(folder / "audit.json", expert)
    assert cli.main(["table", "--results", str(tmp_path)]) == 0
    for text in (
        capsys.readouterr().out,
        (folder / "table1.md").read_text(),
        page.build(folder)[page.PAGE],
        claims.render(tmp_path),
    ):
        assert "hopper-medium: the data are near-expert, for their episodes score 100.5" in text


def test_no_committed_data_are_remarked_upon():
    folders = [path.parent for path in (ROOT / "results").glob("*/*/audit.json")]
    assert folders
    for folder in folders:
        read = audits.read(store.read(folder))
        assert len(read) == 21
        assert audits.all_remarks(read) == []
        assert audits.rows(read).empty


def test_references_are_random_actions_and_the_best_tenth():
    found = audits.propose(audit(random=-99.0, best_tenth=-20.0), TASK)
    assert found[:2] == (-99.0, -20.0)
    assert found.command == (
        "rl-or-bc grid --data me/logs-v0 --environment Pendulum-v1 --reference -99.0 -20.0"
    )
    assert "score 0 is what random actions got (20 episodes played)" in found.reason
    assert audits.propose(audit(random=-123.456, best_tenth=1.23456), TASK)[:2] == (-123.5, 1.235)
    low = dict.fromkeys(audits.PLAYED, -1000.02)
    close = audits.propose(audit(**low, best_tenth=-1000.01), TASK)
    assert close[:2] == (-1000.02, -1000.01)  # rounded they would be one


def test_a_blind_policy_beyond_half_of_the_way_is_proposed_as_0():
    assert audits.propose(audit(no_action=-59.5), TASK)[:2] == (-99.0, -20.0)
    found = audits.propose(audit(no_action=-59.4), TASK)
    assert found[:2] == (-59.4, -20.0)
    assert "score 0 is what no action got" in found.reason


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"mean_action": -20.0}, "mean action, which looks at nothing, -20"),
        ({"rewards": (0.0, 0.0), "logs": 0.0}, "the rewards of the logs never vary"),
    ],
)
def test_there_may_be_nothing_to_propose(facts, reason):
    found = audits.propose(audit(**facts), TASK)
    assert isinstance(found, str)
    assert reason in found


@pytest.fixture
def folder(tmp_path):
    """A folder of scores with the audit of their data."""
    facts = sound("hopper-medium/bc", environment="Hopper-v4")
    store.write_rows(tmp_path / "scores.csv", pd.DataFrame(columns=list(store.SCORE_COLUMNS)))
    store.write_provenance(tmp_path / "provenance.json", {"hopper-medium/bc": facts})
    files.write_json(tmp_path / "audit.json", {store.data_name(facts): audit(logs=1.0)})
    return tmp_path


def test_an_audit_is_that_of_the_data_that_the_cells_have(folder):
    (found,) = audits.read(store.read(folder))
    assert (found.task.name, found.hash) == ("hopper-medium", "d")
    other = {"hopper-medium 01234567 Hopper-v4": audit()}
    files.write_json(folder / "audit.json", other)
    assert audits.read(store.read(folder)) == []
    (folder / "audit.json").unlink()
    assert audits.read(store.read(folder)) == []


@pytest.mark.parametrize(
    "path",
    [
        ("rewards",),
        ("rewards", "edges"),
        ("rewards", "counts"),
        ("terminations",),
        ("returns", "mean"),
        ("returns", "90%"),
        ("returns", "100%"),
        ("baselines",),
        ("baselines", "random"),
        ("baselines", "logs", "return"),
        ("baselines", "logs", "episodes"),
    ],
)
@pytest.mark.parametrize("value", [None, "x", [], {}, float("nan"), 10**400])
def test_a_damaged_audit_is_one_line(folder, path, value):
    known = json.loads((folder / "audit.json").read_text())
    inner = next(iter(known.values()))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    files.write_json(folder / "audit.json", known)
    with pytest.raises(InputError, match=r"audit\.json has no sound audit of hopper-medium d"):
        audits.read(store.read(folder))


def test_a_file_that_is_no_file_of_audits_is_one_line(folder):
    for text in ("[]", "{", "3"):
        (folder / "audit.json").write_text(text)
        with pytest.raises(InputError, match=r"audit\.json"):
            audits.read(store.read(folder))
