"""The contract of a method: pure functions over states that hold arrays only.

A method file offers ``Config`` (a subclass of ``core.Config``), ``CONFIGS`` (its published
settings where a task family has its own) and ``make(config, spec) -> Algorithm``.
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
        """Returns an action ``[A]`` in [-1, 1] for ``observation`` ``[O]``, and the new memory.

        ``last_reward`` ``[]`` is raw, and 0 at the first step of an episode.
        """
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


class Normalizer(struct.PyTreeNode):
    """Observations shifted and scaled to mean 0 and standard deviation 1 over the dataset."""

    mean: jax.Array
    std: jax.Array

    @classmethod
    def create(cls, statistics: Statistics, enabled: bool) -> Normalizer:
        """The dataset's mean and deviation, or the identity unless ``enabled``.

        Source: 1e-3 added to the deviation, sfujim/TD3_BC@8791ad7 ``utils.py``.
        """
        mean, std = map(jnp.asarray, statistics)
        if not enabled:
            return cls(mean=jnp.zeros_like(mean), std=jnp.ones_like(std))
        return cls(mean=mean, std=std + 1e-3)

    def __call__(self, observations: jax.Array) -> jax.Array:
        """``[..., O]`` -> ``[..., O]``."""
        shape = (1,) * (observations.ndim - 1) + self.mean.shape
        return (observations - self.mean.reshape(shape)) / self.std.reshape(shape)


def gradient_step(
    loss_fn: Callable[[Params], tuple[jax.Array, Metrics]],
    trainable: Trainable,
    tx: optax.GradientTransformation,
) -> tuple[Trainable, Metrics]:
    """One optimizer step down ``loss_fn(params) -> (loss [], metrics)``.

    Gradients flow through the ``params`` argument alone; all that ``loss_fn`` closes over is
    constant.
    """
    grads, metrics = jax.grad(loss_fn, has_aux=True)(trainable.params)
    return _stepped(trainable, tx, grads), metrics


def gradient_step_in_pieces(
    loss_fn: Callable[..., tuple[jax.Array, Metrics]],
    trainable: Trainable,
    tx: optax.GradientTransformation,
    batch: tuple[jax.Array, ...],
    axes: tuple[int, ...],
    size: int,
) -> tuple[Trainable, Metrics]:
    """`gradient_step` down ``loss_fn(params, *batch)``, taken in one piece after another on a CPU.

    What a piece leaves for its way back then stays in the processor's cache. An accelerator would
    rather have all at once.

    Args:
        loss_fn: a mean over rows, and so are its metrics.
        trainable: as of `gradient_step`.
        tx: as of `gradient_step`.
        batch: arrays of B rows.
        axes: where each of ``batch`` has its rows.
        size: rows of a piece; all in one, unless it divides B.
    """
    num_rows = batch[0].shape[axes[0]]
    if jax.default_backend() != "cpu" or num_rows % size or num_rows == size:
        return gradient_step(lambda params: loss_fn(params, *batch), trainable, tx)
    pieces = num_rows // size
    split = lambda x, axis: jnp.stack(jnp.split(x, pieces, axis))
    step = lambda piece: jax.grad(loss_fn, has_aux=True)(trainable.params, *piece)
    found = jax.lax.map(step, tuple(map(split, batch, axes)))
    grads, metrics = jax.tree.map(lambda x: x.mean(0), found)
    return _stepped(trainable, tx, grads), metrics


def _stepped(trainable: Trainable, tx: optax.GradientTransformation, grads: Params) -> Trainable:
    updates, opt_state = tx.update(grads, trainable.opt_state, trainable.params)
    params = optax.apply_updates(trainable.params, updates)
    return Trainable(params=params, opt_state=opt_state)


def memoryless(act: Callable[[State, jax.Array], jax.Array]) -> tuple[Reset, Act]:
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
