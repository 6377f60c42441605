"""Conservative Q-learning: soft actor-critic whose critics are pressed down off the data.

Source: Kumar et al. 2020 (arXiv:2006.04779); aviralkumar2907/CQL@d67dbe9
``d4rl/rlkit/torch/sac/cql.py``, ``README.md``, ``d4rl/examples/cql_{mujoco,antmaze}_new.py``. The
conservative term is the importance-sampled CQL(H), their ``min_q_version`` 3. All gradients of one
update are taken at the old networks, but the actor's loss has the new entropy weight.

Departures: weights start orthogonal instead of as in rlkit, with the same small last layer of the
actor. The log-determinant of tanh is exact, where rlkit adds 1e-6 inside the logarithm. The actor's
mean is always kept within 9, which rlkit does only where it clones. A run has 1,000,000 steps, as
in the tables that cite CQL, of the authors' up to 3,000,000. Their README names the weights 5 and
10 for locomotion, of which this takes 5. The variant ``cql_max_backup`` has the max backup, gap and
rewards of Young Geng's settings for antmaze (young-geng/CQL issue 2). It keeps the authors' network
of the actor, steps, and order of maximum and minimum, where Geng takes the minimum of the critics
first, and it does not clip the conservative term. The paper's own learned weight on locomotion is
the variant ``cql_lagrange``, which on antmaze is CQL itself.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, normalize, sampling, views
from envs.environment import EnvSpec
from envs.spaces import Discrete


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings for locomotion, from the README of the authors' code.

    Attributes:
        learning_rate: Adam's step size of the critics and of the learned weight.
        actor_learning_rate: Adam's step size of the actor and of the entropy weight.
        conservative_weight: alpha, which weighs the conservative term against the Bellman error.
        num_samples: actions that are drawn for a row from each of three: the policy, the policy at
            the next observation, and the uniform distribution over [-1, 1].
        target_gap: conservative term, in units of Q, at which a learned weight holds it; None keeps
            the weight as it is.
        max_backup: bootstrap from the best of ``num_samples`` next actions instead of from one.
        cloning_steps: first steps, in which the actor clones instead of climbing Q.
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


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind CQL to its settings and sizes."""
    method = _make_for_choices if isinstance(spec.action, Discrete) else _make_for_numbers
    init, update, act = method(config, spec)
    phase = core.Phase(
        num_steps=config.num_steps,
        view=lambda dataset: views.transitions(dataset, config.reward_transform),
        sample=sampling.uniform(config.batch_size),
        update=update,
    )
    algorithm = core.Algorithm(init, (phase,), *core.memoryless(act))
    return normalize.normalized(algorithm, spec, enabled=config.normalize_observations)


