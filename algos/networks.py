"""Networks as ``(init, apply)`` pairs; the only file that knows flax.linen and distrax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
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
        apply: ``(params, *inputs) -> output``.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]


class SquashedGaussian(NamedTuple):
    """A Gaussian that tanh pushes into actions within (-1, 1).

    Attributes:
        gaussian: over ``[..., A]``, before the tanh.
    """

    gaussian: distrax.MultivariateNormalDiag

    def mode(self) -> jax.Array:
        """``[..., A]`` the tanh of the Gaussian's mean."""
        return jnp.tanh(self.gaussian.mode())

    def push(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Standard normal ``noise`` ``[M..., ..., A]`` as actions, with their log density.

        Returns:
            actions ``[M..., ..., A]``, through which gradients flow, and ``[M..., ...]``.
        """
        loc, scale = self.gaussian.loc, self.gaussian.scale_diag
        chex.assert_equal_shape_suffix([loc, noise], loc.ndim)
        extra = (1,) * (noise.ndim - loc.ndim)
        loc, scale = loc.reshape(extra + loc.shape), scale.reshape(extra + scale.shape)
        raw = loc + scale * noise
        density = -0.5 * noise**2 - jnp.log(scale) - 0.5 * jnp.log(2.0 * jnp.pi)
        return jnp.tanh(raw), jnp.sum(density - _log_slope(raw), axis=-1)

    def log_prob(self, actions: jax.Array) -> jax.Array:
        """``[...]`` log density of ``actions`` ``[..., A]``, which are kept 1e-6 within bounds."""
        raw = jnp.arctanh(jnp.clip(actions, -1.0 + 1e-6, 1.0 - 1e-6))
        return self.gaussian.log_prob(raw) - jnp.sum(_log_slope(raw), axis=-1)


def _log_slope(raw: jax.Array) -> jax.Array:
    """log(1 - tanh(raw)^2) in the form that does not underflow."""
    return 2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))


class _Mlp(nn.Module):
    """ReLU layers, then a linear one; layer norm, if any, between a layer and its ReLU."""

    hidden_dims: Sequence[int]
    output_dim: int
    layer_norm: bool = False
    output_gain: float = 2.0**0.5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden_dims:
            x = nn.Dense(width, kernel_init=_KERNEL_INIT)(x)
            if self.layer_norm:
                x = nn.LayerNorm()(x)
            x = nn.relu(x)
        output_init = nn.initializers.orthogonal(self.output_gain)
        return nn.Dense(self.output_dim, kernel_init=output_init)(x)


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
    tanh_mean: bool

    @nn.compact
    def __call__(self, observations: jax.Array) -> distrax.MultivariateNormalDiag:
        mean = _Mlp(self.hidden_dims, self.action_dim)(observations)
        mean = jnp.tanh(mean) if self.tanh_mean else mean
        log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
        std = jnp.exp(jnp.clip(log_std, *self.log_std_range))
        return distrax.MultivariateNormalDiag(mean, jnp.broadcast_to(std, mean.shape))


class _VaryingGaussianActor(nn.Module):
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, observations: jax.Array) -> distrax.MultivariateNormalDiag:
        outputs = jnp.tanh(_Mlp(self.hidden_dims, 2 * self.action_dim)(observations))
        mean, squashed = jnp.split(outputs, 2, axis=-1)
        return distrax.MultivariateNormalDiag(mean, jnp.exp(2.5 * (squashed - 1.0)))


class _SquashedActor(nn.Module):
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, observations: jax.Array) -> SquashedGaussian:
        outputs = _Mlp(self.hidden_dims, 2 * self.action_dim, output_gain=1e-3)(observations)
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        std = jnp.exp(jnp.clip(log_std, -5.0, 2.0))
        return SquashedGaussian(distrax.MultivariateNormalDiag(jnp.clip(mean, -9.0, 9.0), std))


class _Value(nn.Module):
    hidden_dims: Sequence[int]
    layer_norm: bool

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        return _Mlp(self.hidden_dims, 1, self.layer_norm)(jnp.concatenate(inputs, -1))[..., 0]


class _TransformerBlock(nn.Module):
    """GPT-2's pre-norm block with one head and ReLU; only tokens in ``rows`` look and come out."""

    dropout: float

    @nn.compact
    def __call__(
        self, tokens: jax.Array, visible: jax.Array, rows: slice, deterministic: bool
    ) -> jax.Array:
        width = tokens.shape[-1]
        dense = partial(nn.Dense, kernel_init=nn.initializers.normal(0.02))
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        normed = nn.LayerNorm(epsilon=1e-5)(tokens)
        query, key, value = jnp.split(dense(3 * width)(normed), 3, axis=-1)
        fit = query[..., rows, :] @ key.swapaxes(-1, -2) * width**-0.5
        weights = drop(nn.softmax(jnp.where(visible[..., rows, :], fit, -1e9)))
        tokens = tokens[..., rows, :] + drop(dense(width)(weights @ value))
        hidden = nn.relu(dense(4 * width)(nn.LayerNorm(epsilon=1e-5)(tokens)))
        return tokens + drop(dense(width)(hidden))


class _CausalTransformer(nn.Module):
    width: int
    num_layers: int
    action_dim: int
    num_timesteps: int
    dropout: float
    timestep_std: float

    @nn.compact
    def __call__(
        self,
        returns_to_go: jax.Array,
        observations: jax.Array,
        actions: jax.Array,
        timesteps: jax.Array,
        mask: jax.Array,
        last_only: bool = False,
        deterministic: bool = True,
    ) -> jax.Array:
        # PyTorch's kernels of linear layers: uniform within fan_in^-1/2.
        uniform = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        dense = partial(nn.Dense, kernel_init=uniform)
        time = nn.Embed(
            self.num_timesteps,
            self.width,
            embedding_init=nn.initializers.normal(self.timestep_std),
        )(jnp.clip(timesteps, 0, self.num_timesteps - 1))
        inputs = (returns_to_go[..., None], observations, actions)
        tokens = jnp.stack([dense(self.width)(x) + time for x in inputs], axis=-2)
        num_tokens = 3 * mask.shape[-1]
        tokens = tokens.reshape(*mask.shape[:-1], num_tokens, self.width)
        tokens = nn.LayerNorm(epsilon=1e-5)(tokens)
        tokens = nn.Dropout(self.dropout, deterministic=deterministic)(tokens)

        shape = (*mask.shape[:-1], num_tokens, num_tokens)
        causal = jnp.broadcast_to(jnp.tri(num_tokens, dtype=bool), shape)
        visible = causal & jnp.repeat(mask, 3, axis=-1)[..., None, :]
        # Actions are read off states alone, so the last block need not work out other tokens.
        states = slice(-2, -1) if last_only else slice(1, None, 3)
        for layer in range(self.num_layers):
            rows = states if layer == self.num_layers - 1 else slice(None)
            tokens = _TransformerBlock(self.dropout)(tokens, visible, rows, deterministic)
        return jnp.tanh(dense(self.action_dim)(nn.LayerNorm(epsilon=1e-5)(tokens)))


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
    tanh_mean: bool = True,
) -> Network:
    """Observations ``[..., O]`` -> a Gaussian with tanh-ed mean and one learned deviation per dim.

    The distribution is not squashed: its samples can leave [-1, 1], its mode cannot, unless
    ``tanh_mean`` is off.

    Source: ikostrikov/implicit_q_learning@09d7002 ``policy.py``.
    """
    module = _GaussianActor(tuple(hidden_dims), action_dim, log_std_range, tanh_mean)
    return _network(module, observation_dim)


