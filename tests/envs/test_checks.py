import dataclasses
import hashlib

import numpy as np
import pytest

from envs import toy as toys
from envs.dataset import Dataset, check, content_hash
from envs.errors import InputError
from envs.spaces import Box

# The toy's episodes have 3, 4, 5, ... rows, so they end at rows 2, 6, 11, 17, 24, 32, 41, 51.
FIELDS = list(Dataset.__dataclass_fields__)


def changed(dataset, name, row, value):
    """``dataset`` with one row of one array replaced."""
    array = getattr(dataset, name).copy()
    array[row] = value
    return dataclasses.replace(dataset, **{name: array})


def message(dataset, spec):
    with pytest.raises(InputError) as caught:
        check(dataset, spec, "file.hdf5")
    text = str(caught.value)
    assert text.startswith("file.hdf5: ")
    assert "\n" not in text
    return text


def test_whole_datasets_pass(toy):
    check(*toy, "file.hdf5")


@pytest.mark.parametrize(
    "make",
    [
        toys.constant_reward,
        toys.two_step,
        toys.mixed_quality,
        toys.stitching,
        toys.random_episodes,
    ],
)
def test_probe_datasets_pass(make):
    check(*make(), "probe")


def test_an_empty_dataset_is_refused(toy):
    dataset, spec = toy
    empty = dataclasses.replace(dataset, **{name: getattr(dataset, name)[:0] for name in FIELDS})
    assert "no rows; make or download the dataset again" in message(empty, spec)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("observations", "(52, 3)"),
        ("actions", "(52, 2)"),
        ("terminations", "(52,)"),
        ("truncations", "(52,)"),
    ],
)
def test_an_array_with_too_few_rows_is_refused(toy, name, expected):
    dataset, spec = toy
    short = dataclasses.replace(dataset, **{name: getattr(dataset, name)[:-1]})
    text = message(short, spec)
    assert f"{name} has shape (51" in text
    assert f"expected {expected}; is this the dataset of another task?" in text


@pytest.mark.parametrize("field", ["observation", "action"])
def test_an_array_of_another_width_is_refused(toy, field):
    dataset, spec = toy
    other = dataclasses.replace(spec, **{field: Box((7,))})
    assert "expected (52, 7); is this the dataset of another task?" in message(dataset, other)


@pytest.mark.parametrize("name", ["observations", "actions", "rewards"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_row(toy, name, value):
    dataset, spec = toy
    broken = changed(changed(dataset, name, 31, value), name, 13, value)
    assert f"{name} row 13 is not finite (2 such rows); make or" in message(broken, spec)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "bound"), [("observations", 1e18), ("final_observations", 1e18), ("rewards", 1e12)]
)
def test_a_value_whose_square_or_sum_is_no_float32_is_refused_by_row(toy, name, bound, sign):
    dataset, spec = toy
    broken = changed(dataset, name, 5, sign * 1.1 * bound)
    assert f"{name} row 5 is beyond {bound:g} (1 such rows)" in message(broken, spec)


@pytest.mark.parametrize("value", [1.001, -1.001])
def test_an_action_out_of_range_is_refused_by_row(toy, value):
    dataset, spec = toy
    broken = changed(dataset, "actions", (20, 1), value)
    assert "actions row 20 leaves [-1, 1] (1 such rows); rescale" in message(broken, spec)


def test_actions_may_touch_the_bounds(toy):
    dataset, spec = toy
    check(changed(changed(dataset, "actions", 3, 1.0), "actions", 4, -1.0), spec, "file")


def test_rows_after_the_last_episode_are_refused(toy):
    dataset, spec = toy
    text = "the last row, 51, does not end an episode; the file was cut"
    for ends in (dataset.episode_ends[:-1], dataset.episode_ends[:0]):
        assert text in message(dataclasses.replace(dataset, episode_ends=ends), spec)


@pytest.mark.parametrize(("name", "row"), [("terminations", 11), ("truncations", 17)])
def test_an_episode_that_nothing_ends_is_refused_by_row(toy, name, row):
    dataset, spec = toy
    assert getattr(dataset, name)[row]
    broken = changed(dataset, name, row, False)
    text = f"the episode that ends at row {row} is neither terminated nor truncated there"
    assert text in message(broken, spec)


def test_an_episode_that_goes_on_after_it_was_truncated_is_refused_by_row(toy):
    dataset, spec = toy
    number = int(np.flatnonzero(dataset.truncations[dataset.episode_ends])[0])
    row = dataset.episode_ends[number]
    # It passes for one with the next.
    ends = {
        name: np.delete(getattr(dataset, name), number, axis=0)
        for name in ("episode_ends", "final_observations")
    }
    broken = dataclasses.replace(dataset, **ends)
    assert f"the episode of row {row} goes on after it was truncated there" in message(broken, spec)


def test_every_episode_has_what_followed_its_last_row(toy):
    dataset, spec = toy
    short = dataclasses.replace(dataset, final_observations=dataset.final_observations[:-1])
    assert "final_observations has shape (7, 3), expected (8, 3)" in message(short, spec)
    text = message(changed(dataset, "final_observations", 2, np.nan), spec)
    assert "final_observations row 2 is not finite (1 such rows)" in text


def test_what_follows_a_row_is_the_next_row_or_what_ended_its_episode(toy):
    dataset, _ = toy
    dataset = changed(dataset, "final_observations", 1, 99.0)
    np.testing.assert_array_equal(dataset.next_observations[0], dataset.observations[1])
    assert (dataset.next_observations[6] == 99.0).all()
    assert len(dataset.next_observations) == dataset.num_rows


def test_the_hash_is_that_of_the_arrays_with_what_follows_each_row(toy):
    """Hashes on record were made when each row had its successor beside it."""
    dataset, _ = toy
    digest = hashlib.sha256()
    names = ("observations", "actions", "rewards", "terminations", "truncations", "episode_ends")
    for name in (*names, "next_observations"):
        digest.update(getattr(dataset, name).tobytes())
    assert content_hash(dataset) == digest.hexdigest()


@pytest.mark.parametrize("name", FIELDS)
def test_the_hash_changes_with_any_array(toy, name):
    dataset, _ = toy
    array = getattr(dataset, name)
    other = ~array[7] if array.dtype == bool else array[7] - 1
    assert content_hash(changed(dataset, name, 7, other)) != content_hash(dataset)


def test_the_hash_changes_with_the_order_of_rows(toy):
    dataset, _ = toy
    reversed_rows = dataclasses.replace(dataset, rewards=dataset.rewards[::-1])
    assert content_hash(reversed_rows) != content_hash(dataset)


def test_equal_data_has_an_equal_hash_whatever_its_layout(toy):
    dataset, _ = toy
    copies = {name: np.asfortranarray(getattr(dataset, name)) for name in FIELDS}
    assert not copies["observations"].flags.c_contiguous
    assert content_hash(dataclasses.replace(dataset, **copies)) == content_hash(dataset)
