"""Data that users bring: a Minari dataset, scored in the environment that its row names."""

import json
import shlex
import sys
import warnings

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, OneOf, Sequence, Text
from hypothesis import given
from hypothesis import strategies as st
from minari.data_collector import EpisodeBuffer

from bench import cli, store
from bench.report import audits
from bench.run import baselines
from bench.run import plan as plans
from bench.run.evaluate import episode_seeds
from bench.run.profiles import PROFILES
from envs import tasks
from envs.errors import InputError
from envs.sources import own, registry
from envs.sources.regenerated import dataset_folder
from envs.worlds.actions import ActionRange
from envs.worlds.gymnasium_lanes import GymnasiumLanes
from tests.helpers.damage import READERS, damaged, one_line_at_most

LOW, HIGH = np.array([0.0, -4.0], np.float32), np.array([1.0, 0.0], np.float32)
STEPS = 6
TASK = tasks.own_task("Me/Reach-v2", "Reach-v0", (-1.0, 3.0))


class Reach(gymnasium.Env):
    """Pays the first action and shows it: 2 x 2 observations; seed 3 is cut after two steps."""

    observation_space = Box(-np.inf, np.inf, (2, 2), np.float32)
    action_space = Box(LOW, HIGH)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.cut = 0, seed == 3
        return np.full((2, 2), self.np_random.uniform(), np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.steps += 1
        observation = np.array([[*action], [self.steps, 0.0]], np.float32)
        fell = bool(action[1] < -3.5)
        return observation, action[0], fell, self.cut and self.steps == 2, {}


class Without(Reach):
    """Reach with spaces or a time limit that nothing can be done with."""

    def __init__(self, **spaces):
        self.__dict__ |= spaces


class Parts(Reach):
    """Reach that shows its steps, as one of ten, before the rest."""

    observation_space = Dict(steps=Discrete(10), action=Box(LOW, HIGH))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"steps": 0, "action": LOW}, {}

    def step(self, action):
        (seen, _), *rest = super().step(action)
        return {"steps": self.steps, "action": seen}, *rest


