"""Behavioural cloning (BC), and BC of the best episodes (%BC) when ``top_fraction`` is below 1.

Source: BC is that of corl-team/CORL@eeeeef2 ``algorithms/offline/any_percent_bc.py`` and
``configs/offline/bc``. %BC is that of Chen et al. 2021 (arXiv:2106.01345).

Departures: the best episodes make up ``top_fraction`` of the rows, as in Chen et al.'s code, which
leaves out the episode that crosses the share. Here that episode is kept. Episodes are cut at their
true ends. CORL keeps a share of the episodes instead, and cuts those that ran out of time one row
off. Weights start orthogonal instead of uniform as in PyTorch.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from algos import core, networks, normalize, sampling, views
from envs.environment import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.Config):
    """Published settings, which are those of CORL's script and yaml files.

    Attributes:
        normalize_observations: scale observations by the mean and deviation of the whole dataset.
        top_fraction: share of the rows that is imitated, best episodes first.
    """

    num_steps: int = 1_000_000
    batch_size: int = 256
    learning_rate: float = 3e-4
    hidden_dims: tuple[int, ...] = (256, 256)
    normalize_observations: bool = True
    top_fraction: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a share that keeps nothing or more than everything."""
        super().__post_init__()
        self.require("top_fraction", 0.0 < self.top_fraction <= 1.0, "above 0 and at most 1")


CONFIGS: dict[str, Config] = {}


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind BC to its settings and sizes."""
    actor = networks.imitator(config.hidden_dims, spec.observation, spec.action)
    tx = optax.adam(config.learning_rate)

    def init(key: jax.Array, statistics: views.Statistics) -> core.Trainable:
        del statistics
        return core.Trainable.create(actor.init(key), tx)

    def actor_loss(params: core.Params, batch: views.Demonstrations) -> core.Loss:
        """The squared error of the actions, or of choices minus their log probability."""
        loss = jnp.mean(actor.apply(params, batch.observations).errors(batch.actions))
        return loss, {"actor_loss": loss}

    def update(
        state: core.Trainable, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[core.Trainable, core.Metrics]:
        del key, step
        return core.descend(actor_loss, state, tx, batch)

    def act(state: core.Trainable, observation: jax.Array) -> jax.Array:
        return actor.apply(state.params, observation).mode()

    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.top_episodes(dataset, config.top_fraction),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    algorithm = core.Algorithm(init, (phase,), *core.memoryless(act))
    return normalize.normalized(algorithm, spec, enabled=config.normalize_observations)
