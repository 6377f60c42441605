"""The names that a notebook may rely on, from data to a film."""

import numpy as np
import pytest
from PIL import Image

from bench import cli, notebook
from envs.errors import InputError

SCALE = 0.002  # that of the datasets that tests share


def test_from_data_to_rollouts(datasets):
    dataset, spec = notebook.load("hopper-medium", scale=SCALE)
    learned = notebook.train(
        "iql", dataset, spec, num_steps=20, seeds=(0, 3), hidden_dims=(16, 16), expectile=0.8
    )
    assert learned.metrics[0]["value_loss"].shape[1] == 2
    action = learned.policy(seed=3).act(dataset.observations[0])
    assert action.shape == (3,)
    assert np.abs(action).max() <= 1.0
    returns, lengths = notebook.roll_out(learned, "hopper-medium", num_episodes=2)
    assert returns.shape == lengths.shape == (2, 2)
    again, _ = notebook.roll_out(learned, "hopper-medium", num_episodes=2)
    assert again.tolist() == returns.tolist()


def test_arrays_of_ones_own_are_learned_from(toy):
    dataset, spec = toy
    learned = notebook.train("bc", dataset, spec, num_steps=5, batch_size=4, hidden_dims=(8,))
    assert learned.policy().seed == 0
    assert learned.policy().act(dataset.observations[0]).shape == (spec.action_dim,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expectil": 0.8}, "unknown setting of iql 'expectil'; did you mean 'expectile'?"),
        ({"expectile": 2.0}, "expectile must be between 0 and 1, got 2.0"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
    ],
)
def test_a_mistake_is_one_line(toy, changes, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        notebook.train("iql", *toy, **{"num_steps": 5} | changes)


def test_a_seed_that_was_not_trained_is_refused(toy):
    learned = notebook.train("bc", *toy, num_steps=2, batch_size=4, hidden_dims=(8,), seeds=(4, 6))
    with pytest.raises(InputError, match="seed 5 was not trained; there are 4, 6"):
        learned.policy(5)


@pytest.mark.parametrize("task", ["hopper-medium", "antmaze-umaze"])
def test_a_finished_cells_policy_is_filmed(datasets, tmp_path, capsys, task):
    arguments = ["train", "bc", task, "--profile", "smoke", "--results", str(tmp_path / "results")]
    assert cli.main(arguments) == 0
    (folder,) = (tmp_path / "results" / "runs" / "regenerated" / task / "bc").iterdir()
    policy = notebook.load_policy(folder)
    assert np.isfinite(policy.act(np.zeros(policy.spec.observation_dim))).all()
    path = tmp_path / "film.gif"
    capsys.readouterr()
    status = cli.main(["play", str(folder), "--video", str(path), "--seed", "0"])
    shown = capsys.readouterr()
    if status:  # a machine without OpenGL
        assert "no picture can be drawn here" in shown.err
        assert not path.exists()
        return
    with Image.open(path) as film:
        assert film.size == (320, 240)
        assert film.n_frames > 5