@pytest.fixture(autouse=True)
def environments(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    gymnasium.register("Reach-v0", f"{__name__}:Reach", max_episode_steps=STEPS)
    for name, spaces in {
        "Choice-v0": {"action_space": Discrete(1)},
        "Open-v0": {"action_space": Box(-np.inf, np.inf, (2,))},
        "Fixed-v0": {"action_space": Box(1.0, 1.0, (2,))},
        "Growing-v0": {"observation_space": Dict(a=Sequence(Box(0.0, 1.0, (2,))))},
        "Text-v0": {"observation_space": Dict(a=Text(5))},
        "Either-v0": {"observation_space": OneOf((Discrete(2), Discrete(3)))},
        "Blind-v0": {"observation_space": Box(0.0, 1.0, (0,))},
        "Many-v0": {"observation_space": Discrete(10**9)},
        "Still-v0": {"action_space": Box(0.0, 1.0, (0,))},
    }.items():
        gymnasium.register(name, f"{__name__}:Without", max_episode_steps=STEPS, kwargs=spaces)
    gymnasium.register("Endless-v0", f"{__name__}:Reach")
    gymnasium.register("Parts-v0", f"{__name__}:Parts", max_episode_steps=STEPS)


@pytest.fixture
def row(monkeypatch):
    """``TASK`` as a row of the registry."""
    tasks.register(TASK)


def save(dataset_id, episodes, env):
    """A Minari dataset of observations, actions and whether it terminated, one episode each."""
    buffers = []
    for k, (shown, played, terminated) in enumerate(episodes):
        last = np.arange(len(played)) == len(played) - 1
        ends = (played[:, 0], last & terminated, last & (not terminated))
        buffers.append(EpisodeBuffer(k, None, None, shown, played.astype(np.float32), *ends))
    made = gymnasium.make(env or "Reach-v0")
    found = {"observation_space": made.observation_space, "action_space": made.action_space}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no code
        minari.create_dataset_from_buffers(dataset_id, buffers, env=env, **found)


def write(dataset_id=TASK.data, actions=None, env="Reach-v0"):
    """Two episodes, the second one cut by time; returns their actions in [0, 1] and [-4, 0]."""
    generator = np.random.default_rng(0)
    episodes = []
    for steps in (3, STEPS):
        played = generator.uniform(LOW, HIGH, (steps, 2)) if actions is None else actions[:steps]
        shown = generator.normal(size=(steps + 1, 2, 2)).astype(np.float32)
        episodes.append((shown, played, steps == 3))
    save(dataset_id, episodes, env)
    return np.concatenate([played for _, played, _ in episodes])


def test_a_row_is_named_by_its_dataset_and_scored_in_its_environment():
    assert TASK.name == "me-reach"
    assert (TASK.gymnasium_id, TASK.in_post, TASK.kind.has_goals) == ("Reach-v0", False, False)
    spec = TASK.spec
    assert (spec.observation_dim, spec.action_dim, spec.goal_dim) == (4, 2, 0)
    assert (spec.max_episode_steps, spec.target_return) == (STEPS, 3.0)


def test_lanes_take_scaled_actions_and_show_flat_observations():
    lanes = GymnasiumLanes("Reach-v0", 3, (0.0, 1.0))
    first = lanes.reset(np.array([5, 6, 7]))
    assert first.shape == (3, 4)
    assert len(np.unique(first)) == 3
    actions = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    seen, rewards, ends = lanes.step(actions, np.array([True, True, False]))
    np.testing.assert_array_equal(seen[0], [0.0, -4.0, 1.0, 0.0])
    np.testing.assert_array_equal(seen[1], [1.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(seen[2], first[2])
    assert rewards.tolist() == [0.0, 1.0, 0.0]
    assert ends.tolist() == [True, False, False]
    again = lanes.reset(np.array([6]), np.array([2]))
    np.testing.assert_array_equal(again[2], first[1])
    np.testing.assert_array_equal(again[0], seen[0])


def test_an_episode_that_the_environment_cuts_is_over():
    lanes = GymnasiumLanes("Reach-v0", 2, (0.0, 1.0))
    lanes.reset(np.array([3, 4]))
    both, middle = np.array([True, True]), np.zeros((2, 2))
    assert lanes.step(middle, both)[2].tolist() == [False, False]
    assert lanes.step(middle, both)[2].tolist() == [True, False]


def test_actions_go_to_the_environments_range_and_back():
    space = ActionRange(Reach.action_space)
    unit = np.random.default_rng(0).uniform(-1.0, 1.0, (50, 2))
    unit[0], unit[1] = -1.0, 1.0
    back = space.unscale(space.scale(unit))
    np.testing.assert_allclose(back, unit, atol=1e-6)
    assert np.abs(back).max() == 1.0
    # Rounding is put right, more is not.
    assert space.unscale(np.array([[1.0 + 1e-7, 0.0]])).tolist() == [[1.0, 1.0]]
    assert space.unscale(np.array([[1.1, 0.0]]))[0, 0] == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Choice-v0", "actions must be 2 to 100,000 choices, got 1"),
        ("Open-v0", "actions must be a Box with bounds or Discrete, got Box"),
        ("Fixed-v0", "actions must be a Box with bounds or Discrete, got Box"),
        ("Growing-v0", "observations must be of a fixed size, got Dict"),
        ("Text-v0", "observations must be of a fixed size, got Dict"),
        ("Either-v0", "observations must be of a fixed size, got OneOf"),
        ("Blind-v0", "observations hold 0 numbers"),
        ("Many-v0", "observations hold 1,000,000,000 numbers"),
        ("Still-v0", "actions must be a Box with bounds or Discrete, got Box"),
        ("Endless-v0", "environment Endless-v0 has no time limit"),
        ("Nowhere-v0", "environment Nowhere-v0 cannot be made"),
        ("no_such_module:Reach-v0", "environment no_such_module:Reach-v0 cannot be made"),
    ],
)
def test_what_cannot_be_scored_is_refused(name, reason):
    with pytest.raises(InputError, match=reason) as caught:
        GymnasiumLanes(name, 1, (0.0, 1.0))
    assert "\n" not in str(caught.value)


def test_data_are_read_flat_and_scaled():
    taken = write()
    dataset, facts = own.read(TASK, 1.0)
    assert dataset.episode_lengths.tolist() == [3, STEPS]
    assert dataset.observations.shape == dataset.next_observations.shape == (9, 4)
    np.testing.assert_allclose(dataset.actions[:, 0], 2.0 * taken[:, 0] - 1.0, atol=1e-6)
    np.testing.assert_allclose(dataset.actions[:, 1], taken[:, 1] / 2.0 + 1.0, atol=1e-6)
    np.testing.assert_allclose(dataset.rewards, taken[:, 0], rtol=1e-6)
    assert np.flatnonzero(dataset.terminations).tolist() == [2]
    assert np.flatnonzero(dataset.truncations).tolist() == [8]
    assert facts == own.provenance(TASK, 1.0)
    assert (facts["dataset_id"], facts["source"], facts["doubts"]) == (TASK.data, "own", [])


def test_observations_in_parts_are_read_as_they_are_shown():
    environment = gymnasium.make("Parts-v0")
    seen = [environment.reset(seed=5)[0]]
    seen += [environment.step((LOW + HIGH) / 2)[0] for _ in range(STEPS)]
    parts = {name: np.array([observation[name] for observation in seen]) for name in seen[0]}
    save("Me/Parts-v0", [(parts, np.tile((LOW + HIGH) / 2, (STEPS, 1)), False)], "Parts-v0")
    task = tasks.own_task("Me/Parts-v0", "Parts-v0", (-1.0, 3.0))
    dataset, _ = own.read(task, 1.0)
    lanes = GymnasiumLanes("Parts-v0", 1, (0.0, 1.0))
    shown = [lanes.reset(np.array([5]))[0]]
    for _ in range(STEPS):
        shown.append(lanes.step(np.zeros((1, 2)), np.array([True]))[0][0])
    assert np.flatnonzero(shown[2]).tolist() == [2, 10, 11]
    np.testing.assert_array_equal(dataset.observations, shown[:-1])
    np.testing.assert_array_equal(dataset.next_observations, shown[1:])


def test_the_ends_of_any_range_stay_in_it_both_ways():
    generator = np.random.default_rng(0)
    low = generator.normal(size=500).astype(np.float32)
    space = Box(low, low + generator.uniform(0.01, 3.0, 500).astype(np.float32))
    ends = np.array([-np.ones(500), np.ones(500)])
    scaled = ActionRange(space).scale(ends)
    assert all(space.contains(end) for end in scaled)
    np.testing.assert_array_equal(ActionRange(space).unscale(scaled), ends)


def test_actions_beyond_the_environments_range_are_refused():
    write(actions=np.full((STEPS, 2), [1.5, 0.0]))
    with pytest.raises(InputError, match=r"Me/Reach-v2: actions row 0 leaves \[-1, 1\]"):
        own.read(TASK, 1.0)


@pytest.mark.parametrize("name", ["terminations", "truncations"])
def test_several_episodes_that_are_written_as_one_are_refused(name):
    write()
    with h5py.File(dataset_folder(TASK.data) / "data" / "main_data.hdf5", "r+") as file:
        file[f"episode_1/{name}"][1] = True
    with pytest.raises(InputError, match="the episode of row 4 goes on after it ended at step 1"):
        own.read(TASK, 1.0)


def test_data_of_another_environment_are_doubted_and_of_none_are_not():
    write(env="Pendulum-v1")
    [doubt] = own.provenance(TASK, 1.0)["doubts"]
    assert doubt == "Me/Reach-v2 was collected in Pendulum-v1, and is scored in Reach-v0"
    write("Me/Reach-v3", env=None)
    write("Me/Reach-v4", env="Reach-v0")
    for dataset_id in ("Me/Reach-v3", "Me/Reach-v4"):
        row = tasks.own_task(dataset_id, f"{__name__}:Reach-v0", (-1.0, 3.0))
        assert own.provenance(row, 1.0)["doubts"] == []


def test_missing_and_damaged_data_are_one_line(row):
    with pytest.raises(InputError, match="data fetch Me/Reach-v2 --source own"):
        own.read(TASK, 1.0)
    write()
    folder = dataset_folder(TASK.data) / "data"
    (folder / "main_data.hdf5").write_bytes(b"no")
    with pytest.raises(InputError, match=r"cannot be read .* whole episodes"):
        own.read(TASK, 1.0)
    (folder / "metadata.json").write_text("{")
    with pytest.raises(InputError, match="no metadata that can be read"):
        own.provenance(TASK, 1.0)


@pytest.mark.parametrize("name", ["main_data.hdf5", "metadata.json"])
def test_files_damaged_at_random_are_refused_in_one_line(name):
    write()
    path = dataset_folder(TASK.data) / "data" / name
    sound = path.read_bytes()

    @READERS
    @given(data=st.data())
    def read(data):
        path.write_bytes(damaged(data.draw, sound))
        with one_line_at_most():
            own.read(TASK, 1.0)

    read()


def test_an_environment_that_is_no_specification_is_refused_in_one_line():
    write()
    path = dataset_folder(TASK.data) / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"env_spec": "[1]"}))
    with pytest.raises(InputError, match="no metadata that can be read"):
        own.provenance(TASK, 1.0)


