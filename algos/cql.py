"""Conservative Q-learning: soft actor-critic whose critics are pressed down off the data.

Source: Kumar et al. 2020 (arXiv:2006.04779); aviralkumar2907/CQL@d67dbe9
``d4rl/rlkit/torch/sac/cql.py``, ``README.md``, ``d4rl/examples/cql_{mujoco,antmaze}_new.py``: the
importance-sampled CQL(H), their ``min_q_version`` 3. All gradients of one update are taken at the
old networks, but the actor's loss has the new entropy weight.

Departures: orthogonal instead of rlkit's initialisation, with the same small last layer of the
actor; the exact log-determinant of tanh where rlkit adds 1e-6 inside the logarithm; the actor's
mean is kept within 9 always, theirs only where it clones; 1,000,000 steps, as in the tables that
cite CQL, of the authors' up to 3,000,000. Of the weights 5 and 10 that their README names for
locomotion this takes 5. The variant ``cql_max_backup`` takes max backup, gap and rewards from Young
Geng's settings for antmaze (young-geng/CQL issue 2), but the authors' order of maximum and minimum
(Geng's takes the minimum of the critics first), network of the actor and steps, and no clipped
conservative term. A learned weight on locomotion, the paper's own, is ``cql_lagrange``, which on
antmaze is CQL itself.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, sampling, views
from envs.environment import EnvSpec

# Of a batch, in the critics' gradient: with 31 actions each, 2 MB a layer of 256 units.
_ROWS_AT_A_TIME = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings for locomotion (README of the authors' code).

    Attributes:
        learning_rate: Adam's step size of the critics and of the learned weight.
        actor_learning_rate: Adam's step size of the actor and of the entropy weight.
        conservative_weight: alpha; weighs the conservative term against the Bellman error.
        num_samples: actions drawn per row from each of: the policy here, the policy at the next
            observation, and the uniform distribution over [-1, 1].
        target_gap: conservative term, in units of Q, that a learned weight holds; None keeps the
            weight as it is.
        max_backup: bootstrap from the best of ``num_samples`` next actions instead of from one.
        cloning_steps: first steps, in which the actor imitates instead of climbing Q.
    """

    num_steps: int = 1_000_000
    batch_size: int = 256
    learning_rate: float = 3e-4
    hidden_dims: tuple[int, ...] = (256, 256, 256)
    actor_learning_rate: float = 1e-4
    conservative_weight: float = 5.0
    num_samples: int = 10
    target_gap: float | None = None
    max_backup: bool = False
    cloning_steps: int = 40_000

    def __post_init__(self) -> None:
        """Refuse values outside the method's domain."""
        super().__post_init__()
        self.require("actor_learning_rate", self.actor_learning_rate > 0, "above 0")
        self.require("conservative_weight", self.conservative_weight >= 0.0, "at least 0")
        self.require("num_samples", self.num_samples >= 1, "at least 1")
        self.require("target_gap", self.target_gap is None or self.target_gap >= 0, "at least 0")
        rule = f"at least 0 and at most num_steps = {self.num_steps}"
        self.require("cloning_steps", 0 <= self.cloning_steps <= self.num_steps, rule)


CONFIGS = {
    # Source: cql_antmaze_new.py and the authors' README; rewards are mapped in its loader.
    "antmaze": Config(target_gap=5.0, reward_transform="plus_minus_two"),
}


