"""Networks as ``(init, apply)`` pairs; the only file that knows flax.linen and distrax.

A network has a torso by the space of observations and a head by the space of actions. Rows of
numbers go into the first layer as they are, images through a convolution. Actions of a ``Box`` have
a density, choices have probabilities.
"""

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
from envs.spaces import Box, Discrete, Space

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


class Critics(NamedTuple):
    """An ensemble of Q functions.

    Attributes:
        init: key -> params.
        apply: (params, observations ``[..., O]``, actions ``[..., A]``) -> ``[C, ...]``.
        all: (params, observations ``[..., O]``) -> ``[C, ..., n]`` of every choice; of numbers it
            raises a ValueError.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., jax.Array]
    all: Callable[[Params, jax.Array], jax.Array]


class Point(NamedTuple):
    """One action, to be compared by its distance.

    Attributes:
        action: ``[..., A]``.
    """

    action: jax.Array

    def mode(self) -> jax.Array:
        """``[..., A]``."""
        return self.action

    def errors(self, actions: jax.Array) -> jax.Array:
        """``[..., A]`` squared errors to ``actions`` ``[..., A]``."""
        return (self.action - actions) ** 2


class Categorical(distrax.Categorical):
    """Probabilities of choices."""

    def errors(self, actions: jax.Array) -> jax.Array:
        """``[...]`` minus the log probability of ``actions`` ``[...]``."""
        return -self.log_prob(actions)


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


class _Convolution(nn.Module):
    """An image ``[..., H, W, C]`` of bytes or bits as a row of numbers.

    Source: 16 filters of 3 x 3, kenjyoung/MinAtar ``examples/dqn.py`` (arXiv:1903.03176).
    """

    scale: float

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images.astype(jnp.float32) / self.scale
        x = nn.relu(nn.Conv(16, (3, 3), kernel_init=_KERNEL_INIT)(x))
        return x.reshape(*images.shape[:-3], -1)


def _torso(space: Space, observations: jax.Array) -> jax.Array:
    """Observations ``[..., O]`` as rows of numbers; inside a module's call."""
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observations, space.n)
    if len(space.shape) == 1:
        return observations
    if len(space.shape) != 3:
        raise ValueError(f"no network takes observations of shape {space.shape}")
    return _Convolution(255.0 if space.dtype == "uint8" else 1.0)(observations)


def _row(space: Space, inputs: tuple[jax.Array, ...]) -> jax.Array:
    """Observations, and what else there is, as one row of numbers; inside a module's call."""
    return jnp.concatenate([_torso(space, inputs[0]), *inputs[1:]], axis=-1)


