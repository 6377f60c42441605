"""Minari's own datasets, written by Minari itself as its scripts do, and their environments."""

import json
import os
import shutil
import warnings
from pathlib import Path

import gymnasium
import h5py
import minari as library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minari.data_collector import EpisodeBuffer
from minari.storage import remotes

from bench import cli, store
from envs.errors import InputError
from envs.sources import minari, registry
from envs.tasks import TASKS, get_task
from envs.worlds.antmaze_robotics import RoboticsAntMaze
from envs.worlds.maps import MAPS
from tests.helpers.damage import READERS, damaged, one_line_at_most

HOPPER, MAZE = get_task("hopper-medium"), get_task("antmaze-umaze")
MEDIUM, EXPERT = "mujoco/hopper/medium-v0", "mujoco/hopper/expert-v0"
UMAZE = "D4RL/antmaze/umaze-v1"
BOX = gymnasium.spaces.Box


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.delenv("MINARI_REMOTE", raising=False)
    return tmp_path / "minari"


def write(dataset_id, buffers, observation_space, action_dim, env_spec, **metadata):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no environment
        made = library.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=observation_space,
            action_space=BOX(-1.0, 1.0, (action_dim,)),
            requirements=["mujoco==3.2.3"],
        )
        made.storage.update_metadata(metadata | {"env_spec": env_spec.to_json()})


def write_hopper(dataset_id=MEDIUM, env_id="Hopper-v5", seed=0):
    """Five episodes of Hopper-v5 in float64, the last one cut at 7 steps; returns the buffers."""
    environment = gymnasium.make("Hopper-v5")
    generator = np.random.default_rng(seed)
    buffers = []
    for k in range(5):
        observations = [environment.reset(seed=seed + k)[0]]
        actions, rewards, ends = [], [], []
        while not (ends and ends[-1]) and not (k == 4 and len(ends) == 7):
            actions.append(generator.uniform(-1.0, 1.0, 3).astype(np.float32))
            observation, reward, terminated, _, _ = environment.step(actions[-1])
            observations.append(observation)
            rewards.append(reward)
            ends.append(terminated)
        cut = np.zeros(len(ends), bool)
        cut[-1] = not ends[-1]
        steps = (np.array(actions), np.array(rewards), np.array(ends), cut)
        buffers.append(EpisodeBuffer(k, None, None, np.array(observations), *steps))
    write(dataset_id, buffers, BOX(-np.inf, np.inf, (11,)), 3, gymnasium.spec(env_id))
    return buffers


def write_maze(rewarded=((3, 4, 5), (), (6,)), *, missing_observation=False):
    """Episodes of 8 steps as the continuing task has them, paid at the steps of ``rewarded``."""
    generator = np.random.default_rng(0)
    environment = RoboticsAntMaze("umaze", 1, 1)
    buffers = []
    for k, paid in enumerate(rewarded):
        rows = [environment.reset(np.array([k]))[0]]
        actions = generator.uniform(-1.0, 1.0, (8, 8)).astype(np.float32)
        rows += [environment.step(action[None], np.array([True]))[0][0] for action in actions]
        rows = np.array(rows)[: 8 if missing_observation else 9]
        observations = {
            "achieved_goal": rows[:, :2],
            "desired_goal": np.tile([k, -k], (len(rows), 1)).astype(float),
            "observation": rows[:, 2:],
        }
        rewards = np.isin(np.arange(8), paid).astype(float)
        cut = np.arange(8) == 7
        steps = (actions, rewards, np.zeros(8, bool), cut)
        buffers.append(EpisodeBuffer(k, None, None, observations, *steps))
    space = gymnasium.spaces.Dict(
        {
            k: BOX(-np.inf, np.inf, (n,))
            for k, n in (("achieved_goal", 2), ("desired_goal", 2), ("observation", 27))
        }
    )
    robotics = "gymnasium_robotics.envs.maze.ant_maze_v4:AntMazeEnv"
    spec = gymnasium.envs.registration.EnvSpec("AntMaze_UMaze-v4", robotics)
    mirrored = gymnasium.envs.registration.EnvSpec("AntMaze_UMaze-v4", robotics).to_json()
    write(UMAZE, buffers, space, 8, spec, eval_env_spec=mirrored)
    return buffers


