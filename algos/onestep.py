"""One-step RL: model the behaviour policy, learn its Q by SARSA, improve on it once.

Source: Brandfonbrener et al. 2021 (arXiv:2106.08909); davidbrandfonbrener/onestep-rl@9999443
``policy_learner.py``, ``q_learner.py``, ``baseline_learner.py``, ``config/``. IQL's table, and so
the post's, shows the exponentially weighted improvement; reverse KL and easy BCQ are variants.

The authors' config asks for truncated normal policies, but their training loop then starts from a
copy of the behaviour model, which is a plain normal one; so is ours.

Departures: the paper picks the best of six strengths of improvement per dataset by its score; here
each family has one: ``kl_weight`` 1 is the repository's, but its ``inverse_temperature`` of 0.01
would leave the behaviour policy almost as it is, so this takes 1. The last row of a terminated
episode is kept for SARSA, for it needs no next action; actions are not kept 1e-4 within their
bounds where their probability is taken; orthogonal instead of PyTorch's initialisation.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, sampling, views
from envs.environment import EnvSpec

IMPROVEMENTS = ("exp_weight", "reverse_kl", "easy_bcq")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.ValueConfig):
    """Published settings (the repository's ``config/``).

    Attributes:
        num_steps: of all phases; what the first two leave goes into the improvement.
        behaviour_steps: of the behaviour model.
        sarsa_steps: of the behaviour policy's Q.
        target_delay: critic updates to one update of the target.
        improvement: one of ``IMPROVEMENTS``; ``easy_bcq`` takes no steps.
        inverse_temperature: exp_weight: multiplies the advantage in the actor's weights.
        max_weight: exp_weight: cap on those weights.
        kl_weight: reverse_kl: alpha, weighs the divergence from the behaviour model against Q.
        num_samples: actions drawn from a policy: to average Q or the divergence, or to choose from.
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
    normalizer: core.Normalizer


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind one-step RL to its settings and sizes."""
    sizes = (config.hidden_dims, spec.observation_dim, spec.action_dim)
    actor = networks.varying_gaussian_actor(*sizes)
    critic = networks.critic_ensemble(*sizes, num_critics=1, layer_norm=config.layer_norm)
    tx = optax.adam(config.learning_rate)

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        key_actor, key_critic = jax.random.split(key)
        actor_params, critic_params = actor.init(key_actor), critic.init(key_critic)
        return State(
            behaviour=core.Trainable.create(actor_params, tx),
            actor=core.Trainable.create(actor_params, tx),
            critic=core.Trainable.create(critic_params, tx),
            target_critic=critic_params,
            normalizer=core.Normalizer.create(statistics, config.normalize_observations),
        )

    def q_of_samples(params: core.Params, observations: jax.Array, actions: jax.Array) -> jax.Array:
        """Q ``[M, B]`` of M actions ``[M, B, A]`` at each of ``observations`` ``[B, O]``."""
        repeated = jnp.broadcast_to(observations, (len(actions), *observations.shape))
        return critic.apply(params, repeated, actions)[0]

    def fit_behaviour(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key, step
        observations = state.normalizer(batch.observations)

        def loss_fn(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            loss = -actor.apply(params, observations).log_prob(batch.actions).mean()
            return loss, {"behaviour_loss": loss}

        behaviour, metrics = core.gradient_step(loss_fn, state.behaviour, tx)
        # The improvement starts from here, with an optimizer of its own.
        return state.replace(
            behaviour=behaviour, actor=state.actor.replace(params=behaviour.params)
        ), metrics

    def evaluate_behaviour(
        state: State, batch: views.Sarsa, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key
        observations = state.normalizer(batch.observations)
        next_observations = state.normalizer(batch.next_observations)
        next_q = critic.apply(state.target_critic, next_observations, batch.next_actions)[0]
        target = batch.rewards + config.discount * (1.0 - batch.terminations) * next_q

        def loss_fn(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            predictions = critic.apply(params, observations, batch.actions)
            loss = losses.squared_error(predictions, target)
            return loss, {"critic_loss": loss, "q": predictions.mean()}

        new_critic, metrics = core.gradient_step(loss_fn, state.critic, tx)
        due = (step + 1) % config.target_delay == 0
        moved = optax.incremental_update(
            new_critic.params, state.target_critic, jnp.where(due, config.polyak, 0.0)
        )
        return state.replace(critic=new_critic, target_critic=moved), metrics

    def improve_by_weights(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del step
        observations = state.normalizer(batch.observations)
        behaviour = actor.apply(state.behaviour.params, observations)
        sampled = behaviour.sample(seed=key, sample_shape=(config.num_samples,))
        value = q_of_samples(state.critic.params, observations, sampled).mean(0)
        q = critic.apply(state.critic.params, observations, batch.actions)[0]
        weights = jnp.exp(config.inverse_temperature * (q - value))
        weights = jnp.minimum(weights, config.max_weight)

        def loss_fn(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            log_prob = actor.apply(params, observations).log_prob(batch.actions)
            loss = -jnp.mean(weights * log_prob)
            return loss, {"actor_loss": loss, "advantage": (q - value).mean()}

        new_actor, metrics = core.gradient_step(loss_fn, state.actor, tx)
        return state.replace(actor=new_actor), metrics

    def improve_by_divergence(
        state: State, batch: views.Demonstrations, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del step
        key_q, key_divergence = jax.random.split(key)
        observations = state.normalizer(batch.observations)
        behaviour = actor.apply(state.behaviour.params, observations)

        def loss_fn(params: core.Params) -> tuple[jax.Array, core.Metrics]:
            policy = actor.apply(params, observations)
            q = critic.apply(state.critic.params, observations, policy.sample(seed=key_q))[0]
            sampled = policy.sample(seed=key_divergence, sample_shape=(config.num_samples,))
            log_ratio = lambda actions: policy.log_prob(actions) - behaviour.log_prob(actions)
            divergence = jax.vmap(log_ratio)(sampled).mean(0)
            loss = jnp.mean(config.kl_weight * divergence - q)
            return loss, {"actor_loss": loss, "divergence": divergence.mean()}

        new_actor, metrics = core.gradient_step(loss_fn, state.actor, tx)
        return state.replace(actor=new_actor), metrics

    def act(state: State, observation: jax.Array) -> jax.Array:
        return actor.apply(state.actor.params, state.normalizer(observation)).mode()

    def reset_sampler(key: jax.Array, goal: jax.Array) -> core.Carry:
        del goal
        return key

    def act_by_choice(
        state: State, carry: core.Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, core.Carry]:
        del last_reward
        key, carry = jax.random.split(carry)
        observations = state.normalizer(observation)[None]
        behaviour = actor.apply(state.behaviour.params, observations)
        sampled = behaviour.sample(seed=key, sample_shape=(config.num_samples,))
        sampled = jnp.clip(sampled, -1.0, 1.0)
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
        return core.Algorithm(init, phases, reset_sampler, act_by_choice)
    improve = {"exp_weight": improve_by_weights, "reverse_kl": improve_by_divergence}
    phases += (core.Phase(improvement_steps, rows, sample, improve[config.improvement]),)
    return core.Algorithm(init, phases, *core.memoryless(act))
