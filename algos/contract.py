"""The contract of methods as checks: a method that breaks one cannot be run as the others are.

The tests make them of every column, and ``rl-or-bc check-method`` of the methods in a user's file.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from algos import core, settings, views
from algos.registry import get_algorithm
from envs import toy
from envs.dataset import Dataset
from envs.environment import EnvSpec
from envs.errors import InputError
from envs.spaces import Box, Discrete, Space
from envs.tasks import FAMILIES

NUM_STEPS = 3


class Broken(AssertionError):
    """A method does not keep the contract."""


class Part(NamedTuple):
    """One phase: its compiled update, and the batches and metrics of `NUM_STEPS` updates."""

    phase: core.Phase
    update: Any
    batches: list[core.Batch]
    metrics: list[core.Metrics]


class Trained(NamedTuple):
    """A method with what `NUM_STEPS` updates of each of its phases gave.

    Attributes:
        name: the column.
        dataset: what it learned from.
        spec: sizes.
        algorithm: the pure functions.
        act: the policy, compiled.
        states: the first one, and that after each update.
        parts: its phases.
    """

    name: str
    dataset: Dataset
    spec: EnvSpec
    algorithm: core.Algorithm
    act: Any
    states: list[core.State]
    parts: list[Part]


def train(name: str, kind: type[Space] = Box) -> Trained:
    """The column after a few updates of narrow networks on random data.

    Args:
        name: the column.
        kind: the kind of the data's actions, one that the method takes.
    """
    entry = get_algorithm(name)
    numbers = toy.random_episodes()
    dataset, spec = numbers if kind is Box else toy.choices(numbers)
    config = settings.resolve(name, "own", settings.Size(NUM_STEPS, 8, (16, 16))).config
    algorithm = entry.make(config, spec)
    states, parts = [_first_state(algorithm, dataset, 0)], []
    for phase in algorithm.phases:
        view = jax.tree.map(jnp.asarray, phase.view(dataset))
        update = jax.jit(phase.update)
        batches = [phase.sample(jax.random.key(step), view) for step in range(NUM_STEPS)]
        metrics = []
        for step, batch in enumerate(batches):
            state, measured = update(states[-1], batch, jax.random.key(step), _number(step))
            states.append(state)
            metrics.append(measured)
        parts.append(Part(phase, update, batches, metrics))
    return Trained(name, dataset, spec, algorithm, jax.jit(algorithm.act), states, parts)


def broken(name: str) -> Iterator[tuple[str, str]]:
    """Make all `CHECKS` of a column, as strictly as the tests do.

    Yields:
        a check in words, and what is broken, or an empty text.

    Raises:
        InputError: the column cannot be trained at all.
    """
    with jax.numpy_rank_promotion("raise"), jax.debug_key_reuse(True):
        for kind in get_algorithm(name).actions:
            try:
                trained = train(name, kind)
            except InputError:
                raise
            except Exception as error:
                what = f"{name} cannot be trained on {kind.__name__} actions"
                raise InputError(f"{what}: {_line(error)}") from error
            on_choices = ", on choices" if kind is Discrete else ""
            for check in CHECKS:
                try:
                    check(trained)
                except Exception as error:
                    yield in_words(check) + on_choices, _line(error)
                else:
                    yield in_words(check) + on_choices, ""


def in_words(check: Callable[[Trained], None]) -> str:
    """The name of a check as a sentence."""
    return check.__name__.removeprefix("check_").replace("_", " ")


def check_settings_are_plain_values_in_every_family_and_size(trained: Trained) -> None:
    """They name a cell's folder, and programs are shared by those that are equal."""
    for family in FAMILIES:
        published = settings.resolve(trained.name, family).config
        small = settings.resolve(trained.name, family, settings.Size(10, 4, (8,))).config
        for config in (published, small):
            hash(config)
            json.dumps(dataclasses.asdict(config))
        # Methods whose steps cost more may take fewer or smaller ones, never more.
        fits = 1 <= small.num_steps <= 10 and 1 <= small.batch_size <= 4
        _require(fits and small.hidden_dims == (8,), f"a small size is not kept in {family}")


def check_an_update_changes_no_structure_shape_or_type(trained: Trained) -> None:
    """A changed state would be compiled again, and could not be read from a checkpoint."""
    for state in trained.states[1:]:
        _require_alike(trained.states[0], state, "a state")


def check_every_update_changes_the_state(trained: Trained) -> None:
    """An update that changes nothing learns nothing."""
    for before, after in zip(trained.states[:-1], trained.states[1:], strict=True):
        _require(_differ(before, after), "a state is the same after an update")


def check_an_update_compiles_once(trained: Trained) -> None:
    """Compiling takes longer than thousands of updates."""
    for part in trained.parts:
        count = part.update._cache_size()
        _require(count == 1, f"it was compiled {count} times")


