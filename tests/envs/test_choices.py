"""Tasks whose actions are choices: from a Minari dataset to lanes, audits and baselines."""

import dataclasses
import warnings

import gymnasium
import minari
import numpy as np
import pandas as pd
import pytest
from minari.data_collector import EpisodeBuffer

from algos.registry import TABLE1
from bench import cli
from bench.run import baselines
from envs import tasks
from envs.dataset import Dataset, check
from envs.environment import EnvSpec
from envs.errors import InputError
from envs.sources import registry
from envs.spaces import Box, Discrete
from envs.worlds.actions import ActionChoices, actions_of
from envs.worlds.gymnasium_lanes import GymnasiumLanes

TASK = tasks.own_task("me/cartpole-v0", "CartPole-v1", (20.0, 500.0))


class Counts(gymnasium.Env):
    """Counts its choices from -1, as it is given them."""

    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3, start=-1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return np.full(1, action, np.float32), float(action), False, False, {}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    known = dict(gymnasium.registry)
    monkeypatch.setattr(gymnasium.envs.registration, "registry", known)
    gymnasium.register("Counts-v0", Counts, max_episode_steps=4)


def play(num_episodes=3):
    """Episodes of CartPole by random choices: buffers, as they are stored."""
    environment, generator = gymnasium.make("CartPole-v1"), np.random.default_rng(0)
    buffers = []
    for k in range(num_episodes):
        shown, chosen, paid, ended = [environment.reset(seed=k)[0]], [], [], False
        while not ended:
            chosen.append(int(generator.integers(2)))
            observation, reward, ended, _, _ = environment.step(chosen[-1])
            shown.append(observation)
            paid.append(reward)
        ends = np.arange(len(paid)) == len(paid) - 1
        arrays = (np.array(shown), np.array(chosen), np.array(paid), ends, ends & False)
        buffers.append(EpisodeBuffer(k, None, None, *arrays))
    return buffers


