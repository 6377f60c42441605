"""Decision Transformer: imitation by a sequence model that is told the return still to come.

Source: Chen et al. 2021 (arXiv:2106.01345); kzl/decision-transformer@e2d82e6
``gym/experiment.py``, ``gym/decision_transformer``. The authors did not run antmaze, whose settings
are those of corl-team/CORL@eeeeef2 ``configs/offline/dt/antmaze``.

Where the two differ, the authors' values hold. CORL's locomotion runs have batches of 4,096 windows
and a learning rate of 8e-4, which make the variant ``dt_corl``.

Departures: 1e-3 is added to the observations' deviation, as for the other methods, instead of 1e-6.
Windows are padded after their end instead of before their start, which changes no prediction. The
biases of embeddings and of the action head start at 0 instead of within PyTorch's uniform bounds.
The heads that predict states and returns are left out, for the authors do not train them. The
embedding of a timestep that no episode of the data reaches stays as it starts.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, networks, normalize, sampling, views
from envs.environment import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.Config):
    """Published settings for locomotion, from ``experiment.py`` and the paper's appendix A.

    ``batch_size`` counts windows; ``hidden_dims`` has one entry per transformer layer, all equal to
    the width of the embeddings.

    Attributes:
        context: steps in a window, of three tokens each.
        dropout: share of embeddings, attention weights and a layer's output that is dropped.
        timestep_std: deviation of timestep embeddings as they start; 1 is PyTorch's.
        weight_decay: weight decay of AdamW, on all parameters.
        max_gradient_norm: norm to which longer gradients are scaled down.
        warmup_steps: steps over which the learning rate rises linearly.
        return_scale: number by which returns are divided.
    """

    num_steps: int = 100_000
    batch_size: int = 64
    learning_rate: float = 1e-4
    hidden_dims: tuple[int, ...] = (128, 128, 128)
    context: int = 20
    dropout: float = 0.1
    timestep_std: float = 1.0
    weight_decay: float = 1e-4
    max_gradient_norm: float = 0.25
    warmup_steps: int = 10_000
    return_scale: float = 1000.0

    def __post_init__(self) -> None:
        """Refuse values outside the method's domain."""
        super().__post_init__()
        self.require("hidden_dims", len(set(self.hidden_dims)) == 1, "equal widths")
        self.require("context", self.context >= 1, "at least 1")
        self.require("dropout", 0.0 <= self.dropout < 1.0, "at least 0 and below 1")
        self.require("timestep_std", self.timestep_std >= 0.0, "at least 0")
        self.require("weight_decay", self.weight_decay >= 0.0, "at least 0")
        self.require("max_gradient_norm", self.max_gradient_norm > 0.0, "above 0")
        self.require("warmup_steps", self.warmup_steps >= 1, "at least 1")
        self.require("return_scale", self.return_scale > 0.0, "above 0")


CONFIGS = {
    # Source: CORL, same commit as above.
    "antmaze": Config(return_scale=1.0),
}


class Memory(struct.PyTreeNode):
    """The last K steps of an episode, the newest at the end.

    Attributes:
        returns_to_go: ``[K]`` scaled.
        observations: ``[K, O]``.
        actions: ``[K, A]``.
        step: ``[]`` int32, steps taken so far.
    """

    returns_to_go: jax.Array
    observations: jax.Array
    actions: jax.Array
    step: jax.Array


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind Decision Transformer to its settings and sizes."""
    transformer = networks.causal_transformer(
        config.hidden_dims,
        spec.observation,
        spec.action,
        num_timesteps=spec.max_episode_steps,
        dropout=config.dropout,
        timestep_std=config.timestep_std,
    )
    tx = optimizer(config)

    def init(key: jax.Array, statistics: views.Statistics) -> core.Trainable:
        del statistics
        return core.Trainable.create(transformer.init(key), tx)

    def actor_loss(params: core.Params, batch: sampling.Windows, key: jax.Array) -> core.Loss:
        """The squared error of every action in the windows, or minus a choice's log probability."""
        policy = transformer.apply(
            params,
            batch.returns_to_go / config.return_scale,
            batch.observations,
            batch.actions,
            batch.timesteps,
            batch.mask,
            key=key if config.dropout > 0.0 else None,
        )
        errors = policy.errors(batch.actions)
        mask = batch.mask.reshape(batch.mask.shape + (1,) * (errors.ndim - batch.mask.ndim))
        loss = jnp.mean(errors, where=mask)
        return loss, {"actor_loss": loss}

    def update(
        state: core.Trainable, batch: sampling.Windows, key: jax.Array, step: jax.Array
    ) -> tuple[core.Trainable, core.Metrics]:
        del step
        return core.descend(actor_loss, state, tx, batch, key)

    def reset(key: jax.Array, goal: jax.Array) -> Memory:
        del key, goal
        target = spec.target_return / config.return_scale
        return Memory(
            returns_to_go=jnp.full(config.context, target, jnp.float32),
            observations=jnp.zeros(spec.observation.batch(config.context), spec.observation.dtype),
            actions=jnp.zeros(spec.action.batch(config.context), spec.action.dtype),
            step=jnp.zeros((), jnp.int32),
        )

    def act(
        state: core.Trainable, carry: Memory, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, Memory]:
        return_to_go = carry.returns_to_go[-1] - last_reward / config.return_scale
        returns_to_go = _push(carry.returns_to_go, return_to_go)
        observations = _push(carry.observations, observation)
        # The newest action is not known yet, and no state looks at its own.
        actions = _push(carry.actions, jnp.zeros(spec.action.shape, spec.action.dtype))
        timesteps = carry.step - config.context + 1 + jnp.arange(config.context)
        policy = transformer.apply(
            state.params,
            returns_to_go,
            observations,
            actions,
            timesteps,
            timesteps >= 0,
            last_only=True,
        )
        (action,) = policy.mode()
        return action, Memory(
            returns_to_go=returns_to_go,
            observations=observations,
            actions=actions.at[-1].set(action),
            step=carry.step + 1,
        )

    phase = core.Phase(
        num_steps=config.num_steps,
        view=views.sequences,
        sample=sampling.windows(config.batch_size, config.context),
        update=update,
    )
    return normalize.normalized(core.Algorithm(init, (phase,), reset, act), spec)


def optimizer(config: Config) -> optax.GradientTransformation:
    """AdamW on clipped gradients; step 0 takes 1 / ``warmup_steps`` of the learning rate."""

    def learning_rate(count: jax.Array) -> jax.Array:
        return config.learning_rate * jnp.minimum((count + 1) / config.warmup_steps, 1.0)

    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        optax.adamw(learning_rate, weight_decay=config.weight_decay),
    )


def _push(rows: jax.Array, newest: jax.Array) -> jax.Array:
    """``[K, ...]`` without the oldest row and with ``newest`` ``[...]`` at the end."""
    return jnp.concatenate([rows[1:], newest[None]])
