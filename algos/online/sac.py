"""Online soft actor-critic, which makes the locomotion behaviour policies.

D4RL's medium, expert and medium-replay data come from SAC as well.

Source: Haarnoja et al. 2018 (arXiv:1812.05905). Departures: layer norm in the critics (steadier at
one update per step with small batches); 8 environments in lock step, 8 updates after each; the
learning rate falls at the end, because at a constant one neighbouring snapshots differ by tens of
points and the last is rarely a good one.
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
from envs.collect.policy import LOG_STD_RANGE, Policy
from envs.scores import REFERENCE_RETURNS, normalized_score
from envs.spaces import Array
from envs.worlds.locomotion import Locomotion


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run.

    Attributes:
        max_steps: environment steps at most; one gradient update each.
        target_score: stop once training episodes average this normalized score.
        decay_steps: the last steps, over which the learning rate falls linearly to a twentieth.
        snapshot_steps: steps between two actor snapshots.
    """

    max_steps: int = 2_000_000
    decay_steps: int = 500_000
    target_score: float = 100.0
    snapshot_steps: int = 10_000
    num_envs: int = 8
    random_steps: int = 5_000
    batch_size: int = 128
    hidden_dims: tuple[int, ...] = (128, 128)
    learning_rate: float = 5e-4
    discount: float = 0.99
    polyak: float = 0.005
    replay_rows: int = 1_000_000


class _State(NamedTuple):
    actor: Any
    critics: Any
    target_critics: Any
    log_alpha: jax.Array
    optimizer: Any
    key: jax.Array


def train(name: str, seed: int, config: Config, folder: Path, report: Callable[[str], None]) -> int:
    """Train on robot ``name``, leaving snapshots and their training scores in ``folder``.

    A run that was cut goes on from its last saved point with fresh episodes, so it is resumable
    but not bit-identical to an undisturbed one.

    Args:
        name: a key of ``envs.worlds.locomotion.BODIES``.
        seed: seeds networks, exploration and episodes.
        config: settings.
        folder: where snapshots (``snapshot-<step>.npz``) and the resume point are kept.
        report: receives a line of progress now and then.

    Returns:
        Environment steps taken.
    """
    environment = Locomotion(name, config.num_envs)
    spec = environment.spec
    tx = optax.scale_by_adam()  # the learning rate is an argument of each update
    learning_rate = learning_rate_schedule(config)
    state = _init(jax.random.key(seed), spec.observation_dim, spec.action_dim, config, tx)
    update = jax.jit(partial(_update_many, config=config, tx=tx))

    rows = config.replay_rows
    buffer = {
        "observations": np.zeros((rows, spec.observation_dim), np.float32),
        "actions": np.zeros((rows, spec.action_dim), np.float32),
        "rewards": np.zeros(rows, np.float32),
        "terminations": np.zeros(rows, np.float32),
        "next_observations": np.zeros((rows, spec.observation_dim), np.float32),
    }
    scores: list[float] = []  # normalized score of each finished training episode
    step = 0
    saved = load_progress(folder, state, buffer)
    if saved is not None:
        state, step, scores = saved
        report(f"{name}: resumed at step {step:,}")
    generator = np.random.default_rng([seed, step])

    n = config.num_envs
    observations = environment.reset(generator.integers(2**32, size=n))
    returns, lengths = np.zeros(n), np.zeros(n, np.int64)
    policy = _policy(state)
    if step == 0:
        policy.save(_snapshot_name(0, 0.0), folder)
    while step < config.max_steps:
        if step < config.random_steps:
            actions = generator.uniform(-1.0, 1.0, (n, spec.action_dim)).astype(np.float32)
        else:
            noise = generator.standard_normal((n, spec.action_dim), np.float32)
            actions = policy.squashed_gaussian(observations, noise)
        next_observations, rewards, terminations = environment.step(actions, np.ones(n, bool))
        index = (step + np.arange(n)) % rows
        new_rows = (observations, actions, rewards, terminations, next_observations)
        for array, values in zip(buffer.values(), new_rows, strict=True):
            array[index] = values
        step += n
        returns += rewards
        lengths += 1
        observations = next_observations
        done = np.flatnonzero(terminations | (lengths >= spec.max_episode_steps))
        if len(done):
            scores += normalized_score(returns[done], REFERENCE_RETURNS[name]).tolist()
            seeds = generator.integers(2**32, size=len(done))
            observations = environment.reset(seeds, done)
            returns[done], lengths[done] = 0.0, 0

        if step >= config.random_steps:
            index = generator.integers(min(step, rows), size=(n, config.batch_size))
            batches = {key: array[index] for key, array in buffer.items()}
            state = update(state, batches, jnp.asarray(learning_rate(step)))
            policy = _policy(state)
        if step % config.snapshot_steps < n:
            score = float(np.mean(scores[-20:])) if scores else 0.0
            policy.save(_snapshot_name(step, score), folder)
            report(f"{name}: step {step:,}, training score {score:.1f}")
            if step % (10 * config.snapshot_steps) < n:
                save_progress(folder, state, buffer, step, scores)
            if score >= config.target_score:
                break
    return step