def _make_for_numbers(config: Config, spec: EnvSpec) -> tuple[core.Init, core.Update, core.Rule]:
    """The method of the paper's section on continuous control, on top of soft actor-critic."""
    sizes = (config.hidden_dims, spec.observation, spec.action)
    actor = networks.squashed_actor(*sizes)
    critic = networks.critics(*sizes, layer_norm=config.layer_norm)
    tx, actor_tx = optax.adam(config.learning_rate), optax.adam(config.actor_learning_rate)
    learns_weight = config.target_gap is not None

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        del statistics
        key_actor, key_critic = jax.random.split(key)
        critic_params = critic.init(key_critic)
        return State(
            actor=core.Trainable.create(actor.init(key_actor), actor_tx),
            critic=core.Trainable.create(critic_params, tx),
            target_critic=critic_params,
            log_alpha=core.Trainable.create(jnp.zeros(()), actor_tx),
            log_weight=core.Trainable.create(jnp.zeros(()), tx),
        )

    def q_of_samples(params: core.Params, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """Q ``[C, M, B]`` of M actions ``[M, B, A]`` at each of ``observations`` ``[B, O]``."""
        repeated = jnp.broadcast_to(observations, (len(actions), *observations.shape))
        return critic.apply(params, repeated, actions)

    def critic_loss(
        params: core.Params,
        observations: jax.Array,
        actions: jax.Array,
        log_densities: jax.Array,
        target: jax.Array,
        weight: jax.Array,
    ) -> core.Loss:
        """(4): the conservative term, times ``weight`` ``[]``, and the Bellman error.

        Args:
            params: of the critics.
            observations: ``[B, O]``.
            actions: ``[1 + M, B, A]`` the data's and M samples.
            log_densities: ``[M, B]`` of the samples.
            target: ``[B]``.
            weight: what is learned onto ``conservative_weight``.
        """
        all_q = q_of_samples(params, observations, actions)
        q, sampled_q = all_q[:, 0], all_q[:, 1:]
        gaps = conservative_gap(q, sampled_q, log_densities)
        return _pressed(config, q, gaps, target, weight)

    def alpha_loss(log_alpha: core.Params, log_prob: jax.Array) -> core.Loss:
        """SAC's (18), arXiv:1812.05905, of the logarithm: entropy is drawn to minus A."""
        loss = -log_alpha * jnp.mean(log_prob - spec.action_dim)
        return loss, {"entropy": -log_prob.mean()}

    def actor_loss(
        params: core.Params,
        batch: views.Transitions,
        noise: jax.Array,
        alpha: jax.Array,
        critic_params: core.Params,
        step: jax.Array,
    ) -> core.Loss:
        """SAC's (7), arXiv:1812.05905; the first steps imitate the data in place of climbing Q."""
        policy = actor.apply(params, batch.observations)
        actions, log_prob = policy.push(noise)
        objective = jax.lax.cond(
            step < config.cloning_steps,
            lambda: policy.log_prob(batch.actions),
            lambda: critic.apply(critic_params, batch.observations, actions).min(0),
        )
        loss = jnp.mean(alpha * log_prob - objective)
        return loss, {"actor_loss": loss, "alpha": alpha}

    def update(
        state: State, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        key_actor, key_backup, key_here, key_next, key_uniform = jax.random.split(key, 5)
        policy = actor.apply(state.actor.params, batch.observations)
        next_policy = actor.apply(state.actor.params, batch.next_observations)

        one, several = (1, *batch.actions.shape), (config.num_samples, *batch.actions.shape)
        noise = jax.random.normal(key_backup, several if config.max_backup else one)
        next_actions, _ = next_policy.push(noise)
        next_q = q_of_samples(state.target_critic, batch.next_observations, next_actions)
        next_q = next_q.max(1).min(0)  # the best sample of each critic, then the lower critic
        target = losses.bellman_target(batch.rewards, batch.terminations, next_q, config.discount)

        here, here_density = policy.push(jax.random.normal(key_here, several))
        there, there_density = next_policy.push(jax.random.normal(key_next, several))
        uniform = jax.random.uniform(key_uniform, several, minval=-1.0, maxval=1.0)
        uniform_density = jnp.full(several[:-1], spec.action_dim * math.log(0.5))
        actions = jnp.concatenate([batch.actions[None], uniform, there, here])
        log_densities = jnp.concatenate([uniform_density, there_density, here_density])

        new_critic, critic_metrics = core.descend_in_pieces(
            partial(critic_loss, weight=_weight(state.log_weight.params)),
            state.critic,
            tx,
            *(batch.observations, actions, log_densities, target),
            in_axes=(0, 1, 1, 0),
        )
        excess = critic_metrics.pop("excess")

        noise = jax.random.normal(key_actor, batch.actions.shape)
        _, log_prob = policy.push(noise)
        new_log_alpha, alpha_metrics = core.descend(alpha_loss, state.log_alpha, actor_tx, log_prob)
        alpha = jnp.exp(new_log_alpha.params)
        new_actor, actor_metrics = core.descend(
            actor_loss, state.actor, actor_tx, batch, noise, alpha, state.critic.params, step
        )
        metrics = critic_metrics | actor_metrics | alpha_metrics
        if learns_weight:
            new_log_weight, weight_metrics = core.descend(weight_loss, state.log_weight, tx, excess)
            state = state.replace(log_weight=new_log_weight)
            metrics |= weight_metrics
        return state.replace(
            actor=new_actor,
            critic=new_critic,
            log_alpha=new_log_alpha,
            target_critic=optax.incremental_update(
                new_critic.params, state.target_critic, config.polyak
            ),
        ), metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, observation).mode()

    return init, update, act


class StateOfChoices(struct.PyTreeNode):
    """Everything that training changes or acting needs, where the critics are the policy.

    Attributes:
        log_weight: logarithm of the factor learned onto ``conservative_weight``; 0 unless learned.
    """

    critic: core.Trainable
    target_critic: core.Params
    log_weight: core.Trainable


def _make_for_choices(config: Config, spec: EnvSpec) -> tuple[core.Init, core.Update, core.Rule]:
    """Q-learning with the conservative term over all choices, which needs no actor.

    The next choice is the online critics' and its value the target critics', as in Double DQN
    (arXiv:1509.06461): a maximum over the targets themselves would take their highest errors.
    """
    critic = networks.critics(
        config.hidden_dims, spec.observation, spec.action, layer_norm=config.layer_norm
    )
    tx = optax.adam(config.learning_rate)

    def init(key: jax.Array, statistics: views.Statistics) -> StateOfChoices:
        del statistics
        params = critic.init(key)
        return StateOfChoices(
            critic=core.Trainable.create(params, tx),
            target_critic=params,
            log_weight=core.Trainable.create(jnp.zeros(()), tx),
        )

    def greedy(params: core.Params, observations: jax.Array) -> jax.Array:
        """``[B]`` the choices that are best in the lower of the critics."""
        return critic.all(params, observations).min(0).argmax(-1).astype(spec.action.dtype)

    def critic_loss(
        params: core.Params, batch: views.Transitions, target: jax.Array, weight: jax.Array
    ) -> core.Loss:
        """(4): the conservative term over all choices and the Bellman error; ``target`` ``[B]``."""
        q = critic.apply(params, batch.observations, batch.actions)
        all_q = jnp.moveaxis(critic.all(params, batch.observations), -1, 1)
        gaps = conservative_gap(q, all_q, jnp.zeros(all_q.shape[1:]))
        return _pressed(config, q, gaps, target, weight)

    def update(
        state: StateOfChoices, batch: views.Transitions, key: jax.Array, step: jax.Array
    ) -> tuple[StateOfChoices, core.Metrics]:
        del key, step
        choices = greedy(state.critic.params, batch.next_observations)
        next_q = critic.apply(state.target_critic, batch.next_observations, choices).min(0)
        target = losses.bellman_target(batch.rewards, batch.terminations, next_q, config.discount)
        weight = _weight(state.log_weight.params)
        new_critic, metrics = core.descend(critic_loss, state.critic, tx, batch, target, weight)
        excess = metrics.pop("excess")
        moved = optax.incremental_update(new_critic.params, state.target_critic, config.polyak)
        if config.target_gap is not None:
            new_weight, of_weight = core.descend(weight_loss, state.log_weight, tx, excess)
            state, metrics = state.replace(log_weight=new_weight), metrics | of_weight
        return state.replace(critic=new_critic, target_critic=moved), metrics

    def act(state: StateOfChoices, observation: jax.Array) -> jax.Array:
        return greedy(state.critic.params, observation)

    return init, update, act


def _pressed(
    config: Config, q: jax.Array, gaps: jax.Array, target: jax.Array, weight: jax.Array
) -> core.Loss:
    """The conservative terms of ``gaps`` ``[C]`` with the Bellman error of ``q`` ``[C, B]``."""
    gaps = config.conservative_weight * gaps
    excess = gaps - config.target_gap if config.target_gap is not None else gaps
    bellman_error = losses.squared_error(q, target)
    loss = bellman_error + jnp.sum(weight * excess)
    metrics = {"critic_loss": loss, "bellman_error": bellman_error, "q": q.mean()}
    return loss, metrics | {"conservative_gap": gaps.mean(), "excess": excess.mean()}


def conservative_gap(q: jax.Array, sampled_q: jax.Array, log_densities: jax.Array) -> jax.Array:
    """The gap between the soft maximum of Q over actions and Q of the data's actions.

    The soft maximum is the log-sum-exp of importance-sampled Q (appendix F), short of the number
    of samples, which the authors do not divide by either.

    Args:
        q: ``[C, B]`` of the data's actions.
        sampled_q: ``[C, M, B]`` of samples.
        log_densities: ``[M, B]`` of the samples.

    Returns:
        ``[C]`` the mean over rows.
    """
    soft_maximum = jax.nn.logsumexp(sampled_q - log_densities[None], axis=1)
    return jnp.mean(soft_maximum - q, axis=1)


def weight_loss(log_weight: core.Params, excess: jax.Array) -> core.Loss:
    """Appendix F, the dual of (4): the weight rises while the gap exceeds ``target_gap``."""
    return -_weight(log_weight) * excess, {"weight": _weight(log_weight)}


def _weight(log_weight: jax.Array) -> jax.Array:
    return jnp.clip(jnp.exp(log_weight), 0.0, 1e6)
