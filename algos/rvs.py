"""RvS: behavioural cloning that is told an outcome, a return (RvS-R) or a goal (RvS-G).

In training each row comes with the outcome that its own episode had. At evaluation the policy is
told the outcome that is wanted. There is no value function, so that nothing is learned that no
episode did from end to end.

Source: Emmons et al. 2021 (arXiv:2112.10751); scottemmons/rvs@90c0ffb ``src/rvs/dataset.py``,
``policies.py``, ``step.py``, ``experiments/config/d4rl``. The return is the average over the time
that is left, and its target stays the same throughout an episode. The goal is a later position of
the same episode (``sampling.hindsight``). At evaluation it is the environment's true goal, which
methods without a condition never see.

Departures: one target serves all tasks, the reference return (a ``target_fraction`` of 1), while
the authors evaluate fractions from 0.3 to 1.2 and report the best one of each task. Training on
locomotion takes a number of steps instead of epochs. No episodes are held out and the last policy
is evaluated, while the authors also report the policy of least validation loss. The last layer
starts with the gain of the other layers instead of 0.01. The deviation is kept within
[e^-5, e^2]. RvS-R has the settings of RvS-G on antmaze, for which the repository has none. Where an
environment has no goals, as in locomotion, the condition of RvS-G is empty and its rows are drawn
uniformly, so that it is BC with the networks of RvS.
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
    """Published settings for locomotion, from ``gym_rvs_r.cfg``.

    On the million rows of halfcheetah-medium the authors' 2,000 epochs are this number of steps.

    Attributes:
        condition: the outcome that the policy is told, one of ``CONDITIONS``.
        target_fraction: return to reach; 0 is a random policy's and 1 the reference policy's.
        normalize_inputs: scale observations and goals by the dataset's mean and deviation, and
            returns by those of the random and the reference policy.
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
    # Source: antmaze_rvs_g.cfg, same commit.
    "antmaze": Config(num_steps=20_000),
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