def save(buffers, action_space=None):
    made = gymnasium.make("CartPole-v1")
    spaces = {
        "observation_space": made.observation_space,
        "action_space": action_space or made.action_space,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no code
        minari.create_dataset_from_buffers(TASK.data, buffers, env=None, **spaces)
    return buffers


def test_choices_are_read_as_they_were_made():
    buffers = save(play())
    dataset, facts = registry.load(TASK, "own", 1.0)
    assert TASK.spec.action == Discrete(2)
    assert TASK.spec.observation == Box((4,))
    assert (dataset.actions.dtype, dataset.observations.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(
        dataset.actions, np.concatenate([buffer.actions for buffer in buffers])
    )
    np.testing.assert_array_equal(
        dataset.final_observations, [buffer.observations[-1] for buffer in buffers]
    )
    assert dataset.terminations.sum() == 3
    assert facts["doubts"] == []


def test_lanes_are_stepped_by_choices_as_gymnasium_is():
    lanes = GymnasiumLanes("CartPole-v1", 2, (0.0, 1.0))
    environment = gymnasium.make("CartPole-v1")
    np.testing.assert_array_equal(
        lanes.reset(np.array([3, 4]))[1], environment.reset(seed=4)[0].astype(np.float64)
    )
    for choice in (1, 0, 1, 1):
        expected = environment.step(choice)
        seen, rewards, ends = lanes.step(np.array([0, choice], np.int32), np.ones(2, bool))
        np.testing.assert_array_equal(seen[1], expected[0].astype(np.float64))
        assert (rewards[1], ends[1]) == expected[1:3]
    lanes.close()


def test_choices_that_an_environment_counts_from_elsewhere_are_counted_from_0():
    lanes = GymnasiumLanes("Counts-v0", 3, (0.0, 1.0))
    lanes.reset(np.arange(3))
    _, rewards, _ = lanes.step(np.array([0, 1, 2]), np.ones(3, bool))
    assert rewards.tolist() == [-1.0, 0.0, 1.0]
    choices = lanes.actions
    assert choices.unscale(np.array([-1, 0, 1])).tolist() == [0, 1, 2]
    assert choices.unscale(np.array([[1], [-1]])).tolist() == [2, 0]
    lanes.close()


@pytest.mark.parametrize("number", [1, 100_001])
def test_choices_that_no_net_could_make_are_refused(number):
    with pytest.raises(InputError, match="actions must be 2 to 100,000 choices"):
        actions_of(gymnasium.spaces.Discrete(number))


def test_a_choice_that_there_is_not_is_refused_by_row():
    buffers = play()
    buffers[1].actions[2] = 2
    save(buffers, gymnasium.spaces.Discrete(3))
    row = len(buffers[0].rewards) + 2
    with pytest.raises(InputError, match=rf"actions row {row} is none of 2 choices"):
        registry.load(TASK, "own", 1.0)


def test_actions_that_are_no_whole_numbers_are_refused():
    buffers = play()
    for k, buffer in enumerate(buffers):
        arrays = (buffer.observations, buffer.actions[:, None].astype(np.float32), buffer.rewards)
        ends = (buffer.terminations, buffer.truncations)
        buffers[k] = EpisodeBuffer(k, None, None, *arrays, *ends)
    save(buffers, gymnasium.spaces.Box(0.0, 1.0, (1,)))
    with pytest.raises(InputError, match="type float32, expected whole numbers"):
        registry.load(TASK, "own", 1.0)


def test_a_dataset_of_images_keeps_their_type():
    images = np.zeros((8, 4, 4), np.uint8)
    ends = np.arange(7) == 6
    episode = (images, np.arange(7) % 3, np.zeros(7), ends, ends & False)
    spec = EnvSpec(observation=Box((4, 4), "uint8"), action=Discrete(3), max_episode_steps=10)
    pixels = Dataset.from_episodes([episode], spec)
    assert (pixels.observations.dtype, pixels.next_observations.dtype) == (np.uint8, np.uint8)
    assert pixels.actions.dtype == np.int32
    check(pixels, spec, "pixels")
    wide = dataclasses.replace(spec, observation=Box((4, 5), "uint8"))
    with pytest.raises(
        InputError, match=r"observations has shape \(7, 4, 4\), expected \(7, 4, 5\)"
    ):
        check(pixels, wide, "pixels")


def test_an_audit_counts_choices_and_plays_those_that_need_no_learning(capsys):
    buffers = save(play())
    chosen = np.concatenate([buffer.actions for buffer in buffers])
    found = baselines.audited(TASK, "own", 1.0, None, registry.load(TASK, "own", 1.0))
    assert found["actions"]["choices"] == np.bincount(chosen).tolist()
    assert found["replay"]["rows"] == 0
    returns = {name: found["baselines"][name]["return"] for name in found["baselines"]}
    # The pole falls soonest under one choice throughout.
    assert returns["no_action"] < 12.0 < returns["random"]
    assert returns["mean_action"] < 12.0
    assert cli.main(["audit", TASK.data, "--environment", "CartPole-v1"]) == 0
    assert "choices" in capsys.readouterr().out


def test_what_is_usual_is_the_most_frequent_choice():
    choices = ActionChoices(gymnasium.spaces.Discrete(4))
    assert choices.usual(np.array([3, 1, 3, 0])) == 3
    drawn = choices.draw(np.random.default_rng(0), 1000)
    assert set(drawn.tolist()) == {0, 1, 2, 3}


def test_one_command_makes_a_table_of_methods_that_take_choices(tmp_path, capsys):
    save(play(12))
    root = tmp_path / "results"
    own = ["--data", "me/cartpole-v0", "--environment", "CartPole-v1", "--reference", "20", "500"]
    arguments = ["grid", *own, "--profile", "smoke", "--results", str(root), "--workers", "1"]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr()
    assert "TD3+BC: left out, for the actions of me-cartpole are choices" in shown.err
    rows = pd.read_csv(root / "own" / "smoke" / "scores.csv")
    takers = {name for name, entry in TABLE1.items() if Discrete in entry.actions}
    assert set(rows["algorithm"]) == takers == set(TABLE1) - {"td3_bc"}
    assert rows["return"].between(1, 500).all()
    assert cli.main([*arguments, "--algorithms", "bc", "td3_bc"]) == 2
    said = "TD3+BC takes Box actions and those of me-cartpole are Discrete; leave one of them out"
    assert said in capsys.readouterr().err
