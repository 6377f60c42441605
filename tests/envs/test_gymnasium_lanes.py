"""The border to environments that are not ours, and numbers on their way to and from them."""

import os
import pickle
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from envs import tasks
from envs.environment import World
from envs.errors import EnvironmentFault, InputError
from envs.sources import own
from envs.worlds.actions import ActionRange
from envs.worlds.gymnasium_lanes import GymnasiumLanes
from tests.helpers import dial

pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting")  # of gymnasium
LIMITS = (0.0, 1.0)


class Odd(dial.Dial):
    """Dial with one thing about it replaced, from step 2 on."""

    def __init__(self, **odd):
        super().__init__()
        self.odd = odd

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        if self.t < 2:
            return observation, reward, terminated, truncated, info
        found = {"observation": observation, "reward": reward, "terminated": terminated}
        found |= {"truncated": truncated, "info": info} | self.odd
        return tuple(found.values())


class Raises(dial.Dial):
    def __init__(self, where, what):
        self.where, self.what = where, what
        self.raises("__init__")
        super().__init__()

    def raises(self, name):
        if name == self.where:
            raise self.what

    def reset(self, **options):
        self.raises("reset")
        return super().reset(**options)

    def step(self, action):
        self.raises("step")
        return super().step(action)


class Needs(dial.Dial):
    def __init__(self, gain):
        super().__init__(gain)


class NoSeed(dial.Dial):
    def reset(self):
        return super().reset()


class OldReset(dial.Dial):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OldStep(dial.Dial):
    def step(self, action):
        return super().step(action)[:4]


class NoSpaces(gymnasium.Env):
    pass


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    dial.register(monkeypatch)


def lanes(kind, count=2):
    gymnasium.register("Odd-v0", kind, max_episode_steps=dial.STEPS)
    return GymnasiumLanes("Odd-v0", count, LIMITS)


def play(kind, steps=3):
    played = lanes(kind)
    played.reset(np.array([0, 1]))
    for _ in range(steps):
        found = played.step(np.zeros((2, 1)), np.array([False, True]))
    return found


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Needs, "TypeError: .*missing 1 required positional argument: 'gain'"),
        (lambda: Raises("__init__", FileNotFoundError(2, "No such file", "a.xml")), "a.xml"),
        (lambda: Raises("__init__", SystemExit("no licence")), "SystemExit: no licence"),
        (lambda: Raises("__init__", RecursionError()), "RecursionError"),
        (lambda: Raises("__init__", RuntimeError("two\nlines")), "RuntimeError: two lines"),
        (lambda: object(), "."),
        (NoSpaces, "observation_space"),
        ("no_such_module:Odd", "no_such_module"),
    ],
)
def test_an_environment_that_cannot_be_made_is_one_line(kind, reason):
    with pytest.raises(EnvironmentFault, match=f"environment Odd-v0.*: .*{reason}") as caught:
        lanes(kind)
    assert "\n" not in str(caught.value)
    assert caught.value.lane is caught.value.step is None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (NoSeed, "unexpected keyword argument 'seed'"),
        (OldReset, r"reset does not return \(observation, info\)"),
        (lambda: Raises("reset", OSError(28, "No space left")), "No space left"),
    ],
)
def test_a_reset_that_fails_names_the_lane(kind, reason):
    with pytest.raises(EnvironmentFault, match=f"environment Odd-v0, reset: .*{reason}") as caught:
        play(kind)
    assert (caught.value.lane, caught.value.step) == (0, 0)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"reward": np.nan}, "the reward is nan"),
        ({"reward": np.array([-np.inf])}, "the reward is -inf"),
        ({"reward": None}, "the reward is no number but None"),
        ({"reward": np.zeros(2)}, "the reward is no number but array"),
        ({"reward": "1"}, "the reward is no number but '1'"),
        ({"observation": np.array([0.0, np.nan])}, "the observation is not finite"),
        ({"observation": np.zeros(1)}, r"observation has shape \(1,\), its space says \(2,\)"),
        ({"observation": np.zeros((2, 2))}, r"observation has shape \(2, 2\), its space says"),
        ({"observation": None}, "observation is object"),
        ({"observation": {"x": 1}}, "observation is object"),
        ({"terminated": None}, "terminated is no number but None"),
        ({"truncated": 2}, "truncated is 2, not true or false"),
    ],
)
def test_a_step_that_no_environment_may_take_names_lane_and_step(odd, reason):
    match = f"environment Odd-v0, step 2 of an episode: {reason}"
    with pytest.raises(EnvironmentFault, match=match) as caught:
        play(lambda: Odd(**odd))
    assert (caught.value.lane, caught.value.step) == (1, 2)
    again = pickle.loads(pickle.dumps(caught.value))  # on its way from another process
    assert (str(again), again.lane, again.step) == (str(caught.value), 1, 2)


