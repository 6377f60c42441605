"""The contract of a method: pure functions over states that hold arrays only.

A method file offers ``Config`` (a subclass of ``core.Config``), ``CONFIGS`` (its published
settings where a family of tasks or a single task has its own) and ``make(config, spec) ->
Algorithm``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos.views import REWARD_TRANSFORMS, Statistics
from envs.dataset import Dataset
from envs.errors import InputError

Params = Any
State = Any
Carry = Any
Batch = Any
Metrics = dict[str, jax.Array]
Loss = tuple[jax.Array, Metrics]  # what a loss gives: its value [], and numbers to show


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings that every method has.

    Attributes:
        num_steps: gradient steps of the whole run.
        batch_size: rows per gradient step.
        learning_rate: Adam's step size.
        hidden_dims: widths of the hidden layers.
    """

    num_steps: int
    batch_size: int
    learning_rate: float
    hidden_dims: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        self.require("num_steps", self.num_steps >= 1, "at least 1")
        self.require("batch_size", self.batch_size >= 1, "at least 1")
        self.require("learning_rate", self.learning_rate > 0, "above 0")
        self.require("hidden_dims", min(self.hidden_dims, default=0) >= 1, "widths of at least 1")

    def require(self, field: str, holds: bool, rule: str) -> None:
        """Raise InputError about ``field`` unless ``holds``."""
        if not holds:
            raise InputError(f"{field} must be {rule}, got {getattr(self, field)!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueConfig(Config):
    """Settings of methods that learn values.

    Attributes:
        discount: gamma.
        polyak: share of the new network in its target at each update of the target.
        reward_transform: a key of ``algos.views.REWARD_TRANSFORMS``.
        normalize_observations: scale observations by the dataset's mean and deviation.
        layer_norm: layer norm in critic and value.
    """

    discount: float = 0.99
    polyak: float = 0.005
    reward_transform: str = "raw"
    normalize_observations: bool = False
    layer_norm: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no method of the kind can have."""
        super().__post_init__()
        self.require("discount", 0.0 <= self.discount < 1.0, "at least 0 and below 1")
        self.require("polyak", 0.0 < self.polyak <= 1.0, "above 0 and at most 1")
        known = sorted(REWARD_TRANSFORMS)
        self.require("reward_transform", self.reward_transform in known, f"one of {known}")


class Init(Protocol):
    """First state from a key (consumed) and what of the dataset may be kept in it."""

    def __call__(self, key: jax.Array, statistics: Statistics) -> State:
        """Called under ``jit``, and ``vmap`` over keys."""
        ...


class Sample(Protocol):
    """One batch from a view, on the device."""

    def __call__(self, key: jax.Array, view: Any) -> Batch:
        """``key`` is consumed."""
        ...


class Update(Protocol):
    """One gradient step. Pure: the same arguments give the same results."""

    def __call__(
        self, state: State, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[State, Metrics]:
        """``key`` is consumed; ``step`` ``[]`` counts from 0 and is never batched over seeds."""
        ...


class Reset(Protocol):
    """Policy memory at the start of an episode, of fixed size."""

    def __call__(self, key: jax.Array, goal: jax.Array) -> Carry:
        """``goal`` ``[G]`` is the environment's true goal, for methods that are told."""
        ...


class Act(Protocol):
    """The evaluation policy for one observation."""

    def __call__(
        self, state: State, carry: Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, Carry]:
        """Returns an action ``[A]`` for ``observation`` ``[O]``, and the new memory.

        Numbers lie in [-1, 1], and a choice is an int32.

        ``last_reward`` ``[]`` is raw, and 0 at the first step of an episode.
        """
        ...


class Rule(Protocol):
    """An evaluation policy that looks at the present observation alone."""

    def __call__(self, state: State, observation: jax.Array) -> jax.Array:
        """Returns an action ``[A]`` for ``observation`` ``[O]``."""
        ...


class Phase(NamedTuple):
    """One stretch of training with its own data view; most methods have exactly one."""

    num_steps: int
    view: Callable[[Dataset], Any]
    sample: Sample
    update: Update


class Algorithm(NamedTuple):
    """A method bound to its settings and sizes."""

    init: Init
    phases: tuple[Phase, ...]
    reset: Reset
    act: Act


class Trainable(struct.PyTreeNode):
    """Parameters with their optimizer's state."""

    params: Params
    opt_state: Any

    @classmethod
    def create(cls, params: Params, tx: optax.GradientTransformation) -> Trainable:
        """Fresh optimizer state for ``params``."""
        return cls(params=params, opt_state=tx.init(params))


def descend(
    loss: Callable[..., Loss],
    trainable: Trainable,
    tx: optax.GradientTransformation,
    *args: Any,
) -> tuple[Trainable, Metrics]:
    """One step of the optimizer down ``loss(params, *args) -> (loss [], metrics)``.

    Gradients flow through ``params`` alone; ``args``, and all that ``loss`` closes over, are
    constants.
    """
    grads, metrics = jax.grad(loss, has_aux=True)(trainable.params, *args)
    return _stepped(trainable, tx, grads), metrics


# CQL's 31 actions a row make 2 MB of a hidden layer of 256 units, which a processor's cache holds.
_ROWS_OF_A_PIECE = 64


def descend_in_pieces(
    loss: Callable[..., Loss],
    trainable: Trainable,
    tx: optax.GradientTransformation,
    *args: jax.Array,
    in_axes: tuple[int, ...],
) -> tuple[Trainable, Metrics]:
    """`descend`, on a CPU with the mean of the gradients of one piece of the batch after another.

    It is for losses of several actions a row, which fill the cache with a whole batch. An
    accelerator takes the whole batch, and so does a CPU where pieces do not divide it.

    Args:
        loss: a mean over rows, and so are its metrics.
        trainable: its parameters and their optimizer's state.
        tx: the optimizer.
        *args: the other arguments of the loss.
        in_axes: the axis of the B rows in each of ``args``.
    """
    num_rows = args[0].shape[in_axes[0]]
    pieces, rest = divmod(num_rows, _ROWS_OF_A_PIECE)
    if jax.default_backend() != "cpu" or pieces < 2 or rest:
        return descend(loss, trainable, tx, *args)
    split = lambda x, axis: jnp.stack(jnp.split(x, pieces, axis))
    gradient = lambda piece: jax.grad(loss, has_aux=True)(trainable.params, *piece)
    of_pieces = jax.lax.map(gradient, tuple(map(split, args, in_axes)))
    grads, metrics = jax.tree.map(lambda x: x.mean(0), of_pieces)
    return _stepped(trainable, tx, grads), metrics


def _stepped(trainable: Trainable, tx: optax.GradientTransformation, grads: Params) -> Trainable:
    updates, opt_state = tx.update(grads, trainable.opt_state, trainable.params)
    params = optax.apply_updates(trainable.params, updates)
    return Trainable(params=params, opt_state=opt_state)


def memoryless(act: Rule) -> tuple[Reset, Act]:
    """``reset`` and ``act`` of a policy that looks at the present observation only."""

    def reset(key: jax.Array, goal: jax.Array) -> Carry:
        del key, goal
        return ()

    def act_with_memory(
        state: State, carry: Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, Carry]:
        del last_reward
        return act(state, observation), carry

    return reset, act_with_memory
