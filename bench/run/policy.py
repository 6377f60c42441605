"""Finished policies: what a cell has learned, to be played again or used elsewhere.

A group's folder keeps its final parameters in ``policy/``, without the optimizers' state, and the
cell that they are of in ``cell.json``. In a notebook::

    from pathlib import Path
    from bench import notebook

    folder = Path("results/local/runs/regenerated/hopper-medium/iql/0123456789ab")
    policy = notebook.load_policy(folder)
    policy.reset()
    action = policy.act(observation)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algos import core
from algos.views import Statistics
from bench.run import checkpoint, groups
from bench.run.evaluate import evaluate, naming
from bench.run.placement import seed_sharding
from bench.run.plan import Cell, from_json, to_json
from bench.run.train import EVAL, Program, build, stream
from envs import files
from envs.environment import Environment, EnvSpec
from envs.errors import InputError
from envs.spaces import Array

_FOLDER, _CELL = "policy", "cell.json"


class Policy:
    """The policy that one seed has learned.

    Attributes:
        spec: of the environment that it acts in.
        seed: of the policy.
    """

    def __init__(
        self,
        program: Program,
        states: core.State,
        spec: EnvSpec,
        seeds: Sequence[int],
        seed: int | None = None,
    ) -> None:
        """Pick ``seed``, the first by default, from ``states``, whose leaves are ``[S, ...]``.

        Raises:
            InputError: ``seed`` is not among ``seeds``.
        """
        if seed is not None and seed not in seeds:
            raise InputError(f"seed {seed} was not trained; there are {', '.join(map(str, seeds))}")
        self.spec, self.seed = spec, seeds[0] if seed is None else seed
        index = seeds.index(self.seed)
        self._state = jax.tree.map(lambda leaf: leaf[index : index + 1], states)
        self._program = program
        self.reset()

    def reset(self, goal: Sequence[float] = (), episode: int = 0) -> None:
        """Forget what was seen; an episode begins.

        Args:
            goal: ``[G]`` for methods that are told the goal of mazes, x and y in metres.
            episode: number, from which policies that draw random numbers draw them.
        """
        keys = jax.vmap(lambda key: jax.random.fold_in(key, episode))(stream((self.seed,), EVAL))
        size = self.spec.goal_dim
        values = np.zeros(size) if len(goal) == 0 else np.asarray(goal, float)
        if values.shape != (size,):
            raise InputError(f"a goal has {size} numbers here, got {values.shape}")
        self._carries = self._program.reset(
            keys[:, None], jnp.asarray(values, jnp.float32)[None, None]
        )

    def act(self, observation: Array, last_reward: float = 0.0) -> Array:
        """The action ``[A]`` in [-1, 1] for ``observation`` ``[O]``.

        Args:
            observation: as the cell's environment shows it.
            last_reward: what the last action was paid; 0 at first. Some methods count it.
        """
        actions, self._carries = self._program.act(
            self._state,
            self._carries,
            jnp.asarray(observation, jnp.float32)[None, None],
            jnp.full((1, 1), last_reward, jnp.float32),
        )
        return np.asarray(actions)[0, 0]


def save(folder: Path, cell: Cell, states: core.State) -> None:
    """Keep what ``cell`` has learned, leaves ``[S, ...]``, in the ``folder`` of its group."""
    files.write_json(folder / _CELL, to_json(cell))
    checkpoint.write(folder / _FOLDER, _without_optimizers(states))


def load_group(folder: Path) -> tuple[Cell, Program, core.State]:
    """The cell of a group's ``folder``, its program and what it has learned, leaves ``[S, ...]``.

    Raises:
        InputError: there is none, or it cannot be used here.
    """
    cell = from_json(files.read_json(folder / _CELL))
    spec = cell.world.spec
    program = build(cell.algorithm, cell.config, spec)
    try:
        states = checkpoint.read(folder / _FOLDER, _like(program, spec, len(cell.settings.seeds)))
    except checkpoint.Unusable as error:
        raise InputError(f"policy {folder / _FOLDER} cannot be used ({error})") from None
    return cell, program, states


def load_policy(folder: Path, seed: int | None = None) -> Policy:
    """The policy that a seed of a finished cell has learned.

    Args:
        folder: of the cell, as ``rl-or-bc train`` prints it.
        seed: which; the first by default.

    Raises:
        InputError: there is none, or it cannot be used here.
    """
    found = find(folder, seed)
    cell, program, states = load_group(found)
    return Policy(program, states, cell.world.spec, cell.settings.seeds, seed)


def find(folder: Path, seed: int | None = None) -> Path:
    """The folder of the finished group that has ``seed``, or of the first group.

    Raises:
        InputError: there is none.
    """
    found = groups.finished(folder, None if seed is None else (seed,))
    if not found:
        which = "" if seed is None else f" of seed {seed}"
        raise InputError(f"no finished policy{which} in {folder}; name a cell's folder in runs/")
    return next(iter(found.values()))


def play(
    cell: Cell, program: Program, states: core.State, lanes: Environment, num_episodes: int
) -> tuple[Array, Array]:
    """Returns and lengths ``[S, E]`` of episodes, the same that the cell's evaluations played.

    With the cell's own number of episodes they are those of its last evaluation, bit by bit.
    """
    with naming(cell.task.name, cell.world.gymnasium_id):
        return evaluate(program, states, lanes, cell.settings.seeds, num_episodes)


def _without_optimizers(states: core.State) -> core.State:
    is_trainable = lambda part: isinstance(part, core.Trainable)
    strip = lambda part: dataclasses.replace(part, opt_state=()) if is_trainable(part) else part
    return jax.tree.map(strip, states, is_leaf=is_trainable)


def _like(program: Program, spec: EnvSpec, num_seeds: int) -> core.State:
    """Shapes, dtypes and places of what `save` keeps."""
    row = jax.ShapeDtypeStruct((spec.observation_dim,), jnp.float32)
    state = jax.eval_shape(program.algorithm.init, jax.random.key(0), Statistics(row, row))
    place = seed_sharding(num_seeds)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((num_seeds, *x.shape), x.dtype, sharding=place),
        _without_optimizers(state),
    )