def test_an_old_or_raising_step_is_one_line():
    for kind, reason in (
        (OldStep, r"not enough values to unpack \(expected 5, got 4\)"),
        (lambda: Raises("step", ZeroDivisionError("by zero")), "ZeroDivisionError: by zero"),
        (lambda: Raises("step", SystemExit()), "SystemExit"),
    ):
        with pytest.raises(EnvironmentFault, match=f"step 1 of an episode: {reason}"):
            play(kind)
        del gymnasium.envs.registration.registry["Odd-v0"]


def test_a_user_who_stops_is_not_an_environments_fault():
    with pytest.raises(KeyboardInterrupt):
        play(lambda: Raises("step", KeyboardInterrupt()))


def test_numbers_in_other_clothes_are_taken():
    plain = play(dial.Dial)
    for odd in (
        {"reward": np.array([0.25], np.float32)},
        {"reward": np.float64(0.25), "terminated": np.array([False]), "truncated": 0},
        {"reward": 1, "terminated": np.bool_(False)},
    ):
        del gymnasium.envs.registration.registry["Odd-v0"]
        observations, rewards, ends = play(lambda odd=odd: Odd(**odd))
        np.testing.assert_array_equal(observations, plain[0])
        assert rewards.tolist() == [0.0, float(np.asarray(odd["reward"]).item())]
        assert not ends.any()


def test_environments_are_closed_whatever_happens(monkeypatch):
    closed = []

    class Closes(dial.Dial):
        made = 0

        def __init__(self):
            super().__init__()
            type(self).made += 1
            if type(self).made == 3:
                raise OSError("no more")

        def close(self):
            closed.append(self)
            raise RuntimeError("twice")

    with pytest.raises(EnvironmentFault, match="no more"):
        lanes(Closes, count=3)
    assert len(closed) == 2
    made = GymnasiumLanes("Odd-v0", 2, LIMITS)
    made.close()
    made.close()
    assert len(closed) == 4
    world = World("Odd-v0", lambda count, threads: GymnasiumLanes("Odd-v0", count, LIMITS))
    assert world.spec.action_dim == 1
    assert len(closed) == 5
    dial.save()
    monkeypatch.setattr(Closes, "made", 10)
    own.read(dial.row(environment="Odd-v0"), 1.0)
    assert len(closed) == Closes.made - 10 + 5


@pytest.mark.parametrize(
    "space",
    [
        Box(0, 255, (64, 48, 3), np.uint8),
        Box(0.0, 1.0, (4, 84, 84)),
        Box(0.0, 1.0, (40, 50)),
        Box(0, 255, (84, 84), np.uint8),
        Box(0, 255, (84 * 84,), np.uint8),
        Box(-1.0, 1.0, (2, 2, 2)),
    ],
)
@pytest.mark.parametrize("place", [lambda s: s, lambda s: Dict(a=s), lambda s: Tuple([s])])
def test_images_are_refused_by_their_shape(space, place):
    with pytest.raises(InputError, match="Odd-v0: observations hold an image of shape") as caught:
        lanes(lambda: dial.Dial(observation_space=place(space)))
    assert str(space.shape) in str(caught.value)


@pytest.mark.parametrize(
    "space", [Box(-1.0, 1.0, (2000,)), Box(0, 255, (128,), np.uint8), Box(-1.0, 1.0, (5, 400))]
)
def test_many_numbers_are_no_image(space):
    size = lanes(lambda: dial.Dial(observation_space=space)).spec.observation_dim
    assert size == np.prod(space.shape)


@pytest.mark.parametrize("top", [float(np.finfo(np.float32).max), 1e16])
def test_bounds_that_stand_for_none_are_refused(top):
    space = Box(np.float32([-1.0, -top]), np.float32([1.0, top]))
    with pytest.raises(InputError, match="those of column 1 are -"):
        lanes(lambda: dial.Dial(action_space=space))


def test_no_range_makes_different_actions_one():
    for top in (1.0, 1e6, 1e30, float(np.finfo(np.float32).max)):
        taken = np.linspace(-1.0, 1.0, 5, dtype=np.float32)[:, None]
        space = ActionRange(Box(-top, top, (1,), np.float32))
        np.testing.assert_allclose(space.unscale(taken)[:, 0] * top, taken[:, 0], rtol=1e-6)