class _DeterministicActor(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        return jnp.tanh(_Mlp(self.hidden_dims, self.action_dim)(_row(self.observation, inputs)))


class _CategoricalActor(nn.Module):
    """Choices are about equally likely at first, as CQL's first actions are in the middle."""

    observation: Space
    hidden_dims: Sequence[int]
    num_choices: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> Categorical:
        head = _Mlp(self.hidden_dims, self.num_choices, output_gain=1e-3)
        return Categorical(logits=head(_row(self.observation, inputs)))


class _GaussianActor(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    action_dim: int
    log_std_range: tuple[float, float]
    tanh_mean: bool

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> distrax.MultivariateNormalDiag:
        mean = _Mlp(self.hidden_dims, self.action_dim)(_row(self.observation, inputs))
        mean = jnp.tanh(mean) if self.tanh_mean else mean
        log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
        std = jnp.exp(jnp.clip(log_std, *self.log_std_range))
        return distrax.MultivariateNormalDiag(mean, jnp.broadcast_to(std, mean.shape))


class _VaryingGaussianActor(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> distrax.MultivariateNormalDiag:
        outputs = _Mlp(self.hidden_dims, 2 * self.action_dim)(_row(self.observation, inputs))
        outputs = jnp.tanh(outputs)
        mean, squashed = jnp.split(outputs, 2, axis=-1)
        return distrax.MultivariateNormalDiag(mean, jnp.exp(2.5 * (squashed - 1.0)))


class _SquashedActor(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    action_dim: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> SquashedGaussian:
        head = _Mlp(self.hidden_dims, 2 * self.action_dim, output_gain=1e-3)
        outputs = head(_row(self.observation, inputs))
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        std = jnp.exp(jnp.clip(log_std, -5.0, 2.0))
        return SquashedGaussian(distrax.MultivariateNormalDiag(jnp.clip(mean, -9.0, 9.0), std))


class _Value(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    layer_norm: bool

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        return _Mlp(self.hidden_dims, 1, self.layer_norm)(_row(self.observation, inputs))[..., 0]


class _ValueOfChoices(nn.Module):
    observation: Space
    hidden_dims: Sequence[int]
    layer_norm: bool
    num_choices: int

    @nn.compact
    def __call__(self, observations: jax.Array) -> jax.Array:
        head = _Mlp(self.hidden_dims, self.num_choices, self.layer_norm)
        return head(_row(self.observation, (observations,)))


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
    observation: Space
    action: Space
    width: int
    num_layers: int
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
    ) -> Point | Categorical:
        # PyTorch's kernels of linear layers: uniform within fan_in^-1/2.
        uniform = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        dense = partial(nn.Dense, kernel_init=uniform)
        time = nn.Embed(
            self.num_timesteps,
            self.width,
            embedding_init=nn.initializers.normal(self.timestep_std),
        )(jnp.clip(timesteps, 0, self.num_timesteps - 1))
        if isinstance(self.action, Discrete):
            actions = jax.nn.one_hot(actions, self.action.n)
        observations = _torso(self.observation, observations)
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
        tokens = nn.LayerNorm(epsilon=1e-5)(tokens)
        if isinstance(self.action, Discrete):
            return Categorical(logits=dense(self.action.n)(tokens))
        return Point(jnp.tanh(dense(_numbers(self.action))(tokens)))


def deterministic_actor(hidden_dims: Sequence[int], observation: Space, action: Space) -> Network:
    """Observations ``[..., O]`` -> actions ``[..., A]`` in (-1, 1)."""
    return _network(_DeterministicActor(observation, tuple(hidden_dims), _numbers(action)))


def imitator(hidden_dims: Sequence[int], observation: Space, action: Space) -> Network:
    """Observations ``[..., O]`` -> a `Point` in (-1, 1), or a `Categorical` of choices."""
    if isinstance(action, Discrete):
        return _categorical_actor(hidden_dims, observation, action)
    actor = deterministic_actor(hidden_dims, observation, action)
    return Network(
        actor.init, lambda params, observations: Point(actor.apply(params, observations))
    )


def gaussian_actor(
    hidden_dims: Sequence[int],
    observation: Space,
    action: Space,
    *,
    condition_dim: int | None = None,
    log_std_range: tuple[float, float] = (-5.0, 2.0),
    tanh_mean: bool = True,
) -> Network:
    """Observations ``[..., O]`` -> a Gaussian with tanh-ed mean and one learned deviation per dim.

    The distribution is not squashed: its samples can leave [-1, 1], its mode cannot, unless
    ``tanh_mean`` is off. Choices have a `Categorical` instead. Unless ``condition_dim`` C is None,
    conditions ``[..., C]`` are a second input.

    Source: ikostrikov/implicit_q_learning@09d7002 ``policy.py``.
    """
    if isinstance(action, Discrete):
        return _categorical_actor(hidden_dims, observation, action, condition_dim)
    action_dim = _numbers(action)
    module = _GaussianActor(observation, tuple(hidden_dims), action_dim, log_std_range, tanh_mean)
    return _network(module, *_conditions(condition_dim))


def varying_gaussian_actor(
    hidden_dims: Sequence[int], observation: Space, action: Space
) -> Network:
    """Observations ``[..., O]`` -> a Gaussian whose deviation, in [e^-5, 1], depends on them.

    Choices have a `Categorical` instead.

    Source: davidbrandfonbrener/onestep-rl@9999443 ``policy_network.py``.
    """
    if isinstance(action, Discrete):
        return _categorical_actor(hidden_dims, observation, action)
    return _network(_VaryingGaussianActor(observation, tuple(hidden_dims), _numbers(action)))


def squashed_actor(hidden_dims: Sequence[int], observation: Space, action: Space) -> Network:
    """Observations ``[..., O]`` -> a `SquashedGaussian`.

    Source: aviralkumar2907/CQL@d67dbe9 ``d4rl/rlkit/torch/sac/policies.py``.
    """
    return _network(_SquashedActor(observation, tuple(hidden_dims), _numbers(action)))


def value(hidden_dims: Sequence[int], observation: Space, *, layer_norm: bool = False) -> Network:
    """Observations ``[..., O]`` -> values ``[...]``."""
    return _network(_Value(observation, tuple(hidden_dims), layer_norm))


def critics(
    hidden_dims: Sequence[int],
    observation: Space,
    action: Space,
    *,
    num: int = 2,
    layer_norm: bool = False,
) -> Critics:
    """An ensemble of ``num`` Q functions; of choices each has one output for every choice."""
    ensemble = lambda module: nn.vmap(
        module,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        out_axes=0,
        axis_size=num,
    )
    widths = tuple(hidden_dims)
    if isinstance(action, Discrete):
        network = _network(ensemble(_ValueOfChoices)(observation, widths, layer_norm, action.n))
        choose = lambda q, actions: jnp.take_along_axis(q, actions[None, ..., None], -1)[..., 0]
        apply = lambda params, observations, actions: choose(
            network.apply(params, observations), actions
        )
        return Critics(network.init, apply, network.apply)

    def all_of_numbers(params: Params, observations: jax.Array) -> jax.Array:
        raise ValueError(f"Q of all actions is that of choices, not of {action}")

    network = _network(ensemble(_Value)(observation, widths, layer_norm), action)
    return Critics(network.init, network.apply, all_of_numbers)


def causal_transformer(
    hidden_dims: Sequence[int],
    observation: Space,
    action: Space,
    *,
    num_timesteps: int,
    dropout: float,
    timestep_std: float,
) -> Network:
    """Decision Transformer: what happened so far -> a policy at each state.

    ``apply(params, returns_to_go [..., K], observations [..., K, O], actions [..., K, A],
    timesteps [..., K] int, mask [..., K] bool, *, key=None, last_only=False)`` gives a `Point` in
    (-1, 1), or a `Categorical` of choices, before each of the K actions, ``[..., K, A]``, or before
    the newest alone, ``[..., 1, A]``, if ``last_only``.
    Where ``mask`` is false there is padding: nothing else looks at it, and what comes out there
    means nothing. A ``key`` turns dropout on.

    Args:
        hidden_dims: one entry per layer, all equal.
        observation: the space of observations, O.
        action: the space of actions, A.
        num_timesteps: rows of the timestep embedding; later steps share the last one.
        dropout: share dropped of embeddings, attention weights and what a layer adds.
        timestep_std: deviation of the first timestep embedding.

    Source: kzl/decision-transformer@e2d82e6 ``gym/decision_transformer/models``: GPT-2 without its
    position embedding, one head.
    """
    module = _CausalTransformer(
        observation=observation,
        action=action,
        width=hidden_dims[0],
        num_layers=len(hidden_dims),
        num_timesteps=num_timesteps,
        dropout=dropout,
        timestep_std=timestep_std,
    )

    def init(key: jax.Array) -> Params:
        tokens = [
            jnp.zeros(space.batch(1), space.dtype) for space in (Box(()), observation, action)
        ]
        return module.init(key, *tokens, jnp.zeros(1, jnp.int32), jnp.ones(1, bool))

    def apply(
        params: Params, *inputs: jax.Array, key: jax.Array | None = None, last_only: bool = False
    ) -> Any:
        rngs = None if key is None else {"dropout": key}
        return module.apply(
            params, *inputs, last_only=last_only, deterministic=key is None, rngs=rngs
        )

    return Network(init, apply)


def bounded(action: Space, actions: jax.Array) -> jax.Array:
    """``actions`` ``[..., A]`` kept in [-1, 1]; choices have no bounds to leave."""
    return actions if isinstance(action, Discrete) else jnp.clip(actions, -1.0, 1.0)


def _categorical_actor(
    hidden_dims: Sequence[int],
    observation: Space,
    action: Discrete,
    condition_dim: int | None = None,
) -> Network:
    module = _CategoricalActor(observation, tuple(hidden_dims), action.n)
    return _network(module, *_conditions(condition_dim))


def _conditions(dim: int | None) -> tuple[Box, ...]:
    return () if dim is None else (Box((dim,)),)


def _numbers(action: Space) -> int:
    """A, where an action is a row of numbers."""
    if isinstance(action, Discrete) or len(action.shape) != 1:
        raise ValueError(f"the network is one of rows of numbers, not of {action}")
    return action.shape[0]


def _network(module: Any, *others: Space) -> Network:
    """A network of ``module``, whose inputs are observations and members of ``others``."""
    spaces = (module.observation, *others)
    inputs = [jnp.zeros(space.batch(1), space.dtype) for space in spaces]
    return Network(init=lambda key: module.init(key, *inputs), apply=module.apply)
