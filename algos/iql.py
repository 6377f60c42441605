"""Implicit Q-learning: values by expectile regression, a policy by advantage-weighted cloning.

Source: Kostrikov et al. 2021 (arXiv:2110.06169); ikostrikov/implicit_q_learning@09d7002,
``learner.py``, ``critic.py``, ``actor.py``, ``configs/*_config.py``. The order of one update is
theirs: V, then the actor with the new V, then Q with the new V, then the target of Q.

Departures: the data's actions are not kept 1e-5 within their bounds. The variant ``iql_corl``
normalises observations and, in locomotion, takes rewards as they are, as CORL's default does; what
CORL sets for hopper alone is not in it.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, sampling, views
from envs.environment import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings for locomotion (arXiv:2110.06169 appendix B, ``mujoco_config.py``).

    Attributes:
        expectile: tau of the value regression; 0.5 is the mean, 1 the maximum.
        inverse_temperature: multiplies the advantage in the actor's weights.
        max_weight: cap on those weights.
    """

    num_steps: int = 1_000_000
    batch_size: int = 256
    learning_rate: float = 3e-4
    hidden_dims: tuple[int, ...] = (256, 256)
    expectile: float = 0.7
    inverse_temperature: float = 3.0
    max_weight: float = 100.0
    reward_transform: str = "return_range"

    def __post_init__(self) -> None:
        """Refuse values outside the method's domain."""
        super().__post_init__()
        self.require("expectile", 0.0 < self.expectile < 1.0, "between 0 and 1")
        self.require("inverse_temperature", self.inverse_temperature >= 0.0, "at least 0")
        self.require("max_weight", self.max_weight > 0.0, "above 0")


CONFIGS = {
    # Source: antmaze_config.py and the -1 in train_offline.py, same commit.
    "antmaze": Config(expectile=0.9, inverse_temperature=10.0, reward_transform="minus_one"),
}


class State(struct.PyTreeNode):
    """Everything that training changes or acting needs."""

    actor: core.Trainable
    critic: core.Trainable
    value: core.Trainable
    target_critic: core.Params
    normalizer: core.Normalizer


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind IQL to its settings and sizes."""
    hidden_dims, observation_dim, action_dim = (
        config.hidden_dims,
        spec.observation_dim,
        spec.action_dim,
    )
    actor = networks.gaussian_actor(hidden_dims, observation_dim, action_dim)
    critic = networks.critic_ensemble(
        hidden_dims, observation_dim, action_dim, layer_norm=config.layer_norm
    )
    value = networks.value(hidden_dims, observation_dim, layer_norm=config.layer_norm)
    tx = optax.adam(config.learning_rate)
    actor_tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_steps))

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        key_actor, key_critic, key_value = jax.random.split(key, 3)
        critic_params = critic.init(key_critic)
        return State(
            actor=core.Trainable.create(actor.init(key_actor), actor_tx),
            critic=core.Trainable.create(critic_params, tx),
            value=core.Trainable.create(value.init(key_value), tx),
            target_critic=critic_params,
            normalizer=core.Normalizer.create(statistics, config.normalize_observations),
        )

    def update(
        state: State, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key, step
        observations = state.normalizer(batch.observations)
        next_observations = state.normalizer(batch.next_observations)
        # Twice the same target: V regresses on it, and the actor's advantage starts from it.
        q = critic.apply(state.target_critic, observations, batch.actions).min(0)

        def value_loss(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            v = value.apply(params, observations)
            loss = losses.expectile_loss(q - v, config.expectile)
            return loss, {"value_loss": loss, "value": v.mean()}

        new_value, value_metrics = core.gradient_step(value_loss, state.value, tx)

        advantages = q - value.apply(new_value.params, observations)
        weights = jnp.exp(config.inverse_temperature * advantages)
        weights = jnp.minimum(weights, config.max_weight)

        def actor_loss(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            log_prob = actor.apply(params, observations).log_prob(batch.actions)
            loss = -jnp.mean(weights * log_prob)
            return loss, {"actor_loss": loss, "advantage": advantages.mean()}

        new_actor, actor_metrics = core.gradient_step(actor_loss, state.actor, actor_tx)

        next_v = value.apply(new_value.params, next_observations)
        target = batch.rewards + config.discount * (1.0 - batch.terminations) * next_v

        def critic_loss(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            predictions = critic.apply(params, observations, batch.actions)
            loss = losses.squared_error(predictions, target)
            return loss, {"critic_loss": loss, "q": predictions.mean()}

        new_critic, critic_metrics = core.gradient_step(critic_loss, state.critic, tx)

        new_state = state.replace(
            actor=new_actor,
            critic=new_critic,
            value=new_value,
            target_critic=optax.incremental_update(
                new_critic.params, state.target_critic, config.polyak
            ),
        )
        return new_state, value_metrics | actor_metrics | critic_metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, state.normalizer(observation)).mode()

    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.transitions(dataset, config.reward_transform),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    return core.Algorithm(init, (phase,), *core.memoryless(act))
