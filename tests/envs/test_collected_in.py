"""The environment that data say they were collected in, beside the one that scores."""

import dataclasses
import json
import shutil

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from gymnasium.wrappers import (
    ClipAction,
    FlattenObservation,
    FrameStackObservation,
    OrderEnforcing,
    RecordEpisodeStatistics,
    RescaleAction,
    TimeLimit,
)

from envs.sources import minari as minaris
from envs.sources import own
from envs.sources.collected_in import Scorer, differences
from envs.sources.stored import Spaces
from tests.envs import test_minari
from tests.helpers import dial

pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting")  # of gymnasium


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    (tmp_path / "minari").mkdir()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    dial.register(monkeypatch)


class Silent(gymnasium.Wrapper):
    """A wrapper of a user's own, which says nothing of its arguments."""


def make(**kwargs):
    return gymnasium.make("Dial-v0", **kwargs)


def doubts(environment=None, **spaces):
    dial.save(environment=environment, **spaces)
    return own.provenance(dial.row(), 1.0)["doubts"]


@pytest.mark.parametrize(
    "environment",
    [
        make,
        lambda: RecordEpisodeStatistics(make()),
        lambda: OrderEnforcing(make()),
        lambda: minari.DataCollector(make()),
        lambda: FlattenObservation(make()),
        lambda: TimeLimit(make(max_episode_steps=dial.STEPS + 1), dial.STEPS),
        lambda: make(render_mode="rgb_array", width=64),
        lambda: make(gain=1.0),  # the default
        lambda: make(disable_env_checker=True),
    ],
)
def test_what_changes_nothing_is_not_doubted(environment, recwarn):
    assert doubts(environment()) == []


@pytest.mark.parametrize(
    ("environment", "doubt"),
    [
        (lambda: make(gain=0.5), "argument gain 0.5 there, 1.0 here"),
        (lambda: make(other=[1, 2]), "argument other [1, 2] there, none here"),
        (lambda: make(max_episode_steps=9), f"time limit 9 there, {dial.STEPS} here"),
        (lambda: TimeLimit(make(), 3), f"time limit 3 there, {dial.STEPS} here"),
        (
            lambda: RescaleAction(make(), -1.0, 1.0),
            "wrappers RescaleAction(min_action=-1.0, max_action=1.0) there, none here",
        ),
        (lambda: ClipAction(make()), "wrappers ClipAction() there, none here"),
        (
            lambda: FrameStackObservation(make(), 2),
            "observations of shape (2, 2) there, (2,) here",
        ),
        (lambda: Silent(make()), "wrappers Silent() there, none here"),
    ],
)
def test_what_can_move_a_score_is_doubted(environment, doubt):
    start = "me/dial-v0 was collected in another Dial-v0 than it is scored in: "
    assert start + doubt in doubts(environment())


def test_our_own_wrappers_and_arguments_count_as_well(monkeypatch):
    dial.save(environment=make())
    known = gymnasium.envs.registration.registry
    spec = RescaleAction(make(gain=3.0), -1.0, 1.0).spec
    known["Dial-v0"] = spec
    found = own.provenance(dial.row(), 1.0)["doubts"]
    assert [line.partition(": ")[2] for line in found] == [
        "wrappers none there, RescaleAction(min_action=-1.0, max_action=1.0) here",
        "argument gain 1.0 there, 3.0 here",
        "actions -2 to 2 of shape (1,) there, -1 to 1 of shape (1,) here",
    ]


def test_episodes_longer_than_the_time_limit_are_doubted_where_no_environment_is_named():
    dial.save(arrays=dial.episodes((dial.STEPS, dial.STEPS + 3)))
    [found] = own.provenance(dial.row(), 1.0)["doubts"]
    says = f"episodes of {dial.STEPS + 1.5} steps there, time limit {dial.STEPS} here"
    assert found.endswith(says)


def test_what_scores_is_kept_beside_the_id(monkeypatch):
    dial.save()
    assert own.provenance(dial.row(), 1.0)["scored_in"] == {
        "class": "Dial",
        "arguments": {"gain": 1.0, "observation_space": None, "action_space": None},
        "wrappers": [],
        "time_limit": dial.STEPS,
    }
    wrapped = TimeLimit(RescaleAction(make(gain=3.0, width=64), -1.0, 1.0), 3)
    gymnasium.envs.registration.registry["Dial-v0"] = wrapped.spec
    found = own.provenance(dial.row(), 1.0)["scored_in"]
    assert (found["arguments"]["gain"], found["time_limit"]) == (3.0, 3)
    assert "width" not in found["arguments"]
    assert [wrapper["name"] for wrapper in found["wrappers"]] == ["RescaleAction"]


