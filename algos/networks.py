"""Networks as ``(init, apply)`` pairs; the only file that knows flax.linen and distrax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn

from algos.core import Params

# Source: orthogonal kernels with gain sqrt(2), ikostrikov/implicit_q_learning@09d7002 common.py.
_KERNEL_INIT = nn.initializers.orthogonal(2.0**0.5)


class Network(NamedTuple):
    """A pure network.

    Attributes:
        init: key -> params.
        apply: (params, *inputs) -> output.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]


class _Mlp(nn.Module):
    """ReLU layers, then a linear one; layer norm, if any, between a layer and its ReLU."""

    hidden_dims: Sequence[int]
    output_dim: int
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden_dims:
            x = nn.Dense(width, kernel_init=_KERNEL_INIT)(x)
            if self.layer_norm:
                x = nn.LayerNorm()(x)
            x = nn.relu(x)
        return nn.Dense(self.output_dim, kernel_init=_KERNEL_INIT)(x)


class _DeterministicActor(nn.Module):
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, observations: jax.Array) -> jax.Array:
        return jnp.tanh(_Mlp(self.hidden_dims, self.action_dim)(observations))


class _GaussianActor(nn.Module):
    hidden_dims: Sequence[int]
    action_dim: int
    log_std_range: tuple[float, float]

    @nn.compact
    def __call__(self, observations: jax.Array) -> distrax.MultivariateNormalDiag:
        mean = jnp.tanh(_Mlp(self.hidden_dims, self.action_dim)(observations))
        log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
        std = jnp.exp(jnp.clip(log_std, *self.log_std_range))
        return distrax.MultivariateNormalDiag(mean, jnp.broadcast_to(std, mean.shape))


class _Value(nn.Module):
    hidden_dims: Sequence[int]
    layer_norm: bool

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        return _Mlp(self.hidden_dims, 1, self.layer_norm)(jnp.concatenate(inputs, -1))[..., 0]


def deterministic_actor(
    hidden_dims: Sequence[int], observation_dim: int, action_dim: int
) -> Network:
    """Observations ``[..., O]`` -> actions ``[..., A]`` in (-1, 1)."""
    module = _DeterministicActor(tuple(hidden_dims), action_dim)
    return _network(module, observation_dim)


def gaussian_actor(
    hidden_dims: Sequence[int],
    observation_dim: int,
    action_dim: int,
    *,
    log_std_range: tuple[float, float] = (-5.0, 2.0),
) -> Network:
    """Observations ``[..., O]`` -> a Gaussian with tanh-ed mean and one learned deviation per dim.

    The distribution is not squashed: its samples can leave [-1, 1], its mode cannot.

    Source: ikostrikov/implicit_q_learning@09d7002 ``policy.py``.
    """
    module = _GaussianActor(tuple(hidden_dims), action_dim, log_std_range)
    return _network(module, observation_dim)


def value(hidden_dims: Sequence[int], observation_dim: int, *, layer_norm: bool = False) -> Network:
    """Observations ``[..., O]`` -> values ``[...]``."""
    return _network(_Value(tuple(hidden_dims), layer_norm), observation_dim)


def critic_ensemble(
    hidden_dims: Sequence[int],
    observation_dim: int,
    action_dim: int,
    *,
    num_critics: int = 2,
    layer_norm: bool = False,
) -> Network:
    """(observations ``[..., O]``, actions ``[..., A]``) -> Q values ``[num_critics, ...]``."""
    ensemble = nn.vmap(
        _Value,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        out_axes=0,
        axis_size=num_critics,
    )
    return _network(ensemble(tuple(hidden_dims), layer_norm), observation_dim, action_dim)


def _network(module: nn.Module, *input_dims: int) -> Network:
    inputs = [jnp.zeros((1, dim)) for dim in input_dims]
    return Network(init=lambda key: module.init(key, *inputs), apply=module.apply)
