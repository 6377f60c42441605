"""One-step RL: model the behaviour policy, learn its Q by SARSA, and improve on it once.

Source: Brandfonbrener et al. 2021 (arXiv:2106.08909); davidbrandfonbrener/onestep-rl@9999443
``policy_learner.py``, ``q_learner.py``, ``baseline_learner.py``, ``config/``. The table of the IQL
paper, and so the post's, shows the exponentially weighted improvement. Reverse KL and easy BCQ are
variants.

The authors' config asks for truncated normal policies, but their training loop then starts from a
copy of the behaviour model, which is a plain normal one. Policies are plain normal ones here too.

Departures: the paper tries six strengths of improvement on each dataset and reports the best score,
while one strength serves all datasets here. A ``kl_weight`` of 1 is the repository's. The
repository's ``inverse_temperature`` of 0.01 would leave the behaviour policy almost as it is, so
that 1 stands in its place. SARSA keeps the last row of an episode that terminated, which needs no
next action. Actions are not clipped to 1e-4 within their bounds before their probability is taken.
Weights start orthogonal instead of uniform as in PyTorch.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, normalize, sampling, views
from envs.environment import EnvSpec
from envs.spaces import Discrete

IMPROVEMENTS = ("exp_weight", "reverse_kl", "easy_bcq")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings, which are those of the repository's ``config/``.

    Attributes:
        num_steps: steps of all phases; those that the first two leave are the improvement's.
        behaviour_steps: steps that fit the behaviour model.
        sarsa_steps: steps that fit Q of the behaviour policy.
        target_delay: critic updates to one update of the target.
        improvement: one of ``IMPROVEMENTS``; ``easy_bcq`` takes no steps.
        inverse_temperature: multiplies the advantage in the actor's weights (``exp_weight``).
        max_weight: cap on those weights (``exp_weight``).
        kl_weight: alpha, which weighs the divergence from the behaviour model against Q
            (``reverse_kl``).
        num_samples: actions that are drawn from a policy, to average over or to choose from.
    """

    num_steps: int = 2_600_000
    batch_size: int = 512
    learning_rate: float = 1e-4
    hidden_dims: tuple[int, ...] = (1024, 1024)
    behaviour_steps: int = 500_000
    sarsa_steps: int = 2_000_000
    target_delay: int = 2
    improvement: str = "exp_weight"
    inverse_temperature: float = 1.0
    max_weight: float = 100.0
    kl_weight: float = 1.0
    num_samples: int = 10

    def __post_init__(self) -> None:
        """Refuse values outside the method's domain."""
        super().__post_init__()
        self.require("behaviour_steps", self.behaviour_steps >= 1, "at least 1")
        self.require("sarsa_steps", self.sarsa_steps >= 1, "at least 1")
        self.require("target_delay", self.target_delay >= 1, "at least 1")
        self.require("improvement", self.improvement in IMPROVEMENTS, f"one of {IMPROVEMENTS}")
        self.require("inverse_temperature", self.inverse_temperature >= 0.0, "at least 0")
        self.require("max_weight", self.max_weight > 0.0, "above 0")
        self.require("kl_weight", self.kl_weight >= 0.0, "at least 0")
        self.require("num_samples", self.num_samples >= 1, "at least 1")
        first = self.behaviour_steps + self.sarsa_steps
        if self.improvement == "easy_bcq":
            rule = f"behaviour_steps + sarsa_steps = {first}: easy_bcq trains no more"
            self.require("num_steps", self.num_steps == first, rule)
        else:
            rule = f"above behaviour_steps + sarsa_steps = {first}"
            self.require("num_steps", self.num_steps > first, rule)


CONFIGS: dict[str, Config] = {}


