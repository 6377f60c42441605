import dataclasses
import errno
import fcntl
import json
import os
import shutil
import threading

import h5py
import minari
import numpy as np
import pytest

from envs import facts, files
from envs.collect import make as making
from envs.collect import policy, tours
from envs.collect.behave import block_seeds, collect_block, num_lanes
from envs.collect.episode import record
from envs.collect.make import make
from envs.dataset import Dataset
from envs.errors import InputError
from envs.recipes import Recipe
from envs.sources import registry
from envs.sources.regenerated import dataset_folder, read, read_metadata
from envs.tasks import TASKS
from envs.worlds import maps

# A dozen policies of a few rows each, two policies, and goals.
HOPPER = Recipe(TASKS["hopper-medium-replay"], 0.002)  # 804 rows
WALKER = Recipe(TASKS["walker2d-medium-expert"], 0.0001)  # 200 rows
MAZE = Recipe(TASKS["antmaze-umaze-diverse"], 0.0015)  # 1,500 rows: three episodes, one cut
POINT = Recipe(TASKS["pointmaze-medium-play"], 0.0006)  # 600 rows: thirty legs
RECIPES = [HOPPER, WALKER, MAZE, POINT]
FIELDS = list(Dataset.__dataclass_fields__)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Empty folders for policies and datasets."""
    monkeypatch.setattr(policy, "POLICY_FOLDER", tmp_path / "policies")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    for recipe in RECIPES:
        for name in recipe.policies:
            random_policy(recipe, name)


def random_policy(recipe, name, seed=0):
    """Write a small random network as the policy ``name``."""
    generator = np.random.default_rng([seed, *name.encode()])
    spec = recipe.task.spec
    inputs, outputs = spec.observation_dim, 2 * spec.action_dim
    if recipe.task.family == "antmaze":
        inputs, outputs = 29, spec.action_dim
    sizes = [(inputs, 8), (8, 8), (8, outputs)]
    policy.Policy(
        kernels=tuple(generator.normal(0.0, 0.3, size) for size in sizes),
        biases=tuple(generator.normal(0.0, 0.3, size[1]) for size in sizes),
        mean=np.zeros(inputs),
        std=np.ones(inputs),
    ).save(name)


def assert_equal(one, two):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)


def made_hash(recipe):
    return read_metadata(recipe)["hash"]


def refusal(function, *args):
    """The one-line message of the InputError that ``function`` raises."""
    with pytest.raises(InputError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("recipe", [WALKER, MAZE], ids=lambda r: r.task.name)
def test_collected_arrays_do_not_depend_on_the_number_of_threads(recipe):
    # More than one lane, so that two threads have something to share.
    recipe = Recipe(recipe.task, 0.002)
    one, two = (collect_block(recipe, 0, 0, num_threads) for num_threads in (1, 2))
    assert len(one) == len(two) > 1
    for a, b in zip(one, two, strict=True):
        for field in dataclasses.fields(a):
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def test_every_episode_has_a_seed_of_its_own():
    other = Recipe(TASKS["hopper-medium"], 0.0005)
    blocks = [(HOPPER, 0, 0), (HOPPER, 0, 1), (HOPPER, 1, 0), (other, 0, 0)]
    states = [
        tuple(seed.generate_state(4)) for block in blocks for seed in block_seeds(*block, lanes=3)
    ]
    assert len(set(states)) == 12
    first = [seed.generate_state(4).tolist() for seed in block_seeds(HOPPER, 0, 0, lanes=3)]
    again = [seed.generate_state(4).tolist() for seed in block_seeds(HOPPER, 0, 0, lanes=3)]
    assert first == again


def test_seeds_of_episodes_are_those_of_every_dataset_so_far():
    """Others would make all datasets anew, and with them every committed score."""
    seeds = [seed.generate_state(2).tolist() for seed in block_seeds(HOPPER, 1, 2, lanes=2)]
    assert seeds == [[285527557, 4073583737], [2671368658, 3201209582]]


def test_the_noise_of_each_lane_is_its_own_and_nothing_else_draws_it():
    spec, noises = HOPPER.task.spec, []

    def step(observations, noise, active):
        noises.append(noise)
        return noise, observations, np.zeros(3), np.zeros(3, bool), np.zeros(3, bool)

    zeros = np.zeros((3, spec.observation_dim))
    assert len(list(record(zeros, step, block_seeds(HOPPER, 0, 0, 3), spec, limit=4))) == 3
    found = np.stack(noises, axis=1)
    for lane, seed in enumerate(block_seeds(HOPPER, 0, 0, 3)):
        # Not the lane's own generator, from which tours draw starts, goals and ways.
        generator = np.random.default_rng(seed.spawn(1)[0])
        np.testing.assert_array_equal(found[lane], generator.standard_normal((4, 3), np.float32))


def test_a_block_has_as_many_lanes_as_its_rows_can_fill():
    assert [num_lanes(rows, 1000) for rows in (1, 1000, 1001, 49_001, 10**6)] == [1, 1, 2, 50, 50]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.task.name)
def test_a_made_dataset_is_whole_and_reads_as_it_was_written(recipe):
    progress = []
    assert make(recipe, num_threads=1, progress=progress.append)
    dataset, provenance = read(recipe.task, recipe.scale)
    assert dataset.num_rows == recipe.num_rows <= progress[-1]
    assert progress == sorted(progress)
    ends = dataset.episode_ends
    over = dataset.terminations[ends] | dataset.truncations[ends]
    assert over.all()
    inside = np.setdiff1d(np.arange(dataset.num_rows), ends)
    assert not dataset.truncations[inside].any()
    if recipe.task.family == "locomotion":
        assert not dataset.terminations[inside].any()
        # Random policies fall long before time is up, and only the last episode of all is cut.
        assert not dataset.truncations[:-1].any()
        assert (dataset.terminations[ends] ^ dataset.truncations[ends]).all()
    assert provenance["dataset_id"] == recipe.dataset_id
    assert provenance["source"] == "regenerated"
    assert provenance["scale"] == recipe.scale
    assert provenance["recipe"] == recipe.fingerprint()
    assert_equal(dataset, registry.load(recipe.task, "regenerated", recipe.scale)[0])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.task.name)
def test_the_parts_stand_in_order_and_each_goes_on_to_the_end_of_an_episode(recipe):
    make(recipe, num_threads=1)
    dataset, _ = read(recipe.task, recipe.scale)
    row = bound = 0
    for part, (_, rows) in enumerate(recipe.parts):
        # A part begins with the first episode of its first block, where the one before it ended.
        assert row == 0 or row - 1 in dataset.episode_ends
        episode = collect_block(recipe, part, 0, num_threads=1)[0]
        kept = slice(row, row + len(episode.rewards))
        length = len(dataset.rewards[kept])
        np.testing.assert_array_equal(dataset.rewards[kept], episode.rewards[:length])
        np.testing.assert_array_equal(dataset.actions[kept], episode.actions[:length])
        np.testing.assert_array_equal(dataset.observations[kept], episode.observations[:length])
        bound += rows
        row = 1 + int(dataset.episode_ends[dataset.episode_ends >= bound - 1][0])
    assert row == bound == recipe.num_rows


def test_a_dataset_is_its_blocks_end_to_end_up_to_its_number_of_rows():
    recipe = Recipe(TASKS["hopper-medium"], 0.0025)
    random_policy(recipe, "hopper-medium")
    make(recipe, num_threads=1)
    dataset, _ = read(recipe.task, recipe.scale)
    rewards, block = [], 0
    while sum(map(len, rewards)) < 2500:
        episodes = collect_block(recipe, 0, block, num_threads=1)
        assert len(episodes) == 3
        rewards += [episode.rewards for episode in episodes]
        block += 1
    assert block > 2
    np.testing.assert_array_equal(dataset.rewards, np.concatenate(rewards)[:2500])
    lengths = dataset.episode_lengths.tolist()
    assert lengths[:-1] == [len(r) for r in rewards[: len(lengths) - 1]]


def test_shares_of_the_parts_are_equal_to_a_row():
    assert [rows for _, rows in WALKER.parts] == [100, 100]
    assert [name for name, _ in WALKER.parts] == ["walker2d-medium", "walker2d-expert"]
    rows = [rows for _, rows in HOPPER.parts]
    assert len(rows) == 12
    assert sum(rows) == 804
    assert set(rows) == {67}
    assert MAZE.parts == [("ant", 1500)]


def test_minari_opens_the_dataset_with_its_environment_and_scores():
    make(MAZE, num_threads=1)
    opened = minari.load_dataset(MAZE.dataset_id)
    assert opened.total_steps == 1500
    assert opened.total_episodes == 3
    assert opened.env_spec.id == "AntMaze-umaze-v0"
    assert [len(episode.rewards) for episode in opened.iterate_episodes()] == [700, 700, 100]
    assert opened.storage.metadata["ref_max_score"] == 1.0


def test_a_dataset_that_exists_is_not_made_again(monkeypatch):
    assert make(WALKER, num_threads=1) is True
    monkeypatch.setattr(making, "collect_block", None)
    assert make(WALKER, num_threads=1) is False


def test_overwriting_gives_the_same_dataset():
    make(WALKER, num_threads=1)
    before, digest = read(WALKER.task, WALKER.scale)[0], made_hash(WALKER)
    assert make(WALKER, num_threads=2, overwrite=True) is True
    assert made_hash(WALKER) == digest
    assert_equal(read(WALKER.task, WALKER.scale)[0], before)


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(monkeypatch):
    make(HOPPER, num_threads=1)
    undisturbed = made_hash(HOPPER)
    collected = []

    def killed(recipe, part, block, num_threads):
        if collected:
            raise KeyboardInterrupt
        collected.append((part, block))
        return collect_block(recipe, part, block, num_threads)

    def counted(recipe, part, block, num_threads):
        collected.append((part, block))
        return collect_block(recipe, part, block, num_threads)

    monkeypatch.setattr(making, "collect_block", killed)
    with pytest.raises(KeyboardInterrupt):
        make(HOPPER, num_threads=1, overwrite=True)
    assert made_hash(HOPPER) == undisturbed  # the dataset that was there still is
    monkeypatch.setattr(making, "collect_block", counted)
    make(HOPPER, num_threads=1, overwrite=True)
    assert made_hash(HOPPER) == undisturbed
    assert collected[0] == (0, 0)
    assert len(collected) > 12
    assert len(set(collected)) == len(collected)


def locks():
    """The locks beside datasets, and for each whether somebody holds it."""
    held = {}
    for path in dataset_folder(WALKER.dataset_id).parent.glob(".*.lock"):
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held[path] = True
            else:
                held[path] = False
    return held


def test_a_dataset_is_made_under_a_lock_of_its_own(monkeypatch):
    seen = []

    def look(*arguments):
        seen.extend(locks().values())
        return collect_block(*arguments)

    def look_too(*arguments):
        seen.extend(locks().values())
        return write(*arguments)

    write = making._write
    monkeypatch.setattr(making, "collect_block", look)
    monkeypatch.setattr(making, "_write", look_too)
    make(WALKER, num_threads=1)
    assert len(seen) > 2
    assert all(seen)
    assert list(locks().values()) == [False]


def test_a_dataset_that_another_process_makes_is_waited_for():
    make(WALKER, num_threads=1)
    (lock,) = locks()
    target = dataset_folder(WALKER.dataset_id)
    made, said = [], threading.Event()

    def make_again():
        made.append(make(WALKER, num_threads=1, report=lambda line: said.set()))

    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        moved = target.rename(target.with_name("aside"))
        second = threading.Thread(target=make_again)
        second.start()
        assert said.wait(60)
        assert not target.exists()
        moved.rename(target)  # as the first process does at its end
    second.join(60)
    assert made == [False]


def test_blocks_of_other_policies_are_not_used(monkeypatch):
    def killed(recipe, part, block, num_threads):
        if (part, block) != (0, 0):
            raise KeyboardInterrupt
        return collect_block(recipe, part, block, num_threads)

    with monkeypatch.context() as patch:
        patch.setattr(making, "collect_block", killed)
        with pytest.raises(KeyboardInterrupt):
            make(WALKER, num_threads=1)
    random_policy(WALKER, "walker2d-medium", seed=1)
    make(WALKER, num_threads=1)
    after_the_kill = made_hash(WALKER)
    make(WALKER, num_threads=1, overwrite=True)
    assert made_hash(WALKER) == after_the_kill


def test_a_block_that_was_cut_short_is_collected_again(monkeypatch):
    make(WALKER, num_threads=1)
    undisturbed = made_hash(WALKER)
    folder = dataset_folder(WALKER.dataset_id)
    for length in (0, 1000):

        def cut(*arguments, length=length):
            (block,) = folder.parent.rglob("part-00-block-0000.npz")
            block.write_bytes(block.read_bytes()[:length])
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(making, "_write", cut)
            with pytest.raises(KeyboardInterrupt):
                make(WALKER, num_threads=1, overwrite=True)
        make(WALKER, num_threads=1, overwrite=True)
        assert made_hash(WALKER) == undisturbed


def test_blocks_of_another_physics_are_not_used(monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    collected = []

    def counted(*arguments):
        collected.append(arguments)
        return collect_block(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(making, "_write", stop)
        patch.setattr(making, "version", lambda name: "1.0")
        with pytest.raises(KeyboardInterrupt):
            make(WALKER, num_threads=1)
    monkeypatch.setattr(making, "collect_block", counted)
    make(WALKER, num_threads=1)
    assert collected


def test_nothing_but_the_dataset_and_its_lock_is_left_behind():
    make(WALKER, num_threads=1)
    folder = dataset_folder(WALKER.dataset_id)
    left = sorted(path.name for path in folder.parent.iterdir())
    assert left == [f".{folder.name}.lock", folder.name]


def stop_at(monkeypatch, module, name):
    """The process is killed at the last call of ``name``, for which nothing is done."""

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, name, stop)


def test_what_a_kill_after_the_move_left_behind_goes_with_the_next_run(monkeypatch):
    folder = dataset_folder(WALKER.dataset_id)
    remove = files.remove

    def killed(path):
        if path.name.endswith(".making") and folder.exists():
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            make(WALKER, num_threads=1)
    assert folder.with_name(f".{folder.name}.making").exists()
    monkeypatch.setattr(making, "collect_block", None)
    assert make(WALKER, num_threads=1) is False
    left = sorted(path.name for path in folder.parent.iterdir())
    assert left == [f".{folder.name}.lock", folder.name]


def test_a_look_at_a_dataset_keeps_the_blocks_of_one_that_is_to_replace_it(monkeypatch):
    make(WALKER, num_threads=1)
    with monkeypatch.context() as patch:
        stop_at(patch, making, "_write")
        with pytest.raises(KeyboardInterrupt):
            make(WALKER, num_threads=1, overwrite=True)
    monkeypatch.setattr(making, "collect_block", None)
    assert make(WALKER, num_threads=1) is False
    assert make(WALKER, num_threads=1, overwrite=True) is True


@pytest.mark.parametrize("cut", ["block", "main_data.hdf5", "metadata.json"])
def test_a_full_disk_is_an_error_that_keeps_what_was_collected(monkeypatch, cut):
    write = files.write_bytes

    def refuse(path, content):
        if cut in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        if cut == "metadata.json":
            failing = lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left"))
            patch.setattr(making.MinariStorage, "update_metadata", failing)
        patch.setattr(files, "write_bytes", refuse)
        with pytest.raises(OSError, match="No space left"):
            make(WALKER, num_threads=1)
    folder = dataset_folder(WALKER.dataset_id)
    assert not folder.exists()
    left = sorted(path.name for path in folder.with_name(f".{folder.name}.making").iterdir())
    assert all(name.startswith(("part-", "recipe.json")) for name in left)
    assert any(name.startswith("part-") for name in left) == (cut != "block")
    if cut != "block":
        monkeypatch.setattr(making, "collect_block", None)
    assert make(WALKER, num_threads=1) is True


def test_hdf5_never_writes_to_the_disk_whose_end_it_would_not_survive(monkeypatch):
    opened = []

    class File(h5py.File):
        def __init__(self, name, *arguments, **options):
            opened.append(name)
            super().__init__(name, *arguments, **options)

    monkeypatch.setattr(h5py, "File", File)
    make(WALKER, num_threads=1)
    assert opened
    assert not [name for name in opened if isinstance(name, str | os.PathLike)]


def test_a_disk_without_room_is_refused_before_anything_is_collected(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    monkeypatch.setattr(making, "collect_block", None)
    with pytest.raises(OSError, match=r"it takes 38 kB and 10 kB are free") as caught:
        make(WALKER, num_threads=1)
    assert caught.value.errno == errno.ENOSPC


def test_a_dataset_that_is_there_needs_nothing_to_be_written(monkeypatch):
    make(WALKER, num_threads=1)
    for lock in dataset_folder(WALKER.dataset_id).parent.glob(".*.lock"):
        lock.unlink()
    for name in ("locked", "replacing", "write_bytes"):
        monkeypatch.setattr(files, name, None)
    assert make(WALKER, num_threads=1) is False


def test_links_at_the_names_that_are_written_to_are_not_followed(tmp_path):
    folder = dataset_folder(WALKER.dataset_id)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    folder.parent.mkdir(parents=True)
    folder.with_name(f".{folder.name}.making").symlink_to(outside)
    folder.symlink_to(outside)
    assert make(WALKER, num_threads=1, overwrite=True)
    assert not folder.is_symlink()
    assert [path.name for path in outside.iterdir()] == ["precious"]
    lock = folder.with_name(f".{folder.name}.lock")
    lock.unlink()
    lock.symlink_to(outside / "precious")
    assert "is a symbolic link" in refusal(lambda: make(WALKER, overwrite=True))
    assert (outside / "precious").read_text() == "precious"


def test_datasets_may_be_kept_in_a_folder_that_is_named_from_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", "here")
    assert make(WALKER, num_threads=1) is True
    assert dataset_folder(WALKER.dataset_id) == tmp_path / "here" / WALKER.dataset_id
    assert make(WALKER, num_threads=1) is False


def test_an_empty_name_of_the_folder_of_datasets_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINARI_DATASETS_PATH", "")
    assert dataset_folder("a/b") == tmp_path / ".minari" / "datasets" / "a" / "b"


@pytest.mark.parametrize("home", ["/proc/nobody", "/dev/null/nobody"])
def test_a_home_that_cannot_be_made_is_one_line(monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    text = refusal(dataset_folder, "a/b")
    assert f"datasets cannot be kept at {home}" in text
    assert text.endswith("name a folder in $MINARI_DATASETS_PATH")


def test_a_missing_dataset_names_the_command_that_makes_it():
    text = refusal(read, WALKER.task, WALKER.scale)
    assert f"dataset {WALKER.dataset_id} is not in " in text
    assert "run: rl-or-bc data make --tasks walker2d-medium-expert --scale 0.0001" in text
    assert "--overwrite" not in text


def test_a_missing_policy_names_the_command_that_makes_it():
    policy.POLICY_FOLDER.joinpath("walker2d-expert.npz").unlink()
    for function in (lambda: make(WALKER), lambda: WALKER.fingerprint()):
        text = refusal(function)
        assert "walker2d-expert.npz is missing; run: make policies" in text


@pytest.mark.parametrize("damage", ["no metadata", "cut metadata", "foreign metadata"])
def test_a_half_written_dataset_is_refused_with_the_fix(damage):
    make(WALKER, num_threads=1)
    metadata = dataset_folder(WALKER.dataset_id) / "data" / "metadata.json"
    if damage == "no metadata":
        metadata.unlink()
    elif damage == "cut metadata":
        metadata.write_text(metadata.read_text()[:100])
    else:
        metadata.write_text(json.dumps({"total_episodes": 1}))
    for function in (lambda: read(WALKER.task, WALKER.scale), lambda: make(WALKER)):
        text = refusal(function)
        assert "is half written or was not made here; run: rl-or-bc data make" in text
        assert text.endswith("--overwrite")
    make(WALKER, num_threads=1, overwrite=True)
    read(WALKER.task, WALKER.scale)


def test_a_dataset_of_other_policies_is_refused_with_the_fix():
    make(WALKER, num_threads=1)
    random_policy(WALKER, "walker2d-expert", seed=1)
    for function in (lambda: read(WALKER.task, WALKER.scale), lambda: make(WALKER)):
        text = refusal(function)
        assert "was made by another version of the recipe or its policies; run:" in text
        assert text.endswith("--overwrite")
    make(WALKER, num_threads=1, overwrite=True)
    read(WALKER.task, WALKER.scale)


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_a_corrupt_file_is_refused_with_the_fix(damage):
    make(WALKER, num_threads=1)
    file = dataset_folder(WALKER.dataset_id) / "data" / "main_data.hdf5"
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        file.write_bytes(b"not a dataset")
    else:
        file.unlink()
    text = refusal(read, WALKER.task, WALKER.scale)
    assert f"dataset {WALKER.dataset_id} cannot be read (" in text
    assert text.endswith("--tasks walker2d-medium-expert --scale 0.0001 --overwrite")


def test_changed_values_are_refused_by_their_hash():
    make(WALKER, num_threads=1)
    file = dataset_folder(WALKER.dataset_id) / "data" / "main_data.hdf5"
    with h5py.File(file, "r+") as opened:
        opened["episode_0/rewards"][0] += 1.0
    assert "differs from its recorded hash; run:" in refusal(read, WALKER.task, WALKER.scale)


@pytest.mark.parametrize("scale", [0.0, -0.1, 1.1])
def test_a_scale_out_of_range_is_refused(scale):
    assert f"scale {scale:g} is not above 0 and at most 1" in refusal(Recipe, MAZE.task, scale)


def test_an_unknown_source_is_refused_with_the_near_miss():
    text = refusal(registry.load, MAZE.task, "regenerate", 1.0)
    assert text == "unknown source 'regenerate'; did you mean 'regenerated'?"


def test_maze_rewards_are_1_exactly_within_half_a_metre_of_the_stored_goal(monkeypatch):
    # A random policy stays about where it starts, so the goals are put there.
    near = lambda maze, generator: np.array([0.4, 0.1]) + generator.uniform(-0.1, 0.1, 2)
    monkeypatch.setattr(tours, "draw_goal", near)
    recipe = Recipe(TASKS["antmaze-umaze"], 0.0014)
    make(recipe, num_threads=1)
    dataset, provenance = read(recipe.task, recipe.scale)
    episodes = list(minari.load_dataset(recipe.dataset_id).iterate_episodes())
    goals = [episode.infos["goal"] for episode in episodes]
    lengths = dataset.episode_lengths
    assert [goal.shape for goal in goals] == [(length + 1, 2) for length in lengths]
    assert (goals[0] == goals[0][0]).all()
    assert (goals[0] != goals[1]).all()
    goals = np.concatenate([goal[:-1] for goal in goals])
    distances = np.linalg.norm(dataset.next_observations[:, :2] - goals, axis=1)
    np.testing.assert_array_equal(dataset.rewards, distances <= 0.5)
    np.testing.assert_array_equal(dataset.terminations, dataset.rewards == 1.0)
    assert 0 < dataset.rewards.sum() < 1400
    # Reaching the goal is not the end of an episode.
    assert dataset.terminations.sum() > len(episodes)
    assert set(dataset.truncations.nonzero()[0]) <= set(dataset.episode_ends)
    assert provenance["goals_reached_fraction"] == 1.0


def test_an_ant_stays_at_its_goal_for_a_while(monkeypatch):
    monkeypatch.setattr(tours, "draw_goal", lambda maze, generator: np.zeros(2))  # where it starts
    recipe = Recipe(TASKS["antmaze-umaze"], 0.0003)
    make(recipe, num_threads=1)
    lengths = read(recipe.task, recipe.scale)[0].episode_lengths
    stays = 1 + tours.STAY_STEPS
    assert lengths.tolist() == [stays] * (300 // stays) + [300 % stays]


def test_an_ant_takes_another_way_each_time(monkeypatch):
    spots = []
    target = tours.Waypoints.target

    def told(self, xy, goals, offsets):
        spots.append(offsets.copy())
        return target(self, xy, goals, offsets)

    monkeypatch.setattr(tours.Waypoints, "target", told)
    recipe = Recipe(TASKS["antmaze-medium-play"], 0.002)
    collect_block(recipe, 0, 0, num_threads=1)
    seen = np.concatenate(spots)
    assert np.abs(seen).max() <= tours.ANT_SPREAD
    assert np.quantile(seen, [0.1, 0.9]) == pytest.approx([-1.2, 1.2], abs=0.3)


def test_the_description_has_the_datasets_numbers():
    make(WALKER, num_threads=1)
    dataset, provenance = read(WALKER.task, WALKER.scale)
    size, quality = facts.describe(dataset, WALKER.task, provenance, 2_000_000)
    row = size | quality
    assert row["MB"] == 2.0
    assert row["rows"] == 200
    assert row["episodes"] == len(dataset.episode_ends)
    assert row["terminated"] + row["truncated"] == row["episodes"]
    assert row["hash"] == provenance["hash"][:8]
    low, high = WALKER.task.reference_returns
    mean = 100.0 * (dataset.episode_returns.mean() - low) / (high - low)
    assert row["mean"] == pytest.approx(mean)


def test_the_description_of_a_maze_counts_the_episodes_that_lead_from_start_to_goal():
    make(POINT, num_threads=1)
    dataset, provenance = read(POINT.task, POINT.scale)
    quality = facts.describe(dataset, POINT.task, provenance, 0)[1]
    assert quality["start to goal"] == 0
    # As if one of its episodes were a way from start to goal.
    first, last = dataset.episode_starts[3], dataset.episode_ends[3]
    cells = [maps.find_cells("medium", mark)[0] for mark in "RG"]
    dataset.observations[first : last + 1, :2], goal = maps.cell_to_xy(cells)
    dataset.final_observations[3, :2] = goal
    quality = facts.describe(dataset, POINT.task, provenance, 0)[1]
    assert quality["start to goal"] == 1
    make(WALKER, num_threads=1)
    dataset, provenance = read(WALKER.task, WALKER.scale)
    assert "start to goal" not in facts.describe(dataset, WALKER.task, provenance, 0)[1]