def learning_rate_schedule(config: Config) -> optax.Schedule:
    """Learning rate at each environment step."""
    return optax.linear_schedule(
        config.learning_rate,
        config.learning_rate / 20,
        config.decay_steps,
        transition_begin=max(0, config.max_steps - config.decay_steps),
    )


def list_snapshots(folder: Path) -> list[tuple[int, float, str]]:
    """(step, training score, file stem) of every snapshot in ``folder``, by step."""
    stems = [path.stem for path in folder.glob("snapshot-*.npz")]
    parsed = [(int(stem.split("_")[0][9:]), float(stem.split("_")[1]), stem) for stem in stems]
    return sorted(parsed)


def _snapshot_name(step: int, score: float) -> str:
    return f"snapshot-{step}_{score:.1f}"


def _policy(state: _State) -> Policy:
    actor = jax.device_get(state.actor)
    inputs = actor[0][0].shape[0]
    return mlp.to_policy(actor, np.zeros(inputs, np.float32), np.ones(inputs, np.float32))


def _init(
    key: jax.Array,
    observation_dim: int,
    action_dim: int,
    config: Config,
    tx: optax.GradientTransformation,
) -> _State:
    key_actor, key_critic, key = jax.random.split(key, 3)
    actor = mlp.init(key_actor, (observation_dim, *config.hidden_dims, 2 * action_dim), 0.01)
    sizes = (observation_dim + action_dim, *config.hidden_dims, 1)
    critics = jax.vmap(lambda k: mlp.init(k, sizes))(jax.random.split(key_critic, 2))
    log_alpha = jnp.zeros(())
    optimizer = tx.init((actor, critics, log_alpha))
    return _State(actor, critics, critics, log_alpha, optimizer, key)


def _sample_action(actor: Any, observations: jax.Array, key: jax.Array) -> tuple[Any, Any]:
    mean, log_std = jnp.split(mlp.apply(actor, observations, jax.nn.relu), 2, axis=-1)
    log_std = jnp.clip(log_std, *LOG_STD_RANGE)
    noise = jax.random.normal(key, mean.shape)
    raw = mean + jnp.exp(log_std) * noise
    log_prob = jnp.sum(-0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi), axis=-1)
    # log(1 - tanh(raw)^2) in the form that does not underflow.
    log_prob -= jnp.sum(2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw)), axis=-1)
    return jnp.tanh(raw), log_prob


def _q_values(critics: Any, observations: jax.Array, actions: jax.Array) -> jax.Array:
    inputs = jnp.concatenate([observations, actions], axis=-1)
    one = lambda layers: mlp.apply(layers, inputs, jax.nn.relu, layer_norm=True)[..., 0]
    return jax.vmap(one)(critics)


def _update_many(
    state: _State,
    batches: dict[str, Array],
    learning_rate: jax.Array | float,
    *,
    config: Config,
    tx: optax.GradientTransformation,
) -> _State:
    step = lambda state, batch: (_update(state, batch, learning_rate, config, tx), None)
    return jax.lax.scan(step, state, batches)[0]


def _update(
    state: _State,
    batch: Any,
    learning_rate: jax.Array | float,
    config: Config,
    tx: optax.GradientTransformation,
) -> _State:
    key, key_next, key_new = jax.random.split(state.key, 3)
    alpha = jnp.exp(state.log_alpha)
    next_actions, next_log_prob = _sample_action(state.actor, batch["next_observations"], key_next)
    next_q = _q_values(state.target_critics, batch["next_observations"], next_actions).min(0)
    discount = config.discount * (1.0 - batch["terminations"])
    target = batch["rewards"] + discount * (next_q - alpha * next_log_prob)

    def loss(trained: tuple[Any, Any, Any]) -> jax.Array:
        actor, critics, log_alpha = trained
        q = _q_values(critics, batch["observations"], batch["actions"])
        actions, log_prob = _sample_action(actor, batch["observations"], key_new)
        # The actor must climb the critics without moving them.
        frozen = jax.lax.stop_gradient(critics)
        actor_q = _q_values(frozen, batch["observations"], actions).min(0)
        entropy_gap = jax.lax.stop_gradient(log_prob.mean() - batch["actions"].shape[-1])
        return (
            0.5 * jnp.sum(jnp.mean((q - target) ** 2, axis=1))
            + jnp.mean(alpha * log_prob - actor_q)
            - log_alpha * entropy_gap
        )

    trained = (state.actor, state.critics, state.log_alpha)
    updates, optimizer = tx.update(jax.grad(loss)(trained), state.optimizer)
    updates = jax.tree.map(lambda update: -learning_rate * update, updates)
    actor, critics, log_alpha = optax.apply_updates(trained, updates)
    target_critics = optax.incremental_update(critics, state.target_critics, config.polyak)
    return _State(actor, critics, target_critics, log_alpha, optimizer, key)