def test_no_other_source_has_it(row, capsys):
    write()
    assert registry.resolve(TASK.name, None) == (TASK, "own")
    for arguments in (["--source", "minari"], ["hopper-medium"], ["--environment", "v5"]):
        assert cli.main(["grid", "--tasks", TASK.name, *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["data", "make", "--tasks", TASK.name]) == 2
    assert "regenerated has no data for me-reach" in capsys.readouterr().err


def test_a_user_without_a_row_is_told_how_to_add_one(capsys):
    assert cli.main(["grid", "--source", "own"]) == 2
    assert "CONTRIBUTING.md" in capsys.readouterr().err


def test_the_grid_answers_the_title_for_it(row, tmp_path):
    write()
    root = tmp_path / "results"
    arguments = ["--source", "own", "--algorithms", "bc", "td3_bc", "--profile", "smoke"]
    assert cli.main(["grid", *arguments, "--workers", "1", "--results", str(root)]) == 0
    assert cli.main(["audit", TASK.name]) == 0
    assert cli.main(["report", "--results", str(root)]) == 0
    folder = root / "own" / "smoke"
    rows = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
    assert set(rows["task"]) == {"me-reach"}
    assert rows["length"].between(1, STEPS).all()
    text = (folder / "table1.md").read_text()
    assert "| me-reach |" in text
    assert "Published" not in text
    html = (root / "FINDINGS.md").read_text()
    assert (
        "imitation keeps up with offline RL on me-reach, at most 15 points behind | own |" in html
    )
    assert "me-reach" in (folder / "report.html").read_text()


@pytest.fixture
def grid(row, tmp_path):
    """The folder of a small grid of ``TASK``, with its pages; told what ``write`` is."""

    def run(**written):
        write(**written)
        root = tmp_path / "results"
        arguments = ["--source", "own", "--algorithms", "bc", "td3_bc", "--profile", "smoke"]
        assert cli.main(["grid", *arguments, "--workers", "1", "--results", str(root)]) == 0
        assert cli.main(["report", "--results", str(root)]) == 0
        assert cli.main(["table", "--check", "--results", str(root)]) == 0
        return root / "own" / "smoke"

    return run


def test_policies_that_look_at_nothing_are_played_from_the_starts_of_a_cells_first_seed(
    monkeypatch,
):
    taken = write()
    started = []
    reset = GymnasiumLanes.reset
    spy = lambda lanes, seeds: (started.append(seeds.tolist()), reset(lanes, seeds))[1]
    monkeypatch.setattr(GymnasiumLanes, "reset", spy)
    dataset, _ = own.read(TASK, 1.0)
    found = baselines.measure(dataset, TASK)
    assert started == 3 * [episode_seeds((0,), 20)[0].tolist()]
    assert found["logs"] == {"return": pytest.approx(taken[:, 0].sum() / 2), "episodes": 2}
    assert found["best_tenth"]["episodes"] == 1
    assert found["best_tenth"]["return"] == pytest.approx(dataset.episode_returns.max())
    # It pays the first action, for six steps: nobody falls but by chance.
    assert found["mean_action"]["return"] == pytest.approx(STEPS * taken[:, 0].mean(), abs=1e-5)
    assert found["no_action"] == {"return": 0.0, "episodes": 20}
    assert 1.0 < found["random"]["return"] < 3.0
    assert baselines.measure(dataset, TASK) == found
    monkeypatch.setattr(baselines, "NUM_STEPS", 2 * STEPS)
    assert baselines.measure(dataset, TASK)["random"]["episodes"] == 2


def test_no_action_is_none_in_the_environments_own_units():
    """Zero is at the end of the first range and of the second, and not in the middle of either."""
    write()
    seen = []

    class Watched(Reach):
        def step(self, action):
            seen.append(action.tolist())
            return super().step(action)

    gymnasium.register("Watched-v0", lambda: Watched(), max_episode_steps=STEPS)
    dataset, _ = own.read(TASK, 1.0)
    task = tasks.own_task("Me/Reach-v2", "Watched-v0", (-1.0, 3.0))
    found = baselines.measure(dataset, task)
    half = found["mean_action"]["episodes"] * STEPS
    assert {tuple(action) for action in seen[half : 2 * half]} == {(0.0, 0.0)}


def test_an_environment_that_is_made_otherwise_under_the_same_name_makes_another_cell(
    row, tmp_path
):
    write()
    cell = plans.plan(TASK, "bc", PROFILES["smoke"], "own")
    names = [plans.folder_of(cell, tmp_path).name]
    for made in ({"kwargs": {"friction": 0.1}}, {"kwargs": {"friction": 0.2}}, {}):
        del gymnasium.envs.registration.registry["Reach-v0"]
        gymnasium.register("Reach-v0", f"{__name__}:Without", max_episode_steps=STEPS, **made)
        names.append(plans.folder_of(cell, tmp_path).name)
    assert len(set(names)) == 4  # the last is of another class


def test_the_table_has_what_needs_no_learning_beside_the_methods(grid, capsys):
    folder = grid()
    shown = capsys.readouterr().out
    assert "without learning" in shown
    text = (folder / "table1.md").read_text()
    head = "| without learning | the logs | their best tenth | mean action | no action | random"
    line = text.split(head)[1].splitlines()[2]
    kept = next(iter(json.loads((folder / "audit.json").read_text()).values()))["baselines"]
    expected = [f"{25 * (kept[name]['return'] + 1):.1f}" for name in audits.BASELINES]
    assert line == f"| me-reach | {' | '.join(expected)} |"
    lines = (folder / "table1.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1
    rows = store.read_rows(folder / "table1.csv", ("algorithm", "mean", "in_post"))
    means = dict(zip(rows["algorithm"], rows["mean"], strict=True))
    assert list(means) == ["bc", "td3_bc", *audits.BASELINES]
    assert means["no_action"] == pytest.approx(25.0)
    assert not rows["in_post"].any()
    for name in ("md", "csv", "latex", "html"):
        arguments = ["--format", name, "--results", str(folder.parent.parent)]
        assert cli.main(["table", *arguments]) == 0
        printed = capsys.readouterr().out
        assert f"{means['mean_action']:.1f}"[:-1] in printed  # the CSV has more places
    assert cli.main(["table", "--format", "md", "--results", str(folder.parent.parent)]) == 0
    assert capsys.readouterr().out == text


def test_the_page_answers_the_question_for_each_task_and_says_nothing_of_table_1(grid):
    html = (grid() / "report.html").read_text()
    assert "The claim that imitation keeps up with offline RL on me-reach" in html
    assert 'aria-label="Score of each method on me-reach, and of what needs no learning' in html
    for title in ("BC", "TD3+BC", *audits.BASELINES.values()):
        assert f'<th scope="row">{title}</th>' in html
    for word in ("Table 1", "ublished", "the post", "D4RL"):
        assert word not in html


def test_rewards_that_never_vary_are_said_to_leave_nothing_to_offline_rl(grid, capsys):
    folder = grid(actions=np.tile([0.0, -2.0], (STEPS, 1)))
    line = "me-reach: every reward of the data is 0, so that rewards prefer no action to another."
    for text in (
        capsys.readouterr().out,
        (folder / "table1.md").read_text(),
        (folder / "report.html").read_text(),
        (folder.parent.parent / "FINDINGS.md").read_text(),
    ):
        # A terminal's lines are broken where they end.
        assert f"{line} Offline RL does not apply" in " ".join(text.split())
    assert cli.main(["audit", TASK.name]) == 0
    shown = capsys.readouterr().out
    shown = " ".join(shown.split())
    assert line in shown
    assert "rewards: 0 in every row" in shown
    assert "none can be proposed, for the rewards of the logs never vary" in shown
    assert cli.main(["audit", TASK.name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["constant_reward"], len(found["remarks"])) == (0.0, 1)


def test_references_are_proposed_for_data_without_a_row(row, tmp_path, capsys):
    write("Me/New-v0")
    assert cli.main(["audit", "Me/New-v0"]) == 2
    assert "name the gymnasium environment" in capsys.readouterr().err
    assert cli.main(["audit", "Me/New-v0", "--environment", "Reach-v0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    references = found["references"]
    baseline = found["baselines"]
    best = max(audits.PLAYED, key=lambda name: baseline[name]["return"])
    assert references["low"] == pytest.approx(baseline[best]["return"], rel=1e-3)
    assert references["high"] == pytest.approx(found["returns"]["100%"], rel=1e-3)
    assert found["scores"]["100%"] == pytest.approx(100.0, abs=0.5)
    assert cli.main(["audit", "Me/New-v0", "--environment", "Reach-v0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip() == references["command"]
    # What is pasted runs, on the scale that was proposed.
    program, *words = shlex.split(references["command"])
    small = ["--algorithms", "bc", "--profile", "smoke", "--workers", "1"]
    assert (program, cli.main([*words, *small, "--results", str(tmp_path / "results")])) == (
        "rl-or-bc",
        0,
    )
    (facts,) = store.read_provenance(tmp_path / "results/own/smoke/provenance.json").values()
    assert facts["task"]["reference_returns"] == [references["low"], references["high"]]


def test_without_a_scale_no_score_is_told(row, capsys):
    write("Me/Flat-v0", actions=np.tile([0.0, -2.0], (STEPS, 1)))
    assert cli.main(["audit", "Me/Flat-v0", "--environment", "Reach-v0"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "references: none can be proposed, for the rewards of the logs never vary" in shown
    assert "me-flat: every reward of the data is 0" in shown
    assert "random actions: return" in shown
    assert "score " not in shown
    assert "scores:" not in shown


def test_doing_nothing_in_reacher_is_said_to_score_high_and_proposed_as_0():
    """Random actions cost so much there that they make a scale on which no action scores 79."""
    shown = np.random.default_rng(0).normal(size=(51, 10))
    paid = np.tile([[-0.07, 0.0], [-0.09, 0.0]], (25, 1))  # as the first action, -4 in all
    save("Me/Reacher-v0", 10 * [(shown, paid, False)], "Reacher-v5")
    task = tasks.own_task("Me/Reacher-v0", "Reacher-v5", (-43.0, -4.0))
    found = baselines.audited(task, "own", 1.0, None, registry.load(task, "own", 1.0))
    assert audits.scores(found, task)["no_action"] == pytest.approx(79.0, abs=2.0)
    assert audits.scores(found, task)["random"] == pytest.approx(0.0, abs=5.0)
    (line,) = audits.remarks(found, task)
    # The mean action, a little push, scores the same to a tenth.
    assert "action) scores 79." in line or "action) scores 78." in line
    proposed = audits.propose(found, task)
    assert proposed.low == pytest.approx(found["baselines"]["no_action"]["return"], rel=0.02)
    assert proposed.high == pytest.approx(-4.0, rel=1e-3)


def forget():
    """Know what a process knows that has just begun."""
    tasks.FAMILIES.pop(tasks.OWN, None)
    for name in [name for name, task in tasks.TASKS.items() if task.family == tasks.OWN]:
        del tasks.TASKS[name]


SMALL = ("--algorithms", "bc", "--profile", "smoke", "--num-seeds", "2")
GRID = ("grid", "--data", TASK.data, "--environment", f"{__name__}:Reach-v0")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_grid_takes_own_data_as_they_are_named_and_a_table_needs_no_name(
    workers, tmp_path, monkeypatch, capsys
):
    write(env=None)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    (tmp_path / "my_package.py").write_text(
        "import gymnasium\n"
        f"from {__name__} import STEPS, Reach\n"
        "gymnasium.register('Mine-v0', Reach, max_episode_steps=STEPS)\n"
    )
    root = ["--results", str(tmp_path / "results")]
    small = [*SMALL[:1], "bc", "td3_bc", *SMALL[2:], "--workers", workers, *root]
    named = ["--data", TASK.data, "--environment", "my_package:Mine-v0", "--reference", "-1", "3"]
    assert cli.main(["grid", *named, *small]) == 0
    capsys.readouterr()
    forget()
    assert cli.main(["table", *root]) == 0
    assert TASK.name in capsys.readouterr().out
    forget()
    assert cli.main(["report", *root]) == 0
    page = (tmp_path / "results/own/smoke/report.html").read_text()
    command = "train bc Me/Reach-v2 --environment my_package:Mine-v0 --reference -1.0 3.0"
    assert command in page
    forget()
    assert cli.main(["table", "--check", *root]) == 0


def test_a_file_of_tasks_serves_every_command(tmp_path, capsys):
    write()
    rows = tmp_path / "rows.toml"
    name = f"{__name__}:Reach-v0"
    rows.write_text(
        f'[[tasks]]\ndata = "{TASK.data}"\nenvironment = "{name}"\nreference = [-1, 3]\n'
    )
    common = ["--tasks-file", str(rows)]
    learning = [*common, "--profile", "smoke", "--results", str(tmp_path / "results")]
    for command in (
        ["audit", TASK.name, *common],
        ["train", "bc", TASK.name, *learning],
        ["grid", "--algorithms", "bc", "--workers", "1", *learning],
        ["grid", "--tasks", TASK.name, "--algorithms", "bc", "--workers", "1", *learning],
    ):
        forget()
        assert cli.main(command) == 0, capsys.readouterr().err
        assert TASK.name in capsys.readouterr().out


def test_train_and_audit_take_a_dataset_in_place_of_a_task(tmp_path, capsys):
    returns = [part[:, 0].sum() for part in np.split(write(), [3])]
    scale = [TASK.data, "--environment", "Reach-v0", "--reference", "-1", "3"]
    assert cli.main(["audit", *scale, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores["100%"] == pytest.approx(25.0 * (max(returns) + 1.0))
    learning = ["--profile", "smoke", "--results", str(tmp_path / "results")]
    assert cli.main(["train", "bc", *scale, *learning]) == 0
    assert len(list((tmp_path / "results/runs/own").glob("me-reach/bc/*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["grid", "--data", TASK.data], "name the gymnasium environment that is to score"),
        ([*GRID], "to have them proposed, run: rl-or-bc audit Me/Reach-v2"),
        ([*GRID, "--reference", "3", "-1"], "the second, a good return, must be above it"),
        ([*GRID, "--reference", "3"], "--reference"),
        (["grid", "--data", "logs", "--environment", "Reach-v0", "--reference", "0", "1"], "-v0"),
        ([*GRID, "--reference", "0", "1", "--source", "d4rl"], "d4rl has no data for me-reach"),
        ([*GRID, "--reference", "0", "1", "--tasks", "hopper-medium"], "a table has one source"),
        (["grid", "--tasks", "hopper-medium", "--reference", "0", "1"], "leave it out"),
        (["train", "bc", TASK.data], "name the gymnasium environment that is to score"),
        (["train", "bc", TASK.data, "--environment", "Reach-v0"], "--reference LOW HIGH"),
        (["train", "bc", "hopper-medium", "--reference", "0", "1"], "leave it out"),
        (["audit", TASK.data], "name the gymnasium environment that is to score"),
        (["audit", "hopper-medium", "--reference", "0", "1"], "leave it out"),
        (["grid", "--tasks-file", "none.toml"], "cannot read none.toml: No such file"),
    ],
)
def test_own_data_that_are_named_by_halves_are_refused_in_a_line(arguments, reason, capsys):
    write()
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert reason in " ".join(error.split())
    assert error.count("\n") == 1
