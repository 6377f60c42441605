"""RvS: behavioural cloning that is told an outcome, a return (RvS-R) or a goal (RvS-G).

In training each row comes with the outcome that its own episode had; at evaluation the policy is
told the outcome that is wanted. There is no value function, so what no episode did from end to end
is not learned.

Source: Emmons et al. 2021 (arXiv:2112.10751); scottemmons/rvs@90c0ffb, ``src/rvs/dataset.py``,
``policies.py``, ``step.py`` and ``experiments/config/d4rl``. The return is the average over the
time left and its target stays the same throughout an episode; the goal is a later position of the
same episode (``sampling.hindsight``) and at evaluation the environment's true one, of which methods
without a condition hear nothing.

Departures: one target return for all tasks, the reference return (``target_fraction`` 1), where the
authors evaluate 0.3 to 1.2 of it and report the best per task; a fixed number of steps on
locomotion, where they count epochs; no episodes held out, and the last policy, where they also
report the one of least validation loss; the last layer starts with the gain of the others instead
of 0.01; the deviation is kept within [e^-5, e^2]; RvS-R on antmaze takes RvS-G's settings, for the
repository has none. Where an environment has no goals (locomotion) the condition of RvS-G is empty
and its rows are uniform, so it is BC with RvS's networks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algos import core, losses, networks, normalize, sampling, views
from envs.dataset import Dataset
from envs.environment import EnvSpec

CONDITIONS = ("return", "goal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.Config):
    """Published settings for locomotion (``gym_rvs_r.cfg``).

    The steps are what 2,000 epochs come to on halfcheetah-medium, a million rows.

    Attributes:
        condition: what the policy is told, one of ``CONDITIONS``.
        target_fraction: the return to reach, 0 as a random policy and 1 as the reference policy.
        normalize_inputs: scale observations and goals by the dataset's mean and deviation, returns
            by the random and the reference policy's.
    """

    num_steps: int = 124_000
    batch_size: int = 16_384
    learning_rate: float = 1e-3
    hidden_dims: tuple[int, ...] = (1024, 1024)
    condition: str = "return"
    target_fraction: float = 1.0
    normalize_inputs: bool = False

    def __post_init__(self) -> None:
        """Refuse conditions that do not exist."""
        super().__post_init__()
        self.require("condition", self.condition in CONDITIONS, f"one of {list(CONDITIONS)}")


CONFIGS = {
    "antmaze": Config(num_steps=20_000),  # antmaze_rvs_g.cfg
}


class State(struct.PyTreeNode):
    """Everything that training changes or acting needs.

    Attributes:
        scale: of the conditions; None where they are taken as they are, or where there are none.
    """

    actor: core.Trainable
    scale: normalize.Normalizer | None


def make(config: Config, spec: EnvSpec) -> core.Algorithm:
    """Bind RvS to its settings and sizes."""
    to_goal = config.condition == "goal"
    relabels = to_goal and spec.goal_dim > 0
    condition_dim = spec.goal_dim if to_goal else 1
    low, high = (total / spec.max_episode_steps for total in spec.reference_returns)
    target_return = low + config.target_fraction * (high - low)
    actor = networks.gaussian_actor(
        config.hidden_dims,
        spec.observation,
        spec.action,
        condition_dim=condition_dim,
        tanh_mean=False,
    )
    tx = optax.adam(config.learning_rate)

    def init(key: jax.Array, statistics: views.Statistics) -> State:
        scale = None
        if config.normalize_inputs and relabels:  # a goal is the first entries of an observation
            first = (leaf[: spec.goal_dim] for leaf in statistics)
            scale = normalize.Normalizer.create(views.Statistics(*first))
        elif config.normalize_inputs and not to_goal:
            scale = normalize.Normalizer(jnp.full(1, low), jnp.full(1, high - low))
        return State(actor=core.Trainable.create(actor.init(key), tx), scale=scale)

    def policy(
        params: core.Params, state: State, observations: jax.Array, conditions: jax.Array
    ) -> Any:
        """The distribution of actions at ``observations`` ``[..., O]`` for what is wanted."""
        conditions = conditions if state.scale is None else state.scale(conditions)
        return actor.apply(params, observations, conditions)

    def actor_loss(params: core.Params, state: State, batch: views.Outcomes) -> core.Loss:
        """Algorithm 1: the likelihood of the data's actions, given what came of them."""
        log_prob = policy(params, state, batch.observations, batch.conditions).log_prob(
            batch.actions
        )
        loss = losses.cloning_loss(log_prob)
        return loss, {"actor_loss": loss}

    def update(
        state: State, batch: views.Outcomes, key: jax.Array, step: jax.Array
    ) -> tuple[State, core.Metrics]:
        del key, step
        new_actor, metrics = core.descend(actor_loss, state.actor, tx, state, batch)
        return state.replace(actor=new_actor), metrics

    def reset(key: jax.Array, goal: jax.Array) -> core.Carry:
        del key
        return goal if to_goal else jnp.full(1, target_return, jnp.float32)

    def act(
        state: State, carry: core.Carry, observation: jax.Array, last_reward: jax.Array
    ) -> tuple[jax.Array, core.Carry]:
        del last_reward
        action = policy(state.actor.params, state, observation, carry).mode()
        return networks.bounded(spec.action, action), carry

    def view(dataset: Dataset) -> views.Paths | views.Outcomes:
        if relabels:
            return views.paths(dataset, spec.goal_dim)
        rows = views.average_returns(dataset)
        return rows._replace(conditions=rows.conditions[:, :condition_dim])  # one column, or none

    sample = sampling.hindsight if relabels else sampling.uniform
    phase = core.Phase(
        num_steps=config.num_steps,
        view=view,
        sample=sample(config.batch_size),
        update=update,
    )
    algorithm = core.Algorithm(init, (phase,), reset, act)
    return normalize.normalized(algorithm, spec, enabled=config.normalize_inputs)