@pytest.mark.parametrize(
    ("stated", "kept"),
    [(5, []), (None, []), ("a", []), ({"a": 1}, []), (["a==1", 2], ["a==1", "2"])],
)
def test_requirements_of_any_type_are_lines_or_none(stated, kept):
    write_hopper()
    path = minari.dataset_folder("mujoco/hopper/medium-v0") / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"requirements": stated}))
    assert minari.provenance(HOPPER, 1.0)["requirements"] == kept


def test_rows_follow_each_other_by_episodes_of_one_observation_more_than_actions():
    buffers = write_hopper()
    dataset, facts = minari.read(HOPPER, 1.0)
    lengths = [len(b.rewards) for b in buffers]
    assert dataset.episode_lengths.tolist() == lengths
    assert dataset.observations.dtype == np.float32
    for k, (start, end) in enumerate(
        zip(dataset.episode_starts, dataset.episode_ends, strict=True)
    ):
        rows = slice(start, end + 1)
        observations = buffers[k].observations.astype(np.float32)
        np.testing.assert_array_equal(dataset.observations[rows], observations[:-1])
        np.testing.assert_array_equal(dataset.next_observations[rows], observations[1:])
        np.testing.assert_array_equal(dataset.actions[rows], buffers[k].actions)
    # A time limit is no termination.
    assert dataset.terminations[dataset.episode_ends].tolist() == [True] * 4 + [False]
    assert np.flatnonzero(dataset.truncations).tolist() == [dataset.num_rows - 1]
    assert facts["doubts"] == []
    assert facts["requirements"] == ["mujoco==3.2.3"]


def test_medium_expert_is_medium_and_then_expert():
    medium, expert = write_hopper(), write_hopper(EXPERT, seed=10)
    task = get_task("hopper-medium-expert")
    dataset, facts = minari.read(task, 1.0)
    lengths = [len(b.rewards) for b in (*medium, *expert)]
    assert dataset.episode_lengths.tolist() == lengths
    assert facts["dataset_id"] == f"{MEDIUM} + {EXPERT}"
    assert facts["hash"] != minari.provenance(HOPPER, 1.0)["hash"]


def test_an_antmaze_episode_ends_at_its_first_success_and_terminates_there():
    buffers = write_maze()
    dataset, facts = minari.read(MAZE, 1.0)
    assert dataset.episode_lengths.tolist() == [4, 8, 7]
    assert dataset.episode_returns.tolist() == [1.0, 0.0, 1.0]
    assert np.flatnonzero(dataset.terminations).tolist() == [3, 18]
    assert np.flatnonzero(dataset.truncations).tolist() == [11]
    first = buffers[0].observations
    both = np.concatenate([first["achieved_goal"], first["observation"]], axis=1)
    np.testing.assert_array_equal(dataset.observations[:4], both[:4].astype(np.float32))
    np.testing.assert_array_equal(dataset.next_observations[:4], both[1:5].astype(np.float32))
    assert facts["doubts"] == []


def test_goals_are_shown_on_demand_alone():
    write_maze()
    dataset, _ = minari.read_with_goal(MAZE, 1.0)
    assert dataset.observations.shape[1] == 31
    assert dataset.observations[4:12, 29:].tolist() == [[1.0, -1.0]] * 8
    hidden, _ = minari.read(MAZE, 1.0)
    np.testing.assert_array_equal(dataset.observations[:, :29], hidden.observations)
    shown = registry.environment(MAZE, "minari-goal").make(2, 1)
    observations = shown.reset(np.array([0, 1]))
    np.testing.assert_array_equal(observations[:, 29:], shown.goals)
    assert registry.environment(MAZE, "minari").spec.observation_dim == 29


def test_an_episode_without_its_last_observation_is_refused():
    write_maze(missing_observation=True)
    with pytest.raises(InputError, match=r"umaze-v1 .*episode 0 has 8 observations for 8 steps"):
        minari.read(MAZE, 1.0)


def test_each_source_is_scored_where_its_data_were_collected():
    ids = lambda source: registry.environment(HOPPER, source).gymnasium_id
    assert (ids("minari"), ids("d4rl"), ids("regenerated")) == (
        "Hopper-v5",
        "Hopper-v4",
        "Hopper-v4",
    )
    assert registry.environment(MAZE, "minari").gymnasium_id == "AntMaze_UMaze-v4"
    assert registry.environment(MAZE, "d4rl").gymnasium_id == "AntMaze-umaze-v0"


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Walker2d-v5"])
def test_data_of_another_environment_are_refused_unless_insisted_on(env_id):
    write_hopper(env_id=env_id)
    facts = registry.provenance(HOPPER, "minari", 1.0)
    assert facts["doubts"] == [f"{MEDIUM} was collected in {env_id}, and is scored in Hopper-v5"]
    with pytest.raises(InputError, match=f"was collected in {env_id}.*; mend that, or --insist"):
        registry.require_trust(facts, insist=False)
    registry.require_trust(facts, insist=True)


