"""A user's method file, as short as one can be: it plays the data's mean action."""

TEXT = '''"""The mean action, however it is come by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from algos import core, sampling, views


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(core.Config):
    num_steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 0.1
    hidden_dims: tuple[int, ...] = (1,)
    slope: float = 0.5


NUMBERS = np.random.default_rng(0)
CONFIGS = {"antmaze": Config(slope=0.25)}
COLUMNS = {
    "mean": {"title": "Mean", "style": "imitation", "paper": "none"},
    "steep": {"title": "Steep", "style": "imitation", "paper": "none", "changes": {"slope": 0.9}},
}


def make(config, spec):
    def init(key, statistics):
        return {"mean": 0.1 * jax.random.normal(key, (spec.action_dim,))}

    def update(state, batch, key, step):
        del key, step
        error = batch.actions.mean(0) - state["mean"]
        return {"mean": state["mean"] + config.learning_rate * error}, {"error": jnp.sum(error**2)}

    def act(state, observation):
        return jnp.clip(state["mean"] + config.slope * jnp.sin(observation[0]), -1.0, 1.0)

    view = lambda dataset: views.top_episodes(dataset, 1.0)
    phase = core.Phase(config.num_steps, view, sampling.uniform(config.batch_size), update)
    return core.Algorithm(init, (phase,), *core.memoryless(act))
'''