@pytest.mark.parametrize("limits", [(0, 10), (-7, 23), (0, 255), (-3, 1000)])
def test_whole_numbers_come_back_as_they_were(limits):
    space = Box(*limits, (1,), np.int64)
    taken = np.arange(limits[0], limits[1] + 1)[:, None]
    scale = ActionRange(space)
    np.testing.assert_array_equal(scale.scale(scale.unscale(taken).astype(np.float32)), taken)
    assert scale.scale(np.float32([[0.999]])).item() >= limits[1] - 1


@pytest.mark.parametrize("top", [1e5, 1e8])
def test_actions_that_use_next_to_nothing_of_the_range_are_refused(top):
    dial.save()
    gymnasium.register(
        "Odd-v0",
        lambda: dial.Dial(action_space=Box(-top, top, (1,), np.float32)),
        max_episode_steps=dial.STEPS,
    )
    with pytest.raises(InputError, match=r"me/dial-v0: actions column 0 lie between -1\.\d+ and 1"):
        own.read(dial.row(environment="Odd-v0"), 1.0)


def test_an_action_that_rests_is_no_fault():
    arrays = dial.episodes()
    for episode in arrays:
        rest = 0.3 + 1e-8 * np.arange(dial.STEPS)
        episode["actions"] = np.stack([episode["actions"][:, 0], rest], 1).astype(np.float32)
    gymnasium.register(
        "Odd-v0",
        lambda: dial.Dial(action_space=Box(-2.0, 2.0, (2,), np.float32)),
        max_episode_steps=dial.STEPS,
    )
    dial.save(arrays=arrays, action_space=Box(-2.0, 2.0, (2,), np.float32))
    assert own.read(dial.row(environment="Odd-v0"), 1.0)[0].num_rows == 3 * dial.STEPS


@pytest.mark.parametrize(
    ("space", "values", "reason"),
    [
        (Dict(a=Discrete(3)), {"a": np.array([0, 3])}, "observations/a is outside of Discrete"),
        (Dict(a=Discrete(3)), {"a": np.array([0, -1])}, "observations/a is outside of Discrete"),
        (Dict(a=Discrete(3)), {"a": np.array([0.0, 0.5])}, "observations/a is not of int64"),
        (MultiDiscrete([2, 3]), np.array([[0, 2], [2, 0]]), "observations is outside of Multi"),
        (Dict(a=Box(0, 255, (1,), np.uint8)), {"a": np.array([[1], [300]])}, "is not of uint8"),
        (Dict(a=Discrete(3)), {"b": np.array([0, 1])}, "does not have the parts a"),
        (Tuple([Discrete(3)]), {"b": np.array([0, 1])}, "does not have 1 parts"),
        (Dict(a=Box(0, 1, (2,))), {"a": np.zeros((2, 1))}, r"has shape \(1,\), its space says"),
        (Discrete(3), {"a": np.zeros(2)}, "observations is object"),
    ],
)
def test_observations_of_another_space_are_not_bent_to_it(space, values, reason):
    made = lanes(lambda: dial.Dial(observation_space=space))
    with pytest.raises(ValueError, match=reason):
        made.flatten(values)


@pytest.mark.parametrize(
    "returns", [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (0.0, np.inf), (None, 1.0), ("0", "1")]
)
def test_reference_returns_that_are_swapped_or_equal_are_refused(returns):
    with pytest.raises(InputError, match="the row of me/x-v0 has reference returns"):
        tasks.own_task("me/x-v0", "Dial-v0", returns)


class Wanders(dial.Dial):
    """Changes the process's folder, as some simulators do, and counts on being there."""

    def __init__(self, folder, seen):
        super().__init__()
        self.folder, self.seen = folder, seen
        os.chdir(folder)

    def step(self, action):
        self.seen.append(os.getcwd())
        return super().step(action)

    def close(self):
        self.seen.append(os.getcwd())
        sys.exit(5)


def test_an_environment_that_changes_the_folder_or_exits_in_close_does_so_for_itself_alone(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder, seen = tmp_path / "elsewhere", []
    folder.mkdir()
    played = lanes(lambda: Wanders(folder, seen), count=1)
    assert os.getcwd() == str(tmp_path)
    played.reset(np.array([0]))
    played.step(np.zeros((1, 1)), np.array([True]))
    played.close()
    assert os.getcwd() == str(tmp_path)
    assert seen == [str(folder)] * 2