def check_metrics_are_finite_numbers_with_the_same_names_each_time(trained: Trained) -> None:
    """They become columns of a file, and one that is not finite ends a seed."""
    for part in trained.parts:
        names = {tuple(sorted(metrics)) for metrics in part.metrics}
        _require(len(names) == 1 and names != {()}, f"their names are {sorted(names)}")
        for name, metric in ((n, m) for metrics in part.metrics for n, m in metrics.items()):
            _require(jnp.shape(metric) == (), f"{name} is no single number")
            _require(bool(jnp.isfinite(metric)), f"{name} is {metric}")


def check_an_update_is_pure(trained: Trained) -> None:
    """The same arguments give the same results, and are left as they are."""
    state = trained.states[0]
    for part in trained.parts:
        batch = part.batches[0]
        before = jax.tree.map(np.array, (state, batch))
        # Keys are used up, so each call makes its own.
        arguments = lambda batch=batch: (state, batch, jax.random.key(1), _number(0))
        one, other = (part.update(*arguments()) for _ in range(2))
        _require(not _differ(one, other), "the same arguments give other results")
        _require(not _differ(before, (state, batch)), "arguments are changed")
        # The program is the same at each tracing, so it takes nothing from outside.
        trace = lambda part=part: jax.make_jaxpr(lambda *args: part.phase.update(*args))
        programs = [re.sub(r"0x\w+", "", str(trace()(*arguments()))) for _ in range(2)]
        _require(programs[0] == programs[1], "each tracing gives another program")


def check_a_first_state_is_decided_by_its_key(trained: Trained) -> None:
    """Seeds differ by their keys alone."""
    same, other = (_first_state(trained.algorithm, trained.dataset, seed) for seed in (0, 1))
    _require(not _differ(trained.states[0], same), "the same key gives another state")
    _require(_differ(same, other), "another key gives the same state")


def check_a_first_state_can_be_traced_for_many_keys(trained: Trained) -> None:
    """Seeds are trained side by side."""
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    init = jax.vmap(trained.algorithm.init, in_axes=(0, None))
    shapes = jax.eval_shape(init, keys, views.statistics(trained.dataset))
    both = jax.tree.map(lambda x: jnp.stack([x, x]), trained.states[0])
    _require_alike(shapes, both, "a state of two seeds")


def check_states_hold_arrays_only(trained: Trained) -> None:
    """Checkpoints hold arrays, and none that is empty."""
    for leaf in jax.tree.leaves(trained.states):
        _require(isinstance(leaf, jax.Array), f"a state holds {type(leaf).__name__}")
        _require(leaf.size > 0, "a state holds an empty array")


def check_actions_are_in_bounds_and_memory_keeps_its_shape(trained: Trained) -> None:
    """An evaluation has one program for all its steps."""
    spec, state = trained.spec, trained.states[-1]
    first = carry = trained.algorithm.reset(jax.random.key(1), jnp.zeros(spec.goal_dim))
    generator = np.random.default_rng(0)
    actions = []
    for _ in range(20):
        seen = 10.0 * generator.standard_normal(spec.observation_dim)
        observation = jnp.asarray(seen, jnp.float32)
        action, carry = trained.act(state, carry, observation, jnp.asarray(0.5))
        _require(action.shape == spec.action.shape, f"an action has the shape {action.shape}")
        _require_alike(first, carry, "the memory")
        actions.append(action)
    if isinstance(spec.action, Discrete):
        _require(
            bool(spec.action.contains(np.stack(actions)).all()), "an action is none of the choices"
        )
    else:
        largest = float(np.abs(np.stack(actions)).max())
        _require(largest <= 1.0, f"an action of {largest:.3g} is outside [-1, 1]")
        different = len(np.unique(np.round(actions, 4), axis=0))
        _require(different > 5, "actions are nearly all the same")
    count = trained.act._cache_size()
    _require(count == 1, f"the policy was compiled {count} times")


def check_goals_of_any_width_are_accepted(trained: Trained) -> None:
    """Methods that are told no goal get it all the same."""
    spec = dataclasses.replace(trained.spec, goal=Box((2,)))
    config = settings.resolve(trained.name, "own").config
    algorithm = get_algorithm(trained.name).make(config, spec)
    jax.eval_shape(algorithm.reset, jax.random.key(0), jnp.zeros(2))