def test_another_class_under_the_same_id_is_doubted(monkeypatch):
    dial.save(environment=make())
    folder_spec = {"id": "Dial-v0", "max_episode_steps": dial.STEPS, "kwargs": {}}
    for entry, count in (
        ("__main__:Dial", 0),
        ("tests.helpers.moved:Dial", 0),
        ("other:Dial", 1),
        ("tests.helpers.dial:Clock", 1),
    ):
        path = own.dataset_folder("me/dial-v0") / "data"
        dial.edit(path, env_spec=json.dumps(folder_spec | {"entry_point": entry}))
        assert len(own.provenance(dial.row(), 1.0)["doubts"]) == count, entry


HALF = Box(-1.0, 1.0, (1,), np.float32)


@pytest.mark.parametrize(
    ("spaces", "doubt"),
    [
        ({"action_space": HALF}, "actions -1 to 1 of shape (1,) there, -2 to 2 of shape (1,) here"),
        ({"action_space": Box(-2, 2, (1,), np.int64)}, "actions of type int64 there, float32 here"),
        ({"observation_space": Box(-9.0, 10.0, (2,))}, "observations -9 to 10 of shape (2,) there"),
        ({"observation_space": Box(-np.inf, np.inf, (2,))}, "observations -inf to inf of shape"),
    ],
)
def test_other_spaces_are_doubted_where_no_environment_is_named(spaces, doubt):
    [found] = doubts(**spaces)
    assert found.startswith("me/dial-v0 does not fit Dial-v0, in which it is scored: ")
    assert doubt in found


@pytest.mark.parametrize(
    "spaces",
    [
        {"action_space": Box(-2.0, 2.0, (1,), np.float64)},
        {"action_space": Box(-2.0, 2.0, (1,), np.float16)},
        {"observation_space": Box(-10.0, 10.0, (2,), np.float64)},
    ],
)
def test_precision_alone_is_not_doubted(spaces):
    assert doubts(**spaces) == []


TOP = {kind: float(np.finfo(kind).max) for kind in (np.float32, np.float64)}


@pytest.mark.parametrize(
    ("there", "here", "same"),
    [
        (Box(-TOP[np.float32], TOP[np.float32], (2,)), Box(-np.inf, np.inf, (2,)), True),
        (Box(0.1, 0.7, (1,), np.float64), Box(0.1, 0.7, (1,), np.float16), True),
        (Box(0, 9, (2,), np.int32), Box(0, 9, (2,), np.int64), True),
        (Box(0, 9, (2,), np.int32), Box(0, 9, (2,), np.float32), False),
        (Box(0, 1, (2,), np.int8), Box(0, 1, (2,), bool), False),
        (Box(0, 1, (3, 64, 64)), Box(0, 1, (64, 64, 3)), False),
        (Box(0, 1, (4,)), Box(0, 1, (2, 2)), False),
        (Discrete(3), Discrete(3), True),
        (Discrete(3), Discrete(4), False),
        (Discrete(3), Discrete(3, start=1), False),
        (Discrete(3), Box(0, 2, (), np.int64), False),
        (MultiDiscrete([2, 3]), MultiDiscrete([3, 2]), False),
        (Dict(a=HALF, b=HALF), Dict(b=HALF, a=HALF), True),
        (Dict(a=HALF), Dict(b=HALF), False),
        (Dict(a=HALF), Dict(a=Discrete(2)), False),
        (Dict(a=HALF), HALF, False),
        (Tuple([HALF, HALF]), Tuple([HALF]), False),
        (Tuple([HALF]), Tuple([HALF]), True),
    ],
)
def test_spaces_are_the_same_where_every_number_means_the_same(there, here, same):
    for observations, actions in (((there, HALF), (here, HALF)), ((HALF, there), (HALF, here))):
        found = Spaces(*observations, ("observation_space", "action_space"))
        scorer = Scorer({}, {}, *actions)
        assert (differences({}, found, scorer) == []) == same


def test_minaris_own_data_are_looked_at_as_well():
    spec = gymnasium.spec("Hopper-v5")
    for changes, doubt in (
        ({"max_episode_steps": 500}, "time limit 500 there, 1000 here"),
        ({"kwargs": {"frame_skip": 8}}, "argument frame_skip 8 there, 4 here"),
        ({"kwargs": {"render_mode": "rgb_array", "frame_skip": 4}}, None),
    ):
        shutil.rmtree(minaris.dataset_folder("mujoco"), ignore_errors=True)
        shutil.rmtree(minaris.dataset_folder("D4RL"), ignore_errors=True)
        plain = dataclasses.replace(spec)
        for name, value in changes.items():
            setattr(plain, name, value)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gymnasium, "spec", lambda name, plain=plain: plain)
            test_minari.write_hopper()
        found = minaris.provenance(test_minari.HOPPER, 1.0)["doubts"]
        assert [line.partition(": ")[2] for line in found] == ([doubt] if doubt else [])
    test_minari.write_maze()
    assert minaris.provenance(test_minari.MAZE, 1.0)["doubts"] == []
