"""Implicit Q-learning: values by expectile regression, a policy by advantage-weighted cloning.

Source: Kostrikov et al. 2021 (arXiv:2110.06169); ikostrikov/implicit_q_learning@09d7002
``learner.py``, ``critic.py``, ``actor.py``, ``configs/*_config.py``. One update has their order: V,
then the actor with the new V, then Q with the new V, then the target of Q.

Departures: the data's actions are not clipped to 1e-5 within their bounds. The variant ``iql_corl``
has CORL's defaults: it normalises observations, and on locomotion it takes rewards as they are.
CORL's settings for hopper alone are not part of it.
"""

from __future__ import annotations

import dataclasses

import jax
import optax
from flax import struct

from algos import core, losses, networks, normalize, sampling, views
from envs.environment import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings for locomotion, from the paper's appendix B and ``mujoco_config.py``.

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


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind IQL to its settings and sizes."""
    sizes = (config.hidden_dims, spec.observation, spec.action)
    actor = networks.gaussian_actor(*sizes)
    critic = networks.critics(*sizes, layer_norm=config.layer_norm)
    value = networks.value(*sizes[:2], layer_norm=config.layer_norm)
    tx = optax.adam(config.learning_rate)
    actor_tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_steps))

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        del statistics
        key_actor, key_critic, key_value = jax.random.split(key, 3)
        critic_params = critic.init(key_critic)
        return State(
            actor=core.Trainable.create(actor.init(key_actor), actor_tx),
            critic=core.Trainable.create(critic_params, tx),
            value=core.Trainable.create(value.init(key_value), tx),
            target_critic=critic_params,
        )

    def value_loss(params: core.Params, batch: views.Transitions, q: jax.Array) -> core.Loss:
        """(5): V goes to the expectile of the Q of the data's actions, ``q`` ``[B]``."""
        v = value.apply(params, batch.observations)
        loss = losses.expectile_loss(q - v, config.expectile)
        return loss, {"value_loss": loss, "value": v.mean()}

    def actor_loss(
        params: core.Params, batch: views.Transitions, advantages: jax.Array
    ) -> core.Loss:
        """(7): cloning weighted by exp(beta A); ``advantages`` ``[B]``."""
        log_prob = actor.apply(params, batch.observations).log_prob(batch.actions)
        weights = losses.advantage_weights(
            advantages, config.inverse_temperature, config.max_weight
        )
        loss = losses.cloning_loss(log_prob, weights)
        return loss, {"actor_loss": loss, "advantage": advantages.mean()}

    def critic_loss(params: core.Params, batch: views.Transitions, next_v: jax.Array) -> core.Loss:
        """(6): the Bellman error, with V in place of a maximum over actions; ``next_v`` ``[B]``."""
        q = critic.apply(params, batch.observations, batch.actions)
        target = losses.bellman_target(batch.rewards, batch.terminations, next_v, config.discount)
        loss = losses.squared_error(q, target)
        return loss, {"critic_loss": loss, "q": q.mean()}

    def update(
        state: State, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key, step
        q = critic.apply(state.target_critic, batch.observations, batch.actions).min(0)
        new_value, of_value = core.descend(value_loss, state.value, tx, batch, q)
        advantages = q - value.apply(new_value.params, batch.observations)
        new_actor, of_actor = core.descend(actor_loss, state.actor, actor_tx, batch, advantages)
        next_v = value.apply(new_value.params, batch.next_observations)
        new_critic, of_critic = core.descend(critic_loss, state.critic, tx, batch, next_v)
        target = optax.incremental_update(new_critic.params, state.target_critic, config.polyak)
        return State(new_actor, new_critic, new_value, target), of_value | of_actor | of_critic

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, observation).mode()

    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.transitions(dataset, config.reward_transform),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    algorithm = core.Algorithm(init, (phase,), *core.memoryless(act))
    return normalize.normalized(algorithm, spec, enabled=config.normalize_observations)