class State(struct.PyTreeNode):
    """Everything that training changes or acting needs.

    Attributes:
        log_alpha: logarithm of the entropy's weight.
        log_weight: logarithm of the factor learned onto ``conservative_weight``; 0 unless learned.
    """

    actor: core.Trainable
    critic: core.Trainable
    target_critic: core.Params
    log_alpha: core.Trainable
    log_weight: core.Trainable
    normalizer: core.Normalizer


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind CQL to its settings and sizes."""
    sizes = (config.hidden_dims, spec.observation_dim, spec.action_dim)
    actor = networks.unsquashed_actor(*sizes)
    critic = networks.critic_ensemble(*sizes, layer_norm=config.layer_norm)
    tx, actor_tx = optax.adam(config.learning_rate), optax.adam(config.actor_learning_rate)
    log_uniform_density = spec.action_dim * math.log(0.5)

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        key_actor, key_critic = jax.random.split(key)
        critic_params = critic.init(key_critic)
        return State(
            actor=core.Trainable.create(actor.init(key_actor), actor_tx),
            critic=core.Trainable.create(critic_params, tx),
            target_critic=critic_params,
            log_alpha=core.Trainable.create(jnp.zeros(()), actor_tx),
            log_weight=core.Trainable.create(jnp.zeros(()), tx),
            normalizer=core.Normalizer.create(statistics, config.normalize_observations),
        )

    def q_of_samples(params: core.Params, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """Q ``[C, M, B]`` of M actions ``[M, B, A]`` at each of ``observations`` ``[B, O]``."""
        repeated = jnp.broadcast_to(observations, (len(actions), *observations.shape))
        return critic.apply(params, repeated, actions)

    def update(
        state: State, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        key_actor, key_backup, key_here, key_next, key_uniform = jax.random.split(key, 5)
        observations = state.normalizer(batch.observations)
        next_observations = state.normalizer(batch.next_observations)
        policy = actor.apply(state.actor.params, observations)
        next_policy = actor.apply(state.actor.params, next_observations)

        shape = (config.num_samples, *batch.actions.shape)
        backup_shape = shape if config.max_backup else (1, *batch.actions.shape)
        backup_actions, _ = _squash(next_policy, jax.random.normal(key_backup, backup_shape))
        next_q = q_of_samples(state.target_critic, next_observations, backup_actions)
        next_q = next_q.max(1).min(0)  # the best sample of each critic, then the lower critic
        target = batch.rewards + config.discount * (1.0 - batch.terminations) * next_q

        here, here_density = _squash(policy, jax.random.normal(key_here, shape))
        there, there_density = _squash(next_policy, jax.random.normal(key_next, shape))
        uniform = jax.random.uniform(key_uniform, shape, minval=-1.0, maxval=1.0)
        uniform_density = jnp.full(shape[:-1], log_uniform_density)
        actions = jnp.concatenate([batch.actions[None], uniform, there, here])
        densities = jnp.concatenate([uniform_density, there_density, here_density])

        weight = jnp.clip(jnp.exp(state.log_weight.params), 0.0, 1e6)

        def critic_loss(
            params: core.Params,
            observations: jax.Array,
            actions: jax.Array,
            densities: jax.Array,
            target: jax.Array,
        ) -> tuple[jax.Array, core.Metrics]:
            all_q = q_of_samples(params, observations, actions)
            q, sampled_q = all_q[:, 0], all_q[:, 1:]
            soft_maximum = jax.nn.logsumexp(sampled_q - densities[None], axis=1)
            gaps = config.conservative_weight * jnp.mean(soft_maximum - q, axis=1)  # [C]
            excess = gaps if config.target_gap is None else gaps - config.target_gap
            bellman_error = losses.squared_error(q, target)
            loss = bellman_error + jnp.sum(weight * excess)
            metrics = {"critic_loss": loss, "bellman_error": bellman_error, "q": q.mean()}
            return loss, metrics | {"conservative_gap": gaps.mean(), "excess": excess.mean()}

        rows, axes = (observations, actions, densities, target), (0, 1, 1, 0)
        new_critic, critic_metrics = core.gradient_step_in_pieces(
            critic_loss, state.critic, tx, rows, axes, _ROWS_AT_A_TIME
        )
        excess = critic_metrics.pop("excess")

        noise = jax.random.normal(key_actor, batch.actions.shape)
        _, log_prob = _squash(policy, noise)

        def alpha_loss(log_alpha: core.Params) -> tuple[jax.Array, core.Metrics]:
            loss = -log_alpha * jnp.mean(log_prob - spec.action_dim)
            return loss, {"entropy": -log_prob.mean()}

        new_log_alpha, alpha_metrics = core.gradient_step(alpha_loss, state.log_alpha, actor_tx)
        alpha = jnp.exp(new_log_alpha.params)

        def actor_loss(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            new_policy = actor.apply(params, observations)
            new_actions, new_log_prob = _squash(new_policy, noise)
            objective = jax.lax.cond(
                step < config.cloning_steps,
                lambda: _log_prob(new_policy, batch.actions),
                lambda: critic.apply(state.critic.params, observations, new_actions).min(0),
            )
            loss = jnp.mean(alpha * new_log_prob - objective)
            return loss, {"actor_loss": loss, "alpha": alpha}

        new_actor, actor_metrics = core.gradient_step(actor_loss, state.actor, actor_tx)

        if config.target_gap is not None:

            def weight_loss(log_weight: core.Params) -> tuple[jax.Array, core.Metrics]:
                loss = -jnp.clip(jnp.exp(log_weight), 0.0, 1e6) * excess
                return loss, {"weight": weight}

            new_log_weight, weight_metrics = core.gradient_step(weight_loss, state.log_weight, tx)
            state = state.replace(log_weight=new_log_weight)
            critic_metrics |= weight_metrics

        new_state = state.replace(
            actor=new_actor,
            critic=new_critic,
            log_alpha=new_log_alpha,
            target_critic=optax.incremental_update(
                new_critic.params, state.target_critic, config.polyak
            ),
        )
        return new_state, critic_metrics | actor_metrics | alpha_metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return jnp.tanh(actor.apply(state.actor.params, state.normalizer(observation)).mode())

    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.transitions(dataset, config.reward_transform),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    return core.Algorithm(init, (phase,), *core.memoryless(act))


def _squash(policy: Any, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Actions ``[..., B, A]`` of a Gaussian pushed through tanh, and their log density.

    Args:
        policy: the Gaussian before the tanh, over ``[B, A]``.
        noise: ``[..., B, A]`` standard normal.
    """
    chex.assert_equal_shape_suffix([policy.loc, noise], 2)
    extra = (1,) * (noise.ndim - 2)
    loc, scale = (x.reshape(extra + x.shape) for x in (policy.loc, policy.scale_diag))
    raw = loc + scale * noise
    density = -0.5 * noise**2 - jnp.log(scale) - 0.5 * jnp.log(2.0 * jnp.pi)
    return jnp.tanh(raw), jnp.sum(density - _log_slope(raw), axis=-1)


def _log_prob(policy: Any, actions: jax.Array) -> jax.Array:
    """Log density ``[B]`` of ``actions`` ``[B, A]`` under the Gaussian pushed through tanh."""
    raw = jnp.arctanh(jnp.clip(actions, -1.0 + 1e-6, 1.0 - 1e-6))
    return policy.log_prob(raw) - jnp.sum(_log_slope(raw), axis=-1)


def _log_slope(raw: jax.Array) -> jax.Array:
    """log(1 - tanh(raw)^2) in the form that does not underflow."""
    return 2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
