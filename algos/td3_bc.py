"""TD3+BC: deterministic policy gradient with a cloning term of fixed relative weight.

Source: Fujimoto and Gu 2021 (arXiv:2106.06860); sfujim/TD3_BC@8791ad7 ``TD3_BC.py``, ``main.py``,
``utils.py``.

Departures: weights start orthogonal instead of uniform as in PyTorch. On antmaze the authors only
say that they did not normalise observations (TD3_BC issue 2), and neither are they normalised here.
CORL normalises them there and takes 1 off every reward, which is the variant ``td3_bc_corl``.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, normalize, sampling, views
from envs.environment import EnvSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings, from table 3 of the paper and the defaults of ``main.py``.

    Attributes:
        target_noise: deviation of the noise on the target policy's actions.
        target_noise_clip: bound of that noise.
        actor_delay: critic updates to one update of the actor and of the targets.
        q_weight: alpha, which weighs Q over its mean size against the cloning term.
    """

    num_steps: int = 1_000_000
    batch_size: int = 256
    learning_rate: float = 3e-4
    hidden_dims: tuple[int, ...] = (256, 256)
    target_noise: float = 0.2
    target_noise_clip: float = 0.5
    actor_delay: int = 2
    q_weight: float = 2.5
    normalize_observations: bool = True

    def __post_init__(self) -> None:
        """Refuse values outside the method's domain."""
        super().__post_init__()
        self.require("target_noise", self.target_noise >= 0.0, "at least 0")
        self.require("target_noise_clip", self.target_noise_clip >= 0.0, "at least 0")
        self.require("actor_delay", self.actor_delay >= 1, "at least 1")
        self.require("q_weight", self.q_weight >= 0.0, "at least 0")


CONFIGS = {
    # Source: the authors in TD3_BC issue 2.
    "antmaze": Config(normalize_observations=False),
}


class State(struct.PyTreeNode):
    """Everything that training changes or acting needs.

    Attributes:
        actor_metrics: of the newest actor update, to be shown until the next.
    """

    actor: core.Trainable
    critic: core.Trainable
    target_actor: core.Params
    target_critic: core.Params
    actor_metrics: core.Metrics


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind TD3+BC to its settings and sizes."""
    sizes = (config.hidden_dims, spec.observation, spec.action)
    actor = networks.deterministic_actor(*sizes)
    critic = networks.critics(*sizes, layer_norm=config.layer_norm)
    first_critic = networks.critics(*sizes, num=1, layer_norm=config.layer_norm)
    tx = optax.adam(config.learning_rate)

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        del statistics
        key_actor, key_critic = jax.random.split(key)
        actor_params, critic_params = actor.init(key_actor), critic.init(key_critic)
        return State(
            actor=core.Trainable.create(actor_params, tx),
            critic=core.Trainable.create(critic_params, tx),
            target_actor=actor_params,
            target_critic=critic_params,
            actor_metrics={"actor_loss": jnp.zeros(()), "cloning_error": jnp.zeros(())},
        )

    def critic_loss(params: core.Params, batch: views.Transitions, next_q: jax.Array) -> core.Loss:
        """The Bellman error of TD3 (arXiv:1802.09477, algorithm 1); ``next_q`` ``[B]``."""
        q = critic.apply(params, batch.observations, batch.actions)
        target = losses.bellman_target(batch.rewards, batch.terminations, next_q, config.discount)
        loss = losses.squared_error(q, target)
        return loss, {"critic_loss": loss, "q": q.mean()}

    def actor_loss(
        params: core.Params, batch: views.Transitions, critic_params: core.Params
    ) -> core.Loss:
        """(3) and (5): Q of the first critic, over its mean size, against the cloning error."""
        actions = actor.apply(params, batch.observations)
        first = jax.tree.map(lambda leaf: leaf[:1], critic_params)
        q = first_critic.apply(first, batch.observations, actions)[0]
        loss, cloning_error = climbing_loss(q, actions, batch.actions, config.q_weight)
        return loss, {"actor_loss": loss, "cloning_error": cloning_error}

    def update(
        state: State, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        noise = config.target_noise * jax.random.normal(key, batch.actions.shape)
        noise = jnp.clip(noise, -config.target_noise_clip, config.target_noise_clip)
        next_actions = actor.apply(state.target_actor, batch.next_observations) + noise
        next_actions = jnp.clip(next_actions, -1.0, 1.0)
        next_q = critic.apply(state.target_critic, batch.next_observations, next_actions).min(0)
        new_critic, metrics = core.descend(critic_loss, state.critic, tx, batch, next_q)
        state = state.replace(critic=new_critic)

        def update_actor(state: State) -> State:
            new_actor, actor_metrics = core.descend(
                actor_loss, state.actor, tx, batch, new_critic.params
            )
            follow = lambda new, old: optax.incremental_update(new, old, config.polyak)
            return state.replace(
                actor=new_actor,
                target_actor=follow(new_actor.params, state.target_actor),
                target_critic=follow(new_critic.params, state.target_critic),
                actor_metrics=actor_metrics,
            )

        due = (step + 1) % config.actor_delay == 0
        state = jax.lax.cond(due, update_actor, lambda state: state, state)
        return state, metrics | state.actor_metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, observation)

    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.transitions(dataset, config.reward_transform),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    algorithm = core.Algorithm(init, (phase,), *core.memoryless(act))
    return normalize.normalized(algorithm, spec, enabled=config.normalize_observations)


def climbing_loss(
    q: jax.Array, actions: jax.Array, data_actions: jax.Array, q_weight: float
) -> tuple[jax.Array, jax.Array]:
    """(3) and (5): ``mean (pi(s) - a)^2 - lambda mean Q``, where ``lambda = alpha / mean |Q|``.

    Args:
        q: ``[B]`` Q of the policy's actions.
        actions: ``[B, A]`` the policy's.
        data_actions: ``[B, A]``.
        q_weight: alpha.

    Returns:
        ``[]`` the loss, and ``[]`` the cloning error in it.
    """
    # A weight, not a term to be optimised: a larger Q must not lower it.
    weight = q_weight / jax.lax.stop_gradient(jnp.abs(q).mean())
    cloning_error = jnp.mean((actions - data_actions) ** 2)
    return cloning_error - weight * q.mean(), cloning_error