def varying_gaussian_actor(
    hidden_dims: Sequence[int], observation_dim: int, action_dim: int
) -> Network:
    """Observations ``[..., O]`` -> a Gaussian whose deviation, in [e^-5, 1], depends on them.

    Source: davidbrandfonbrener/onestep-rl@9999443 ``policy_network.py``.
    """
    return _network(_VaryingGaussianActor(tuple(hidden_dims), action_dim), observation_dim)


def squashed_actor(hidden_dims: Sequence[int], observation_dim: int, action_dim: int) -> Network:
    """Observations ``[..., O]`` -> a `SquashedGaussian`.

    Source: aviralkumar2907/CQL@d67dbe9 ``d4rl/rlkit/torch/sac/policies.py``.
    """
    return _network(_SquashedActor(tuple(hidden_dims), action_dim), observation_dim)


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


def causal_transformer(
    hidden_dims: Sequence[int],
    observation_dim: int,
    action_dim: int,
    *,
    num_timesteps: int,
    dropout: float,
    timestep_std: float,
) -> Network:
    """Decision Transformer: what happened so far -> an action in (-1, 1) at each state.

    ``apply(params, returns_to_go [..., K], observations [..., K, O], actions [..., K, A],
    timesteps [..., K] int, mask [..., K] bool, *, key=None, last_only=False)`` gives an action
    before each of the K, ``[..., K, A]``, or the newest alone, ``[..., 1, A]``, if ``last_only``.
    Where ``mask`` is false there is padding: nothing else looks at it, and what comes out there
    means nothing. A ``key`` turns dropout on.

    Args:
        hidden_dims: one entry per layer, all equal.
        observation_dim: O.
        action_dim: A.
        num_timesteps: rows of the timestep embedding; later steps share the last one.
        dropout: share dropped of embeddings, attention weights and what a layer adds.
        timestep_std: deviation of the first timestep embedding.

    Source: kzl/decision-transformer@e2d82e6 ``gym/decision_transformer/models``: GPT-2 without its
    position embedding, one head.
    """
    module = _CausalTransformer(
        width=hidden_dims[0],
        num_layers=len(hidden_dims),
        action_dim=action_dim,
        num_timesteps=num_timesteps,
        dropout=dropout,
        timestep_std=timestep_std,
    )

    def init(key: jax.Array) -> Params:
        dims = ((1,), (1, observation_dim), (1, action_dim))
        tokens = [jnp.zeros(dim) for dim in dims]
        return module.init(key, *tokens, jnp.zeros(1, jnp.int32), jnp.ones(1, bool))

    def apply(
        params: Params, *inputs: jax.Array, key: jax.Array | None = None, last_only: bool = False
    ) -> Any:
        rngs = None if key is None else {"dropout": key}
        return module.apply(
            params, *inputs, last_only=last_only, deterministic=key is None, rngs=rngs
        )

    return Network(init, apply)


def _network(module: nn.Module, *input_dims: int) -> Network:
    inputs = [jnp.zeros((1, dim)) for dim in input_dims]
    return Network(init=lambda key: module.init(key, *inputs), apply=module.apply)
