"""A small environment, and Minari datasets of it that are written as Minari writes them."""

import json
import warnings

import gymnasium
import minari
import numpy as np
from gymnasium.spaces import Box
from minari.data_collector import EpisodeBuffer

from envs import tasks
from envs.sources.regenerated import dataset_folder

STEPS = 6


class Dial(gymnasium.Env):
    """Shows a number and pays the less, the farther the action is from it."""

    def __init__(self, gain=1.0, observation_space=None, action_space=None, **kwargs):
        del kwargs
        self.gain = gain
        self.observation_space = observation_space or Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = action_space or Box(-2.0, 2.0, (1,), np.float32)

    def shown(self):
        return np.array([self.x, 0.5], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = float(self.np_random.uniform(-1, 1)), 0
        return self.shown(), {}

    def step(self, action):
        reward = 1.0 - abs(float(action[0]) - self.gain * self.x)
        self.x, self.t = float(self.np_random.uniform(-1, 1)), self.t + 1
        return self.shown(), reward, False, False, {}


def register(monkeypatch, **kinds):
    """A registry of this test alone, with ``Dial-v0`` and others, by name, of other classes."""
    known = {k: v for k, v in gymnasium.registry.items() if k != "Dial-v0"}
    monkeypatch.setattr(gymnasium.envs.registration, "registry", known)
    for name, kind in {"Dial": "tests.helpers.dial:Dial", **kinds}.items():
        gymnasium.register(f"{name}-v0", kind, max_episode_steps=STEPS)


def episodes(lengths=(STEPS, STEPS, STEPS)):
    """Arrays of episodes that time cut, in the order in which readers give them."""
    generator = np.random.default_rng(0)
    found = []
    for steps in lengths:
        last = np.arange(steps) == steps - 1
        found.append(
            {
                "observations": generator.uniform(-1, 1, (steps + 1, 2)).astype(np.float32),
                "actions": generator.uniform(-2, 2, (steps, 1)).astype(np.float32),
                "rewards": generator.uniform(0, 1, steps),
                "terminations": np.zeros(steps, bool),
                "truncations": last,
            }
        )
    return found


def save(dataset_id="me/dial-v0", arrays=None, environment=None, stored_as="hdf5", **spaces):
    """Write a dataset that names ``environment``, or none; returns its folder of files."""
    buffers = [EpisodeBuffer(id=k, **episode) for k, episode in enumerate(arrays or episodes())]
    plain = environment or gymnasium.make("Dial-v0")
    found = {
        "observation_space": plain.observation_space,
        "action_space": plain.action_space,
    } | spaces
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no code
        minari.create_dataset_from_buffers(
            dataset_id, buffers, env=environment, data_format=stored_as, **found
        )
    return dataset_folder(dataset_id) / "data"


def edit(folder, **changes):
    """Change entries of a dataset's metadata; None removes one."""
    path = folder / "metadata.json"
    facts = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in facts.items() if value is not None}))


def row(dataset_id="me/dial-v0", environment="Dial-v0"):
    """The row of a task on such data."""
    return tasks.own_task(dataset_id, environment, (0.0, float(STEPS)))
