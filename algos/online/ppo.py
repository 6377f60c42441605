"""Proximal policy optimisation, which teaches the ant to walk to a target and stay on its feet.

The recipe is made for cloning: random shoves teach recovery, and a price on actions beyond +-1
keeps the mean action where a regression can see it.

Source: Schulman et al. 2017 (arXiv:1707.06347), with the usual additions (running observation
normalisation, advantages normalised per batch, generalised advantage estimation).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from algos.online import mlp
from algos.online.progress import load_progress, save_progress
from envs.collect.policy import Policy
from envs.collect.walker import torso_up, walker_observation
from envs.spaces import Array
from envs.worlds.antmaze import load_ant, reset_ant
from envs.worlds.simulate import Simulator

OBSERVATION_DIM, ACTION_DIM = 29, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run."""

    num_steps: int = 4_000_000
    num_envs: int = 64
    rollout_steps: int = 128
    num_epochs: int = 5
    num_minibatches: int = 8
    hidden_dims: tuple[int, ...] = (64, 64)
    learning_rate: float = 5e-4
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip_ratio: float = 0.2
    entropy_weight: float = 1e-3
    episode_steps: int = 500
    goal_change_probability: float = 1 / 100
    push_probability: float = 1 / 60


class AntField:
    """Ants on open ground, rewarded for speed towards a target that moves now and then."""

    def __init__(self, config: Config, generator: np.random.Generator) -> None:
        """Start ``config.num_envs`` ants; all randomness comes from ``generator``."""
        n = config.num_envs
        self._config, self._generator = config, generator
        self._simulator = Simulator(load_ant(None), n, frame_skip=5)
        self._targets, self._ages = np.zeros((n, 2)), np.zeros(n, np.int64)
        for lane in range(n):
            self._start(lane)

    def observe(self) -> Array:
        """``[N, 29]`` what the walker sees."""
        return walker_observation(self._simulator.qpos, self._simulator.qvel, self._targets)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Apply raw ``actions`` ``[N, 8]``; finished lanes start again.

        Returns:
            rewards ``[N]``, falls ``[N]``, ends ``[N]`` (fall or time limit), the observations
            before any restart ``[N, 29]``, and speeds towards the target ``[N]`` in m/s.
        """
        config, generator, simulator = self._config, self._generator, self._simulator
        n = config.num_envs
        before = np.linalg.norm(self._targets - simulator.qpos[:, :2], axis=1)
        simulator.step(np.clip(actions, -1.0, 1.0), np.ones(n, bool))
        distance = np.linalg.norm(self._targets - simulator.qpos[:, :2], axis=1)
        speed = (before - distance) / simulator.time_step
        up = torso_up(simulator.qpos)
        rewards = (
            np.minimum(speed, 1.2)
            + 0.3
            - 0.02 * np.sum(np.clip(actions, -1.0, 1.0) ** 2, axis=1)
            - 0.05 * np.sum(np.maximum(np.abs(actions) - 1.0, 0.0) ** 2, axis=1)
            - 0.3 * np.maximum(0.0, 0.7 - up)
        )
        falls = (up < 0.0) | (simulator.qpos[:, 2] < 0.25)
        self._ages += 1
        ends = falls | (self._ages >= config.episode_steps)
        observations = self.observe()
        for lane in np.flatnonzero(ends):
            self._start(int(lane))
        change = generator.random(n) < config.goal_change_probability
        for lane in np.flatnonzero(change | (distance < 0.3)):
            self._draw_target(int(lane))
        for lane in np.flatnonzero(generator.random(n) < config.push_probability):
            push = np.zeros(simulator.model.nv)
            push[:2] = generator.normal(0.0, 0.8, 2)
            push[3:6] = generator.normal(0.0, 2.0, 3)
            simulator.push(int(lane), push)
        return rewards, falls, ends, observations, speed

    def _start(self, lane: int) -> None:
        reset_ant(self._simulator, lane, np.zeros(2), self._generator)
        # Any heading: the torso's quaternion about the vertical axis.
        yaw = self._generator.uniform(-np.pi, np.pi)
        qpos = self._simulator.qpos[lane].copy()
        qpos[3:7] = np.cos(yaw / 2), *(qpos[4:6]), np.sin(yaw / 2)
        self._simulator.reset(lane, qpos, self._simulator.qvel[lane].copy())
        self._ages[lane] = self._generator.integers(self._config.episode_steps // 4)
        self._draw_target(lane)

    def _draw_target(self, lane: int) -> None:
        angle, distance = self._generator.uniform(-np.pi, np.pi), self._generator.uniform(0.5, 8.0)
        offset = distance * np.array([np.cos(angle), np.sin(angle)])
        self._targets[lane] = self._simulator.qpos[lane, :2] + offset


class _State(NamedTuple):
    actor: Any
    log_std: jax.Array
    value: Any
    optimizer: Any
    key: jax.Array
    count: Any  # observations seen so far, with their mean and variance
    mean: Any
    variance: Any


def train(seed: int, config: Config, folder: Path, report: Callable[[str], None]) -> Policy:
    """Train the walker, keeping a resume point in ``folder``; returns the mean-action policy.

    Like SAC's, a run that was cut goes on with fresh episodes.
    """
    per_iteration = config.num_envs * config.rollout_steps
    iterations = config.num_steps // per_iteration
    updates = iterations * config.num_epochs * config.num_minibatches
    tx = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adam(
            optax.linear_schedule(config.learning_rate, 0.1 * config.learning_rate, updates)
        ),
    )
    state = _init(jax.random.key(seed), config, tx)
    update = jax.jit(partial(_update, config=config, tx=tx))
    first = 0
    speeds: list[float] = []
    saved = load_progress(folder, state, {})
    if saved is not None:
        state, first, speeds = saved
        report(f"ant: resumed at step {first * per_iteration:,}")
    generator = np.random.default_rng([seed, first])
    field = AntField(config, generator)
    values = jax.jit(lambda layers, x: mlp.apply(layers, x, jnp.tanh)[..., 0])

    for iteration in range(first, iterations):
        policy = _policy(state)
        log_std = np.asarray(state.log_std)
        normalise = lambda x, p=policy: ((x - p.mean) / p.std).astype(np.float32)
        rollout: dict[str, list[Array]] = {}
        raw, speed_sum, num_falls = [], 0.0, 0
        for _ in range(config.rollout_steps):
            observations = field.observe()
            noise = generator.standard_normal((config.num_envs, ACTION_DIM), np.float32)
            actions = policy.forward(observations, np.tanh) + np.exp(log_std) * noise
            rewards, falls, ends, next_observations, speed = field.step(actions)
            rows = {
                "observations": normalise(observations),
                "next_observations": normalise(next_observations),
                "actions": actions,
                "rewards": rewards.astype(np.float32),
                "falls": falls,
                "ends": ends,
            }
            for name, value in rows.items():
                rollout.setdefault(name, []).append(value)
            raw.append(observations)
            speed_sum += float(speed.mean())
            num_falls += int(falls.sum())
        batch = {name: np.stack(value) for name, value in rollout.items()}
        state = update(
            state,
            batch
            | {
                "values": values(state.value, batch["observations"]),
                "next_values": values(state.value, batch["next_observations"]),
            },
        )
        state = _count_observations(state, np.concatenate(raw))
        speeds.append(speed_sum / config.rollout_steps)
        if (iteration + 1) % 10 == 0 or iteration + 1 == iterations:
            falls_per_1000 = 1000 * num_falls / per_iteration
            report(
                f"ant: step {(iteration + 1) * per_iteration:,}, speed {speeds[-1]:.2f} m/s, "
                f"{falls_per_1000:.2f} falls per 1,000 steps, std {np.exp(log_std).mean():.2f}"
            )
            save_progress(folder, state, {}, iteration + 1, speeds)
    return _policy(state)


def _policy(state: _State) -> Policy:
    std = np.sqrt(np.asarray(state.variance) + 1e-4).astype(np.float32)
    return mlp.to_policy(jax.device_get(state.actor), np.asarray(state.mean, np.float32), std)


def _init(key: jax.Array, config: Config, tx: optax.GradientTransformation) -> _State:
    key_actor, key_value, key = jax.random.split(key, 3)
    actor = mlp.init(key_actor, (OBSERVATION_DIM, *config.hidden_dims, ACTION_DIM), 0.01)
    value = mlp.init(key_value, (OBSERVATION_DIM, *config.hidden_dims, 1))
    log_std = jnp.full(ACTION_DIM, -0.7)
    optimizer = tx.init((actor, log_std, value))
    zeros, ones = np.zeros(OBSERVATION_DIM, np.float32), np.ones(OBSERVATION_DIM, np.float32)
    return _State(actor, log_std, value, optimizer, key, np.array(1e-4), zeros, ones)


def _count_observations(state: _State, observations: Array) -> _State:
    """Fold a batch ``[N, 29]`` into the running mean and variance (Chan's parallel formula)."""
    old, new = float(state.count), len(observations)
    mean, variance = np.asarray(state.mean, np.float64), np.asarray(state.variance, np.float64)
    delta = observations.mean(0) - mean
    total = old + new
    moments = variance * old + observations.var(0) * new + delta**2 * old * new / total
    return state._replace(
        count=np.array(total),
        mean=(mean + delta * new / total).astype(np.float32),
        variance=(moments / total).astype(np.float32),
    )


def _log_prob(actor: Any, log_std: jax.Array, observations: Any, actions: Any) -> jax.Array:
    error = (actions - mlp.apply(actor, observations, jnp.tanh)) / jnp.exp(log_std)
    return jnp.sum(-0.5 * error**2 - log_std, axis=-1)


def _update(
    state: _State, batch: dict[str, Any], *, config: Config, tx: optax.GradientTransformation
) -> _State:
    """Advantages over ``[T, N]`` rows, then epochs of clipped minibatch updates."""
    next_values = jnp.where(batch["falls"], 0.0, batch["next_values"])
    deltas = batch["rewards"] + config.discount * next_values - batch["values"]
    decay = config.discount * config.gae_lambda * (1.0 - batch["ends"])
    backwards = lambda carry, x: (x[0] + x[1] * carry,) * 2
    zeros = jnp.zeros(config.num_envs)
    advantages = jax.lax.scan(backwards, zeros, (deltas, decay), reverse=True)[1]
    flat = {
        "observations": batch["observations"].reshape(-1, OBSERVATION_DIM),
        "actions": batch["actions"].reshape(-1, ACTION_DIM),
        "advantages": advantages.reshape(-1),
        "returns": (advantages + batch["values"]).reshape(-1),
    }
    flat["log_prob"] = _log_prob(state.actor, state.log_std, flat["observations"], flat["actions"])

    def loss(trained: tuple[Any, Any, Any], rows: dict[str, jax.Array]) -> jax.Array:
        actor, log_std, value = trained
        ratio = jnp.exp(
            _log_prob(actor, log_std, rows["observations"], rows["actions"]) - rows["log_prob"]
        )
        gain = rows["advantages"]
        gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        clipped = jnp.clip(ratio, 1.0 - config.clip_ratio, 1.0 + config.clip_ratio)
        error = mlp.apply(value, rows["observations"], jnp.tanh)[..., 0] - rows["returns"]
        return (
            -jnp.mean(jnp.minimum(ratio * gain, clipped * gain))
            + 0.5 * jnp.mean(error**2)
            - config.entropy_weight * jnp.sum(log_std)
        )

    def minibatch(carry: Any, index: jax.Array) -> tuple[Any, None]:
        trained, optimizer = carry
        grads = jax.grad(loss)(trained, jax.tree.map(lambda x: x[index], flat))
        updates, optimizer = tx.update(grads, optimizer)
        return (optax.apply_updates(trained, updates), optimizer), None

    key, key_order = jax.random.split(state.key)
    num_rows = config.num_envs * config.rollout_steps
    order = jax.vmap(lambda k: jax.random.permutation(k, num_rows))(
        jax.random.split(key_order, config.num_epochs)
    ).reshape(config.num_epochs * config.num_minibatches, -1)
    carry = ((state.actor, state.log_std, state.value), state.optimizer)
    (actor, log_std, value), optimizer = jax.lax.scan(minibatch, carry, order)[0]
    return state._replace(actor=actor, log_std=log_std, value=value, optimizer=optimizer, key=key)
