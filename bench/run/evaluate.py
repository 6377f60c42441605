"""Lock-step evaluation: all seeds and episodes of a cell at once, one episode per lane."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from algos import core
from bench.run.train import EVAL, Program, stream
from bench.store import LARGEST
from envs.environment import Environment
from envs.errors import EnvironmentFault, Fault
from envs.spaces import Array

Finished = TypeVar("Finished")

_FLOAT32 = float(np.finfo(np.float32).max)  # policies see float32


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

    Raises:
        Fault: the environment raised an error, or a number of it or of the policy is not finite;
            the message names seed, episode and step.
    """
    shape, spec = (len(seeds), num_episodes), environment.spec
    border = _Border(seeds, num_episodes)
    first_seeds = episode_seeds(seeds, num_episodes).reshape(-1)
    observations = border.cross("reset", 0, environment.reset, first_seeds)
    border.require_finite("observation", 0, observations, _FLOAT32)
    watch(observations)
    keys = jax.vmap(lambda key: jax.random.split(key, num_episodes))(stream(seeds, EVAL))
    goals = environment.goals.reshape(*shape, spec.goal_dim)
    carries = program.reset(keys, jnp.asarray(goals, jnp.float32))
    active = np.ones(environment.num_envs, bool)
    rewards = np.zeros(environment.num_envs)
    returns, lengths = np.zeros(environment.num_envs), np.zeros(environment.num_envs, np.int64)
    for step in range(1, spec.max_episode_steps + 1):
        actions, carries = program.act(
            states,
            carries,
            observations.reshape(spec.observation.batch(*shape)).astype(spec.observation.dtype),
            rewards.reshape(shape).astype(np.float32),
        )
        chosen: Array = np.asarray(actions).reshape(spec.action.batch(environment.num_envs))
        border.require_finite("action of the policy", step, chosen)
        clipped = spec.action.clip(chosen)
        observations, rewards, terminations = border.cross(
            "step", step, environment.step, clipped, active
        )
        border.require_finite("reward", step, rewards, _FLOAT32)
        border.require_finite("observation", step, observations, _FLOAT32)
        watch(observations)
        returns += rewards
        border.require_finite("return", step, returns, LARGEST)
        lengths += active
        active &= ~terminations
        if not active.any():
            break
    return returns.reshape(shape), lengths.reshape(shape)


@contextlib.contextmanager
def naming(task: str, environment: str) -> Iterator[None]:
    """Say in a `Fault` which task and environment it is about, and what to do.

    Args:
        task: its name.
        environment: gymnasium's name of it.
    """
    try:
        yield
    except Fault as fault:
        where = f"{task} in {environment}"
        raise Fault(f"{where}: {fault}; mend it, and the same command tries again") from fault


class _Border:
    """Lets nothing pass between an environment, which may be a user's own code, and ours unseen."""

    def __init__(self, seeds: Sequence[int], num_episodes: int) -> None:
        """Lanes are ``num_episodes`` of the first of ``seeds``, then those of the next."""
        self._seeds, self._num_episodes = tuple(seeds), num_episodes

    def cross(
        self, name: str, step: int, call: Callable[..., Finished], *arguments: Array
    ) -> Finished:
        """``call(*arguments)``, which is the environment's ``name`` at ``step``.

        Raises:
            Fault: it raised whatever error; SystemExit too, or an environment could end the grid.
        """
        try:
            return call(*arguments)
        except EnvironmentFault as error:
            where = f"step {step}" if error.lane is None else self._place(error.lane, step)
            raise Fault(f"{name}: {error.reason} ({where})") from error
        except (Exception, SystemExit) as error:
            raise Fault(f"{name} raised {describe(error)} (step {step})") from error

    def require_finite(self, name: str, step: int, values: Array, bound: float = np.inf) -> None:
        """Require ``values`` ``[N]`` or ``[N, K]`` to lie within ``bound``, exclusive.

        Raises:
            Fault: naming the first lane that has another.
        """
        good = np.abs(values) < bound
        if not good.all():
            lane = int(np.argwhere(~good)[0, 0])
            value = values[~good][0]
            raise Fault(f"{name} is {value:g} ({self._place(lane, step)})")

    def _place(self, lane: int, step: int) -> str:
        seed, episode = divmod(lane, self._num_episodes)
        return f"seed {self._seeds[seed]}, episode {episode}, step {step}"


def describe(error: BaseException) -> str:
    """An error's type and the first line of its message, of at most 200 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