@pytest.mark.parametrize(
    ("env_id", "same"),
    [
        ("AntMaze_UMaze-v4", True),
        ("AntMaze_UMaze_Diverse_GR-v4", True),  # a variant in starts and goals
        ("AntMaze_UMaze-v5", False),
        ("AntMaze_UMaze_Diverse_GR-v3", False),
        ("AntMaze_UMaze-v14", False),
        ("AntMaze_Medium-v4", False),
    ],
)
def test_mazes_are_the_same_in_one_version_alone(folder, env_id, same):
    write_maze(rewarded=((3,),))
    path = folder / UMAZE / "data" / "metadata.json"
    path.write_text(path.read_text().replace("AntMaze_UMaze-v4", env_id))
    doubts = registry.provenance(MAZE, "minari", 1.0)["doubts"]
    assert (doubts == []) == same
    assert all(env_id in doubt for doubt in doubts)


def test_another_environment_than_the_datas_is_refused_unless_insisted_on(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_hopper()
    arguments = ["grid", "--tasks", "hopper-medium", "--algorithms", "bc", "--profile", "smoke"]
    arguments += ["--source", "minari", "--workers", "1", "--environment"]
    assert cli.main([*arguments, "v4"]) == 2
    error = capsys.readouterr().err
    assert "was collected in Hopper-v5, and is scored in Hopper-v4; mend that, or --in" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()
    assert cli.main([*arguments, "v5"]) == 0
    text = Path("results/local/minari/smoke/table1.md").read_text()
    assert "†" not in text
    facts = store.read_provenance(Path("results/local/minari/smoke/provenance.json"))
    assert facts["hopper-medium/bc"]["environment"] == "Hopper-v5"
    assert cli.main([*arguments, "v4", "--insist"]) == 0
    text = Path("results/local/minari/smoke/table1.md").read_text()
    assert "† Insisted on: hopper-medium of source minari was collected in Hopper-v5" in text
    facts = store.read_provenance(Path("results/local/minari/smoke/provenance.json"))
    assert facts["hopper-medium/bc"]["environment"] == "Hopper-v4"
    (audit,) = json.loads(Path("results/local/minari/smoke/audit.json").read_text()).values()
    assert audit["environment"] == "Hopper-v4"
    assert "doubts" in Path("results/local/minari/smoke/table1.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hopper-medium", "--environment", "v3"], "unknown environment 'v3'; known: v4, v5"),
        (["antmaze-umaze", "--environment", "v5"], "antmaze-umaze has no environment 'v5'"),
        (
            ["antmaze-umaze", "--source", "minari", "--environment", "v4"],
            "antmaze-umaze has no environment 'v4'",
        ),
        (["hopper-medium", "--source", "minari"], f"dataset {MEDIUM} is not in"),
        (["hopper-medium-replay", "--source", "minari"], "minari has no data for hopper-medium-r"),
    ],
)
def test_what_there_is_not_is_answered_with_one_line(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "bc", *arguments, "--profile", "smoke"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_the_ids_are_minaris():
    assert minari.dataset_ids(get_task("antmaze-medium-play")) == ["D4RL/antmaze/medium-play-v1"]
    assert minari.dataset_ids(get_task("walker2d-medium")) == ["mujoco/walker2d/medium-v0"]
    offered = registry.get_source("minari").tasks
    offered = registry.get_source("minari").tasks
    missing = [name for name, task in TASKS.items() if task.in_post and name not in offered]
    assert missing == [f"{robot}-medium-replay" for robot in ("halfcheetah", "hopper", "walker2d")]


def data_file(dataset_id):
    return minari.dataset_folder(dataset_id) / "data" / "main_data.hdf5"


def damage_file():
    path = data_file(MEDIUM)
    path.write_bytes(path.read_bytes()[:3000])


def damage_metadata():
    data_file(MEDIUM).with_name("metadata.json").write_text("{")


def drop_key():
    with h5py.File(data_file(MEDIUM), "a") as file:
        del file["episode_1/rewards"]


def put_nan():
    with h5py.File(data_file(MEDIUM), "a") as file:
        file["episode_0/observations"][3, 2] = np.nan


def newer_minari():
    path = data_file(MEDIUM).with_name("metadata.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"minari_version": "9.0.0"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_file, f"dataset {MEDIUM} cannot be read ("),
        (damage_metadata, "has no metadata that can be read; run: rl-or-bc data fetch"),
        (drop_key, f"dataset {MEDIUM} cannot be read ("),
        (put_nan, f"{MEDIUM}: observations row 3 is not finite"),
        (newer_minari, "does not support the dataset generated by Minari 9.0.0"),
    ],
)
def test_a_damaged_dataset_is_answered_with_one_line(
    damage, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_hopper()
    damage()
    arguments = ["train", "bc", "hopper-medium", "--source", "minari", "--profile", "smoke"]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_the_hash_follows_every_file_and_its_name(folder, monkeypatch):
    write_maze(rewarded=((3,),))
    digest = lambda: minari.provenance(MAZE, 1.0)["hash"]
    path = folder / UMAZE / "data" / "0" / "more.arrow"
    path.parent.mkdir()
    digests = [digest()]
    path.write_text("one")
    digests.append(digest())
    path.write_text("two")  # as long as it was
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    digests.append(digest())
    path.rename(path.with_name("other.arrow"))
    digests.append(digest())
    assert len(set(digests)) == 4
    # The order in which the system lists them does not count.
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda *args: sorted(listed(*args), reverse=True))
    assert digest() == digests[-1]
    path.with_name("other.arrow").unlink()
    assert digest() == digests[0]


@pytest.mark.parametrize("name", ["main_data.hdf5", "metadata.json"])
def test_any_damage_is_refused_in_one_line(folder, name):
    write_maze()
    path = folder / UMAZE / "data" / name
    sound = path.read_bytes()

    @READERS
    @given(data=st.data())
    def read(data):
        path.write_bytes(damaged(data.draw, sound))
        for reader in (minari.read, minari.read_with_goal):
            with one_line_at_most():
                reader(MAZE, 1.0)

    read()


# Minari's client, whose servers cannot be had here, with a folder as one more kind of server.


class Folder:
    def __init__(self, name, token=None):
        self.root = Path(name)

    def list_datasets(self, prefix=None):
        folders = [p.parent.parent for p in self.root.rglob("metadata.json")]
        ids = [str(folder.relative_to(self.root)) for folder in folders]
        return [name for name in ids if name.startswith(prefix or "")]

    def list_namespaces(self):
        return ["mujoco", "mujoco/hopper"]

    def get_dataset_metadata(self, dataset_id):
        return json.loads((self.root / dataset_id / "data" / "metadata.json").read_text())

    def download_dataset(self, dataset_id, path):
        shutil.copytree(self.root / dataset_id, path / dataset_id, dirs_exist_ok=True)

    def download_namespace_metadata(self, namespace, path):
        (path / namespace).mkdir(parents=True, exist_ok=True)
        (path / namespace / "namespace_metadata.json").write_text("{}")


@pytest.fixture
def remote(folder, tmp_path, monkeypatch):
    write_hopper()
    write_hopper(EXPERT, seed=10)
    folder.rename(tmp_path / "remote")
    monkeypatch.setitem(remotes._registry, "folder", lambda: Folder)
    return f"folder://{tmp_path / 'remote'}"


def test_datasets_come_through_minaris_own_client(remote, folder, monkeypatch, capsys):
    monkeypatch.setenv("MINARI_REMOTE", remote)
    fetch = ["data", "fetch", "hopper-medium-expert", "--source", "minari"]
    assert cli.main(fetch) == 0
    assert minari.read(get_task("hopper-medium-expert"), 1.0)[0].num_rows > 10
    assert not (folder / ".fetching").exists()
    assert cli.main(fetch) == 0
    assert "there already" in capsys.readouterr().out


def test_a_mirror_may_be_named(remote, monkeypatch):
    fetch = ["data", "fetch", "hopper-medium", "--source", "minari"]
    assert cli.main([*fetch, "--mirror", remote]) == 0
    assert "MINARI_REMOTE" not in os.environ
    assert minari.read(HOPPER, 1.0)[0].num_rows > 10


def test_a_download_that_breaks_leaves_nothing_and_says_what_to_put_where(
    remote, folder, monkeypatch, capsys
):
    def cut(self, dataset_id, path):
        (path / dataset_id / "data").mkdir(parents=True)
        raise ConnectionError("reset by peer")

    fetch = ["data", "fetch", "hopper-medium", "--source", "minari", "--mirror", remote]
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "download_dataset", cut)
        assert cli.main(fetch) == 2
    error = capsys.readouterr().err
    assert f"{MEDIUM} cannot be downloaded (reset by peer); name another server" in error
    assert f"put the dataset at {folder / MEDIUM}" in error
    assert not list(folder.iterdir())
    assert cli.main(fetch) == 0


