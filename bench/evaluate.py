"""Lock-step evaluation: all seeds and episodes of a cell at once, one episode per lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from algos import core
from bench.train import EVAL, Program, stream
from envs.types import Array, Environment


def episode_seeds(seeds: Sequence[int], num_episodes: int) -> Array:
    """The environment seed of each episode, ``[S, E]`` uint32.

    The same for every method and every evaluation, different for every training seed.
    """
    return np.stack(
        [np.random.SeedSequence([EVAL, seed]).generate_state(num_episodes) for seed in seeds]
    )


def evaluate(
    program: Program,
    states: core.State,
    environment: Environment,
    seeds: Sequence[int],
    num_episodes: int,
    watch: Callable[[Array], None] = lambda observations: None,
) -> tuple[Array, Array]:
    """Play ``num_episodes`` whole episodes with each seed's policy.

    Lanes that are done wait for the others: restarting them would favour short episodes.

    Args:
        program: the method.
        states: leaves ``[S, ...]``.
        environment: ``S * E`` lanes.
        seeds: the S training seeds.
        num_episodes: E.
        watch: shown the observations ``[S * E, O]`` of each step, first and last included; those
            of lanes that are done stay as they were.

    Returns:
        returns ``[S, E]`` float64, undiscounted, and lengths ``[S, E]``.
    """
    shape = (len(seeds), num_episodes)
    observations = environment.reset(episode_seeds(seeds, num_episodes).reshape(-1))
    watch(observations)
    keys = jax.vmap(lambda key: jax.random.split(key, num_episodes))(stream(seeds, EVAL))
    goals = environment.goals.reshape(*shape, environment.spec.goal_dim)
    carries = program.reset(keys, jnp.asarray(goals, jnp.float32))
    active = np.ones(environment.num_envs, bool)
    rewards = np.zeros(environment.num_envs)
    returns, lengths = np.zeros(environment.num_envs), np.zeros(environment.num_envs, np.int64)
    for _ in range(environment.spec.max_episode_steps):
        actions, carries = program.act(
            states,
            carries,
            observations.reshape(*shape, -1).astype(np.float32),
            rewards.reshape(shape).astype(np.float32),
        )
        clipped = np.clip(np.asarray(actions).reshape(environment.num_envs, -1), -1.0, 1.0)
        observations, rewards, terminations = environment.step(clipped, active)
        watch(observations)
        returns += rewards
        lengths += active
        active &= ~terminations
        if not active.any():
            break
    return returns.reshape(shape), lengths.reshape(shape)