class State(struct.PyTreeNode):
    """Everything that training changes or acting needs."""

    behaviour: core.Trainable
    actor: core.Trainable
    critic: core.Trainable
    target_critic: core.Params


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind one-step RL to its settings and sizes."""
    sizes = (config.hidden_dims, spec.observation, spec.action)
    actor = networks.varying_gaussian_actor(*sizes)
    critic = networks.critics(*sizes, num=1, layer_norm=config.layer_norm)
    tx = optax.adam(config.learning_rate)
    chooses = isinstance(spec.action, Discrete)

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        del statistics
        key_actor, key_critic = jax.random.split(key)
        actor_params, critic_params = actor.init(key_actor), critic.init(key_critic)
        return State(
            behaviour=core.Trainable.create(actor_params, tx),
            actor=core.Trainable.create(actor_params, tx),
            critic=core.Trainable.create(critic_params, tx),
            target_critic=critic_params,
        )

    def q_of_samples(params: core.Params, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """Q ``[M, B]`` of M actions ``[M, B, A]`` at each of ``observations`` ``[B, O]``."""
        repeated = jnp.broadcast_to(observations, (len(actions), *observations.shape))
        return critic.apply(params, repeated, actions)[0]

    def mean_q(
        params: core.Params, observations: jax.Array, policy: Any, key: jax.Array
    ) -> jax.Array:
        """Q ``[B]`` of what ``policy`` does: of choices the mean, otherwise that of samples."""
        if chooses:
            return jnp.sum(policy.probs * critic.all(params, observations)[0], axis=-1)
        sampled = policy.sample(seed=key, sample_shape=(config.num_samples,))
        return q_of_samples(params, observations, sampled).mean(0)

    def behaviour_loss(params: core.Params, batch: views.Demonstrations) -> core.Loss:
        """The likelihood of the data's actions."""
        loss = losses.cloning_loss(actor.apply(params, batch.observations).log_prob(batch.actions))
        return loss, {"behaviour_loss": loss}

    def critic_loss(params: core.Params, batch: views.Sarsa, next_q: jax.Array) -> core.Loss:
        """The Bellman error of SARSA; ``next_q`` ``[B]`` is Q of the next action in the data."""
        q = critic.apply(params, batch.observations, batch.actions)
        target = losses.bellman_target(batch.rewards, batch.terminations, next_q, config.discount)
        loss = losses.squared_error(q, target)
        return loss, {"critic_loss": loss, "q": q.mean()}

    def weighted_loss(
        params: core.Params, batch: views.Demonstrations, advantages: jax.Array
    ) -> core.Loss:
        """Exponentially weighted imitation: cloning by exp(beta A); ``advantages`` ``[B]``."""
        log_prob = actor.apply(params, batch.observations).log_prob(batch.actions)
        weights = losses.advantage_weights(
            advantages, config.inverse_temperature, config.max_weight
        )
        loss = losses.cloning_loss(log_prob, weights)
        return loss, {"actor_loss": loss, "advantage": advantages.mean()}

    def divergence_loss(
        params: core.Params, batch: views.Demonstrations, state: State, key: jax.Array
    ) -> core.Loss:
        """Reverse KL: ``alpha KL(pi || behaviour) - Q``, of samples of ``pi`` or of all choices."""
        key_q, key_divergence = jax.random.split(key)
        behaviour = actor.apply(state.behaviour.params, batch.observations)
        policy = actor.apply(params, batch.observations)
        if chooses:  # no gradient flows through a sample of them
            q = mean_q(state.critic.params, batch.observations, policy, key_q)
            divergence = policy.kl_divergence(behaviour)
        else:
            q = critic.apply(state.critic.params, batch.observations, policy.sample(seed=key_q))[0]
            sampled = policy.sample(seed=key_divergence, sample_shape=(config.num_samples,))
            log_ratio = lambda actions: policy.log_prob(actions) - behaviour.log_prob(actions)
            divergence = jax.vmap(log_ratio)(sampled).mean(0)
        loss = jnp.mean(config.kl_weight * divergence - q)
        return loss, {"actor_loss": loss, "divergence": divergence.mean()}

    def fit_behaviour(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key, step
        behaviour, metrics = core.descend(behaviour_loss, state.behaviour, tx, batch)
        # The improvement starts from here, with an optimizer of its own.
        actor = state.actor.replace(params=behaviour.params)
        return state.replace(behaviour=behaviour, actor=actor), metrics

    def evaluate_behaviour(
        state: State, batch: views.Sarsa, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key
        next_q = critic.apply(state.target_critic, batch.next_observations, batch.next_actions)[0]
        new_critic, metrics = core.descend(critic_loss, state.critic, tx, batch, next_q)
        due = (step + 1) % config.target_delay == 0
        moved = optax.incremental_update(
            new_critic.params, state.target_critic, jnp.where(due, config.polyak, 0.0)
        )
        return state.replace(critic=new_critic, target_critic=moved), metrics

    def improve_by_weights(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del step
        behaviour = actor.apply(state.behaviour.params, batch.observations)
        value = mean_q(state.critic.params, batch.observations, behaviour, key)
        q = critic.apply(state.critic.params, batch.observations, batch.actions)[0]
        new_actor, metrics = core.descend(weighted_loss, state.actor, tx, batch, q - value)
        return state.replace(actor=new_actor), metrics

    def improve_by_divergence(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del step
        new_actor, metrics = core.descend(divergence_loss, state.actor, tx, batch, state, key)
        return state.replace(actor=new_actor), metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, observation).mode()

    def reset_sampler(key: jax.Array, goal: jax.Array) -> core.Carry:
        del goal
        return key

    def act_by_choice(
        state: State, carry: core.Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, core.Carry]:
        """Easy BCQ: the best in Q of the actions that the behaviour model draws."""
        del last_reward
        key, carry = jax.random.split(carry)
        observations = observation[None]
        behaviour = actor.apply(state.behaviour.params, observations)
        sampled = behaviour.sample(seed=key, sample_shape=(config.num_samples,))
        sampled = networks.bounded(spec.action, sampled)
        best = q_of_samples(state.critic.params, observations, sampled)[:, 0].argmax()
        return sampled[best, 0], carry

    sample = sampling.uniform(config.batch_size)
    rows = lambda dataset: views.Demonstrations(dataset.observations, dataset.actions)
    sarsa = lambda dataset: views.sarsa(dataset, config.reward_transform)
    improvement_steps = config.num_steps - config.behaviour_steps - config.sarsa_steps
    phases: tuple[core.Phase, ...] = (
        core.Phase(config.behaviour_steps, rows, sample, fit_behaviour),
        core.Phase(config.sarsa_steps, sarsa, sample, evaluate_behaviour),
    )
    if config.improvement == "easy_bcq":
        algorithm = core.Algorithm(init, phases, reset_sampler, act_by_choice)
    else:
        improve = {"exp_weight": improve_by_weights, "reverse_kl": improve_by_divergence}
        phases += (core.Phase(improvement_steps, rows, sample, improve[config.improvement]),)
        algorithm = core.Algorithm(init, phases, *core.memoryless(act))
    return normalize.normalized(algorithm, spec, enabled=config.normalize_observations)
