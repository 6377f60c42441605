"""Small files with the keys, types and quirks of D4RL's v2 files, from our own simulator."""

import h5py
import numpy as np

from envs.sources.d4rl import path_of
from envs.tasks import get_task
from envs.worlds.antmaze import load_ant, reset_ant
from envs.worlds.simulate import Simulator


def locomotion(name="hopper-medium", num_rows=600, limit=40, seed=0):
    """The arrays of a locomotion file: random actions, episodes cut at ``limit`` steps.

    As D4RL's collect_data.py writes them: qpos and qvel are those of the row's observation, the
    last row of the file need not end an episode, and an episode's end is one of the two flags.
    """
    environment = get_task(name).make_environment(1, 1)
    generator = np.random.default_rng(seed)
    rows = {key: [] for key in LOCOMOTION_KEYS}
    observation, t = environment.reset(np.array([seed]))[0], 0
    for row in range(num_rows):
        action = generator.uniform(-1.0, 1.0, environment.spec.action_dim).astype(np.float32)
        qpos, qvel = environment._simulator.qpos[0].copy(), environment._simulator.qvel[0].copy()
        after, reward, fallen = environment.step(action[None], np.array([True]))
        t += 1
        values = (observation, action, after[0], reward[0], bool(fallen[0]) and t < limit)
        values += (t == limit, -1.5, qpos, qvel)
        for key, value in zip(LOCOMOTION_KEYS, values, strict=True):
            rows[key].append(value)
        observation = after[0]
        if t == limit or fallen[0]:
            observation, t = environment.reset(np.array([1000 + row]))[0], 0
    arrays = {key: np.array(value) for key, value in rows.items()}
    return {k: a if a.dtype == bool else a.astype(np.float32) for k, a in arrays.items()}


LOCOMOTION_KEYS = (
    "observations",
    "actions",
    "next_observations",
    "rewards",
    "terminals",
    "timeouts",
    "infos/action_log_probs",
    "infos/qpos",
    "infos/qvel",
)


def antmaze(name="antmaze-umaze", num_episodes=3, length=41, num_rows=None, seed=0):
    """The arrays of an antmaze file: blocks of ``length`` rows, cut at ``num_rows``.

    As D4RL's generate_ant_maze_datasets.py and relabel_antmaze_rewards.py write them: rewards and
    terminals are numbers, made from the next row of the file whatever episode it is of; the
    simulator's state is that *after* the row's action. Every other episode starts beside the goal,
    so that random actions come by.
    """
    task = get_task(name)
    simulator = Simulator(load_ant(task.environment), 1, 5, 1)
    generator = np.random.default_rng(seed)
    goal = np.array([0.4, 0.0])
    keys = ("observations", "actions", "infos/goal", "infos/qpos", "infos/qvel", "timeouts")
    rows = {key: [] for key in keys}
    for episode in range(num_episodes):
        start = np.array([0.0, 8.0 * (episode % 2)])
        reset_ant(simulator, 0, start, generator)
        for t in range(length):
            observation = np.concatenate([simulator.qpos[0], simulator.qvel[0]])
            action = generator.uniform(-1.0, 1.0, 8).astype(np.float32)
            simulator.step(action[None], np.array([True]))
            values = (observation, action, goal, simulator.qpos[0].copy())
            values += (simulator.qvel[0].copy(), t == length - 1)
            for key, value in zip(keys, values, strict=True):
                rows[key].append(value)
    arrays = {key: np.array(value)[:num_rows] for key, value in rows.items()}
    near = np.linalg.norm(arrays["observations"][1:, :2] - goal, axis=1) <= 0.5
    arrays["rewards"] = arrays["terminals"] = np.append(near, False).astype(np.float32)
    return {k: a if a.dtype == bool else a.astype(np.float32) for k, a in arrays.items()}


def write(name, arrays, **options):
    """Write ``arrays`` as the file of the task ``name``, and D4RL's metadata; returns its path."""
    path = path_of(get_task(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file.create_dataset(key, data=value, **({"compression": "gzip"} | options))
        if "next_observations" in arrays:
            file["metadata/algorithm"] = np.bytes_("SAC")
            file["metadata/iteration"] = np.int32(3000)
            file["metadata/policy/fc0/weight"] = np.zeros((256, 11), np.float32)
    return path