def check_a_method_that_keeps_a_normalizer_learns_from_what_comes_out_of_it(
    trained: Trained,
) -> None:
    """All observations of a batch go through the normalizer."""
    if not hasattr(trained.states[0], "normalizer"):
        return
    # Step 1 is in the cloning that CQL starts with and step 5 after it; TD3+BC moves its actor at
    # both of them.
    for index, part in enumerate(trained.parts):
        batch = part.batches[0]
        names = {"observations", "next_observations"} & set(batch._fields)
        rows = batch._replace(**{name: _raw(getattr(batch, name)) for name in names})
        scaling, plain = _normalized_and_not(trained.states[index * NUM_STEPS])
        for step in (1, 5):
            learn = lambda state, batch, part=part, step=step: part.update(
                state, batch, jax.random.key(1), _number(step)
            )
            (new, metrics), (expected, same) = learn(scaling, rows), learn(plain, batch)
            _require(_nearly(metrics, same) == 1.0, "metrics depend on the scale")
            # Adam's first step has the sign of rounding where a gradient is near 0, so a few leaves
            # differ.
            without = [state.replace(normalizer=()) for state in (new, expected)]
            _require(_nearly(*without) > 0.97, "the new state depends on the scale")
            _require(_differ(metrics, learn(plain, rows)[1]), "metrics do not know the scale")
            for name in names:
                one = rows._replace(**{name: getattr(batch, name)})
                _require(_differ(metrics, learn(scaling, one)[1]), f"{name} do not count")


def check_a_method_that_keeps_a_normalizer_acts_on_what_comes_out_of_it(trained: Trained) -> None:
    """The policy's observations go through the normalizer too."""
    if not hasattr(trained.states[0], "normalizer"):
        return
    scaling, plain = _normalized_and_not(trained.states[-1])
    goal = jnp.zeros(trained.spec.goal_dim)
    memories = [trained.algorithm.reset(jax.random.key(1), goal) for _ in range(3)]
    generator = np.random.default_rng(0)
    for _ in range(3):  # some remember what they saw
        observation = generator.standard_normal(3).astype(np.float32)
        seen = ((scaling, _raw(observation)), (plain, observation), (plain, _raw(observation)))
        played = []
        for index, (state, looks) in enumerate(seen):
            action, memories[index] = trained.act(state, memories[index], looks, jnp.asarray(0.5))
            played.append(action)
        _require(_nearly(played[0], played[1]) == 1.0, "actions depend on the scale")
        if isinstance(trained.spec.action, Box):  # a choice may be the same at both scales
            _require(np.abs(played[0] - played[2]).max() > 1e-3, "actions do not know the scale")


CHECKS: tuple[Callable[[Trained], None], ...] = (
    check_settings_are_plain_values_in_every_family_and_size,
    check_an_update_changes_no_structure_shape_or_type,
    check_every_update_changes_the_state,
    check_an_update_compiles_once,
    check_metrics_are_finite_numbers_with_the_same_names_each_time,
    check_an_update_is_pure,
    check_a_first_state_is_decided_by_its_key,
    check_a_first_state_can_be_traced_for_many_keys,
    check_states_hold_arrays_only,
    check_actions_are_in_bounds_and_memory_keeps_its_shape,
    check_goals_of_any_width_are_accepted,
    check_a_method_that_keeps_a_normalizer_learns_from_what_comes_out_of_it,
    check_a_method_that_keeps_a_normalizer_acts_on_what_comes_out_of_it,
)

# These are far from the identity, and different for each entry of an observation.
_MEAN = np.array([1.0, -2.0, 0.5], np.float32)
_STD = np.array([4.0, 0.5, 2.0], np.float32)


def _normalized_and_not(state: Any) -> tuple[Any, Any]:
    """``state`` with a normalizer of `_MEAN` and `_STD`, and with the identity."""
    scaling = state.normalizer.replace(mean=jnp.asarray(_MEAN), std=jnp.asarray(_STD))
    plain = state.normalizer.replace(mean=jnp.zeros(3), std=jnp.ones(3))
    return state.replace(normalizer=scaling), state.replace(normalizer=plain)


def _raw(observations: Any) -> jax.Array:
    """The input that such a normalizer turns into ``observations`` ``[..., 3]``."""
    return jnp.asarray(np.asarray(observations) * _STD + _MEAN)


def _first_state(algorithm: core.Algorithm, dataset: Dataset, seed: int) -> core.State:
    statistics = jax.tree.map(jnp.asarray, views.statistics(dataset))
    return algorithm.init(jax.random.key(seed), statistics)


def _number(step: int) -> jax.Array:
    return jnp.asarray(step, jnp.int32)


def _differ(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any(bool((a != b).any()) for a, b in pairs)


def _nearly(one: Any, other: Any) -> float:
    """The share of numbers that are equal but for rounding."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    near = [np.isclose(a, b, rtol=1e-3, atol=1e-4).ravel() for a, b in pairs]
    return float(np.mean(np.concatenate(near)))


def _require_alike(one: Any, other: Any, what: str) -> None:
    structures = {jax.tree.structure(tree) for tree in (one, other)}
    _require(len(structures) == 1, f"{what} gets another structure")
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        was, now = (f"{x.dtype}{list(x.shape)}" for x in (a, b))
        _require(was == now, f"{what} has {now} in place of {was}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise Broken(message)


def _line(error: Exception) -> str:
    """The error in one line."""
    message = (str(error).strip().splitlines() or [""])[0][:500]
    return message if isinstance(error, Broken) else f"{type(error).__name__}: {message}"