# The environment of Minari's antmaze.

# Positions after the 20 steps below, by gymnasium_robotics 1.4.2 on mujoco 4.0.
ROBOTICS = [
    -0.255293376, 2.649309757, 2.870313797, -0.780111341, -0.199802979,
    -0.062699641, 0.589553916, -0.124087269, 0.515588495, -0.275063277,
    -1.053031966, 0.155267509, -1.097958627, -0.388537351, 1.092329332,
]  # fmt: skip


def test_the_ant_moves_as_that_of_gymnasium_robotics():
    environment = RoboticsAntMaze("umaze", 1, 1)
    environment.reset(np.array([0]))
    simulator = environment._simulator
    beside_a_wall = np.array([-6.3, 4.2, *simulator.model.qpos0[2:]])
    simulator.reset(0, beside_a_wall, np.zeros(14))
    action = np.where(np.arange(8) % 3 == 0, 0.9, -0.6).astype(np.float32)
    for t in range(20):
        step = action if t % 4 < 2 else -action
        observations, _, _ = environment.step(step[None], np.array([True]))
    np.testing.assert_allclose(observations[0, :15], ROBOTICS, rtol=1e-6)


@pytest.mark.parametrize("maze", MAPS)
def test_starts_and_goals_are_a_metre_around_two_cells(maze):
    environment = RoboticsAntMaze(maze, 40)
    starts = environment.reset(np.arange(40))[:, :2]
    rows, columns = len(MAPS[maze]), len(MAPS[maze][0])
    # R is one cell from the top left corner; the origin is the middle and y grows upwards.
    corner = np.array([-2.0 * columns + 6.0, 2.0 * rows - 6.0])
    assert np.abs(starts - corner).max() <= 1.0 < np.ptp(starts, axis=0).min()
    goal = {"umaze": [1, 3], "medium": [6, 6], "large": [9, 7]}[maze]  # column, row
    centre = np.array([(goal[0] + 0.5) * 4 - 2 * columns, 2 * rows - (goal[1] + 0.5) * 4])
    assert np.abs(environment.goals - centre).max() <= 1.0 < np.ptp(environment.goals)


