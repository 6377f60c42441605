"""Checks of this machine's numbers, a line for each thing that is looked at."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from algos.settings import resolve
from algos.views import statistics
from bench import devices
from bench.run.evaluate import describe
from bench.run.plan import PACKAGES
from bench.run.profiles import PROFILES
from bench.run.train import EVAL, INIT, TRAIN, build, stream
from envs import toy
from envs.errors import InputError
from envs.recipes import Recipe
from envs.sources.regenerated import dataset_folder, read_metadata
from envs.sources.registry import DEFAULT_SOURCE, get_source
from envs.tasks import TASKS, get_task
from envs.worlds.simulate import num_processors

OK, NOTE, WRONG = "ok", "note", "wrong"
LOCK = Path(__file__).parent.parent / "requirements.lock"
LOW_DISK = 2 << 30  # bytes; the datasets of the quick profile take a fifth of it


class Finding(NamedTuple):
    """A finding: ``verdict`` is OK, NOTE or, where numbers would be wrong, WRONG."""

    verdict: str
    what: str
    text: str


def examine(results_folder: Path) -> list[Finding]:
    """Look at everything; nothing is written.

    Args:
        results_folder: where results would go.
    """
    looks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "packages": _packages,
        "devices": _accelerators,
        "settings": _settings,
        "threads": _threads,
        "data": _data,
        "disk": lambda: _disk(results_folder),
        "simulator": _simulator,
        "self-test": _learning,
    }
    return [_look(what, look) for what, look in looks.items()]


def _look(what: str, look: Callable[[], Finding]) -> Finding:
    """The findings of ``look``; an error of any kind is a finding and stops no other look."""
    try:
        return look()
    except InputError as error:
        return Finding(WRONG, what, str(error))
    except Exception as error:
        return Finding(WRONG, what, describe(error))


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    text = f"{sys.version.split()[0]}{'' if good else '; 3.11 to 3.13 is needed'}"
    return Finding(OK if good else WRONG, "Python", text)


def locked_versions() -> dict[str, str]:
    """Package -> version in requirements.lock; empty where there is no such file."""
    if not LOCK.exists():
        return {}
    # A package may stand there once for each Python; then no one version is the locked one.
    found = re.findall(r"^([a-z0-9-]+)==(\S+) \\$", LOCK.read_text(), re.MULTILINE)
    return dict(found)


def _packages() -> Finding:
    locked = locked_versions()
    if not locked:
        return Finding(NOTE, "packages", "no requirements.lock beside the code to compare with")
    missing, other = [], []
    for name in PACKAGES:
        try:
            if version(name) != locked.get(name):
                other.append(f"{name} {version(name)}, locked {locked.get(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(WRONG, "packages", f"missing: {', '.join(missing)}; run: make setup")
    if other:
        text = f"numbers may move: {'; '.join(other)}; run: make setup"
        return Finding(NOTE, "packages", text)
    return Finding(OK, "packages", f"the {len(PACKAGES)} that can move a number are as locked")


def _accelerators() -> Finding:
    return Finding(OK, "devices", devices.describe())


def _settings() -> Finding:
    """Switches of JAX that change what is computed."""
    config: Any = jax.config  # whose type lists no flags
    if config.jax_enable_x64:
        return Finding(WRONG, "settings", "JAX_ENABLE_X64 doubles the precision: unset it")
    precision = config.jax_default_matmul_precision
    if precision is not None:
        text = f"JAX_DEFAULT_MATMUL_PRECISION={precision}: its cells are other cells"
        return Finding(NOTE, "settings", text)
    return Finding(OK, "settings", "JAX computes in its usual precision")


def _threads() -> Finding:
    """``bench`` gives a program one thread unless that is chosen otherwise."""
    usual = {"NPROC": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "", "XLA_FLAGS": ""}
    found = {name: os.environ.get(name, "") for name in usual}
    chosen = [f"{name}={value}" for name, value in found.items() if value != usual[name]]
    text = f"{num_processors()} processors for this process"
    if chosen:
        return Finding(NOTE, "threads", f"{text}; numbers may move: {', '.join(chosen)}")
    return Finding(OK, "threads", text)


def _data() -> Finding:
    """Datasets of the default profile; what is missing is collected when it is needed."""
    sizes = PROFILES["quick"].sizes
    tasks = [TASKS[name] for name in get_source(DEFAULT_SOURCE).tasks]
    recipes = [Recipe(task, sizes[task.family].scale) for task in tasks]
    present = [recipe for recipe in recipes if dataset_folder(recipe.dataset_id).exists()]
    for recipe in present:
        try:
            read_metadata(recipe)
        except InputError as error:
            return Finding(WRONG, "data", str(error))
    text = f"{len(present)} of {len(recipes)} datasets of profile quick"
    return Finding(OK if len(present) == len(recipes) else NOTE, "data", text)


def _disk(results_folder: Path) -> Finding:
    folder = results_folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.1f} GiB free at {existing}"
    if not os.access(existing, os.W_OK):
        return Finding(WRONG, "disk", f"{existing} cannot be written to")
    return Finding(OK if free > LOW_DISK else NOTE, "disk", text)


def _simulator() -> Finding:
    """A hundred steps of hopper beside gymnasium, bit by bit."""
    task = get_task("hopper-medium")
    ours = task.make_environment(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of v4, which D4RL's rules need
        theirs = gymnasium.make(task.gymnasium_id)
    same = np.array_equal(ours.reset(np.array([0]))[0], theirs.reset(seed=0)[0])
    generator = np.random.default_rng(0)
    for _ in range(100):
        action = 0.1 * generator.uniform(-1.0, 1.0, ours.spec.action_dim).astype(np.float32)
        observations, rewards, _ = ours.step(action[None], np.array([True]))
        observation, reward, *_ = theirs.step(action)
        same = same and np.array_equal(observations[0], observation) and rewards[0] == reward
    theirs.close()
    if not same:
        return Finding(WRONG, "simulator", "hopper differs from gymnasium's Hopper-v4")
    return Finding(OK, "simulator", "100 steps of hopper are bit-equal to gymnasium's Hopper-v4")


def _learning() -> Finding:
    """10%BC on data of which a tenth is good, twice: the good action is known, so is the repeat."""
    start = time.monotonic()
    devices.describe()
    dataset, spec = toy.mixed_quality()
    config = resolve("bc_10pct", "locomotion", PROFILES["smoke"].sizes["locomotion"]).config
    program = build("bc_10pct", config, spec)
    view = jax.device_put(program.algorithm.phases[0].view(dataset))
    actions = []
    for _ in range(2):
        states = program.init(stream([0], INIT), statistics(dataset))
        states, _ = program.runs[0](states, stream([0], TRAIN), view, 0, 2000)
        keys = stream([0], EVAL)[:, None]
        carries = program.reset(keys, jnp.zeros((1, 1, spec.goal_dim)))
        observations = jnp.asarray(toy.START).reshape(1, 1, -1)
        action, _ = program.act(states, carries, observations, jnp.zeros((1, 1)))
        actions.append(np.asarray(action).item())
    if actions[0] != actions[1]:
        return Finding(WRONG, "self-test", "the same seed gave two results")
    if abs(actions[0] - toy.GOOD_ACTION) > 0.1:
        text = f"10%BC learned {actions[0]:.2f} where {toy.GOOD_ACTION} is the action to learn"
        return Finding(WRONG, "self-test", text)
    seconds = time.monotonic() - start
    text = f"10%BC finds the good action, the same twice ({seconds:.1f} s)"
    return Finding(OK, "self-test", text)
