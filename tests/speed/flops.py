"""Floating-point operations of the least work that one update of each method can be done with.

Matrix products alone, two operations per multiply-add, for one seed. What a method works out twice
where once would do is counted once, so that work saved shows as a higher share of the peak, and
work wasted as a lower one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from algos import core
from envs.environment import EnvSpec

Widths = tuple[int, ...]  # of a dense net: input, hidden layers, output


def forward(rows: int, widths: Widths) -> int:
    """A dense net's output for ``rows`` inputs."""
    return 2 * rows * sum(fan_in * fan_out for fan_in, fan_out in pairwise(widths))


def input_gradient(rows: int, widths: Widths, wanted: int = 0) -> int:
    """From the gradient of the output to that of each layer's input.

    Args:
        rows: inputs.
        widths: of the net.
        wanted: how many of the net's inputs need a gradient; by default none, which leaves the
            first layer out.
    """
    return forward(rows, widths[1:]) + 2 * rows * wanted * widths[1]


def training(rows: int, widths: Widths) -> int:
    """Forward, and backward to the parameters."""
    weight_gradients = forward(rows, widths)
    return forward(rows, widths) + weight_gradients + input_gradient(rows, widths)


def forward_of_samples(rows: int, samples: int, widths: Widths, action_dim: int) -> int:
    """Q of ``samples`` actions at each of ``rows`` observations.

    The first layer's product with an observation is the same for all actions there.
    """
    observation_dim = widths[0] - action_dim
    shared = 2 * rows * observation_dim * widths[1]
    return shared + forward(rows * samples, (action_dim, *widths[1:]))


def training_of_samples(rows: int, samples: int, widths: Widths, action_dim: int) -> int:
    """The same and backward to the parameters, where observations are shared likewise."""
    weight_gradients = forward_of_samples(rows, samples, widths, action_dim)
    return 2 * weight_gradients + input_gradient(rows * samples, widths)


def per_update(
    algorithm_name: str, config: core.Config, spec: EnvSpec, step: int
) -> tuple[int, ...]:
    """Operations of one update in each phase, on average, around ``step`` of the phase."""
    return tuple(round(count) for count in COUNTS[algorithm_name](config, spec, step))


def _nets(config: core.Config, spec: EnvSpec, outputs: int) -> tuple[Widths, Widths]:
    """Widths of an actor with ``outputs`` and of a critic."""
    actor = (spec.observation_dim, *config.hidden_dims, outputs)
    return actor, (spec.observation_dim + spec.action_dim, *config.hidden_dims, 1)


def _bc(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    actor, _ = _nets(config, spec, spec.action_dim)
    return [training(config.batch_size, actor)]


def _rvs(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    condition_dim = spec.goal_dim if config.condition == "goal" else 1
    widths = (spec.observation_dim + condition_dim, *config.hidden_dims, spec.action_dim)
    return [training(config.batch_size, widths)]


def _iql(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    rows = config.batch_size
    actor, critic = _nets(config, spec, spec.action_dim)
    value = (spec.observation_dim, *config.hidden_dims, 1)
    values = forward(rows, value) + training(rows, value)
    critics = 2 * forward(rows, critic) + 2 * training(rows, critic)
    return [values + critics + training(rows, actor)]


def _td3_bc(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    rows = config.batch_size
    actor, critic = _nets(config, spec, spec.action_dim)
    target = forward(rows, actor) + 2 * forward(rows, critic)
    climb = forward(rows, critic) + input_gradient(rows, critic, wanted=spec.action_dim)
    delayed = (training(rows, actor) + climb) / config.actor_delay
    return [target + 2 * training(rows, critic) + delayed]


def _cql(config: Any, spec: EnvSpec, step: int) -> list[float]:
    rows = config.batch_size
    actor, critic = _nets(config, spec, 2 * spec.action_dim)
    backups = config.num_samples if config.max_backup else 1
    samples = 3 * config.num_samples + 1  # of the policy here and there, uniform; the data's own
    actors = training(rows, actor) + forward(rows, actor)  # here; at the next observation
    target = 2 * forward_of_samples(rows, backups, critic, spec.action_dim)
    critics = 2 * training_of_samples(rows, samples, critic, spec.action_dim)
    climb = 2 * (forward(rows, critic) + input_gradient(rows, critic, wanted=spec.action_dim))
    clones = step < config.cloning_steps
    return [actors + target + critics + (0 if clones else climb)]


def _onestep(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    rows = config.batch_size
    actor, critic = _nets(config, spec, 2 * spec.action_dim)
    behaviour = training(rows, actor)
    sarsa = forward(rows, critic) + training(rows, critic)
    q = forward_of_samples(rows, config.num_samples + 1, critic, spec.action_dim)
    improvement = forward(rows, actor) + q + training(rows, actor)
    return [behaviour, sarsa, improvement]


def _dt(config: Any, spec: EnvSpec, step: int) -> list[float]:
    del step
    width, context = config.hidden_dims[0], config.context
    embedding = 2 * context * (1 + spec.observation_dim + spec.action_dim) * width
    head = forward(context, (width, spec.action_dim))
    inner = len(config.hidden_dims) - 1
    blocks = inner * _block(3 * context, 3 * context, width) + _block(context, 3 * context, width)
    # Each product has two in its gradient; an embedding's inputs are data and need none.
    return [config.batch_size * (2 * embedding + 3 * (blocks + head))]


def _block(queries: int, tokens: int, width: int) -> int:
    """Forward of a transformer's block in which ``queries`` of the ``tokens`` look and come out."""
    keys_and_values = forward(tokens, (width, 2 * width))
    attention = 2 * (2 * queries * tokens * width)  # the fit, and the weighted sum
    return keys_and_values + attention + forward(queries, (width, width, width, 4 * width, width))


COUNTS: dict[str, Callable[[Any, EnvSpec, int], list[float]]] = {
    "bc": _bc,
    "bc_10pct": _bc,
    "rvs_r": _rvs,
    "rvs_g": _rvs,
    "iql": _iql,
    "td3_bc": _td3_bc,
    "cql": _cql,
    "onestep": _onestep,
    "dt": _dt,
}