def test_an_episodes_goal_is_drawn_before_its_start_from_its_own_seed():
    environment = RoboticsAntMaze("umaze", 2, 1)
    observations = environment.reset(np.array([7, 8]))
    for lane, seed in enumerate([7, 8]):
        generator = np.random.default_rng(seed)
        goal = np.array([-4.0, -4.0]) + generator.uniform(-1.0, 1.0, 2)
        start = np.array([-4.0, 4.0]) + generator.uniform(-1.0, 1.0, 2)
        np.testing.assert_array_equal(environment.goals[lane], goal)
        np.testing.assert_array_equal(observations[lane, :2], start)
        # Upright and at rest.
        assert observations[lane, 3:7].tolist() == [1.0, 0.0, 0.0, 0.0]
        assert not observations[lane, 15:].any()


def test_the_goal_pays_once_and_ends_the_episode():
    environment = RoboticsAntMaze("umaze", 2, 1)
    environment.reset(np.array([0, 1]))
    simulator = environment._simulator
    for lane, distance in enumerate([0.3, 0.7]):
        qpos = simulator.model.qpos0.copy()
        qpos[:2] = environment.goals[lane] + [distance, 0.0]
        simulator.reset(lane, qpos, np.zeros(14))
    _, rewards, terminations = environment.step(np.zeros((2, 8)), np.array([True, True]))
    assert rewards.tolist() == [1.0, 0.0]
    assert terminations.tolist() == [True, False]


def test_the_grid_runs_on_minaris_data(tmp_path):
    write_maze()
    for source in ("minari", "minari-goal"):
        arguments = ["grid", "--tasks", "antmaze-umaze", "--algorithms", "bc", "--workers", "1"]
        arguments += ["--profile", "smoke", "--source", source, "--results", str(tmp_path / "r")]
        assert cli.main(arguments) == 0
        assert "± " in (tmp_path / "r" / source / "smoke" / "table1.md").read_text()
