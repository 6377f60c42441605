import functools

import jax
import jax.numpy as jnp
import pytest
from hypothesis import settings

from algos import views
from bench.run.profiles import PROFILES
from envs import tasks
from envs import toy as toys
from envs.collect.make import make
from envs.recipes import Recipe
from envs.tasks import get_task

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
# Most of the tests' time would go into making code fast that then runs for a moment.
jax.config.update("jax_disable_most_optimizations", True)

# How long an example takes says too much about the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def rows():
    """Tasks and families as they were, whatever a test has made known."""
    before = [(table, dict(table)) for table in (tasks.TASKS, tasks.FAMILIES)]
    yield
    for table, content in before:
        table.clear()
        table.update(content)


@pytest.fixture(scope="session")
def toy():
    """A small random (Dataset, EnvSpec)."""
    return toys.random_episodes()


@pytest.fixture(scope="session")
def batch(toy):
    """Six transitions of ``toy``, the second half of them terminated."""
    rows = jax.tree.map(lambda x: jnp.asarray(x[:6]), views.transitions(toy[0], "raw"))
    return rows._replace(terminations=jnp.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))


@pytest.fixture(scope="session")
def first_state():
    """The first state of an algorithm on a dataset, from seed 0 unless told otherwise."""

    def init(algorithm, dataset, seed=0):
        statistics = jax.tree.map(jnp.asarray, views.statistics(dataset))
        return algorithm.init(jax.random.key(seed), statistics)

    return init


@pytest.fixture(scope="session")
def train(first_state):
    """Trains an algorithm on a dataset, phase after phase, and gives its last state."""

    @functools.cache
    def compiled(phase):
        @jax.jit
        def steps(state, view, key):
            def body(state, step):
                key_sample, key_update = jax.random.split(jax.random.fold_in(key, step))
                return phase.update(state, phase.sample(key_sample, view), key_update, step)[
                    0
                ], None

            return jax.lax.scan(body, state, jnp.arange(phase.num_steps))[0]

        return steps

    def run(algorithm, dataset, seed=0):
        state = first_state(algorithm, dataset, seed)
        for number, phase in enumerate(algorithm.phases, start=1):
            view = jax.tree.map(jnp.asarray, phase.view(dataset))
            state = compiled(phase)(state, view, jax.random.key(100 * seed + number))
        return state

    return run


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    """Regenerated datasets of the smoke profile for two tasks, in a folder of their own."""
    folder = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        for name in ("hopper-medium", "antmaze-umaze"):
            task = get_task(name)
            make(Recipe(task, PROFILES["smoke"].sizes[task.family].scale))
        yield folder
