"""One cell of the grid: one method on one task, all seeds side by side, resumable.

A cell's folder holds, under ``<results>/runs/<source>/<task>/<algorithm>/<hash>/``:

- ``config.json``: everything that decides its numbers, and where they were made;
- ``audit.json``: what ``bench.run.baselines.audited`` says of the data it learned from;
- ``evals.csv``: seed, step, episode, return, length: one row per episode played, raw;
- ``train.csv``: seed, step, metric, value: means over a chunk of steps;
- ``tracks.csv``: seed, episode, step, x, y: in mazes, where a few of the last episodes went;
- ``checkpoint/``: the newest states, gone once the cell is done;
- ``good/``: the checkpoint before a seed was lost to a loss that is not finite;
- ``DONE``: written last; a cell without it is not in any table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from algos import core
from algos.registry import get_algorithm
from algos.views import statistics
from bench import store
from bench.interrupt import Asked
from bench.run import baselines, checkpoint, records
from bench.run.evaluate import describe, episode_seeds, evaluate, naming
from bench.run.train import INIT, TRAIN, Program, build, chunk_steps, replicated_sharding, stream
from envs import files
from envs.dataset import Dataset
from envs.environment import Environment
from envs.errors import Fault, InputError
from envs.scores import normalized_score
from envs.sources.registry import environment, load, provenance, require_trust
from envs.spaces import Array
from envs.tasks import Task, World

# Packages whose version can change a number.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "numpy", "mujoco")

_ROOT = Path(__file__).parent.parent.parent

# JAX's switches that do, and what they are unless chosen.
_SWITCHES = {
    "matmul_precision": ("jax_default_matmul_precision", None),
    "enable_x64": ("jax_enable_x64", False),
    "prng": ("jax_default_prng_impl", "threefry2x32"),
}

# Sources that make numbers.
_CODE = ("algos/**/*.py", "envs/**/*.py", "bench/run/train.py", "bench/run/evaluate.py")

# Between two checkpoints, where no evaluation comes before.
SECONDS_TO_LOSE = 300.0


class Interrupted(KeyboardInterrupt):
    """Asked to stop; the cell is checkpointed and goes on when the same command is run again."""


class Diverged(Fault):
    """A metric is not finite; the other seeds, if any, went on to the end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a cell is run, beside the method's own Config.

    Attributes:
        source: where the data come from.
        scale: share of D4RL's rows, for regenerated data.
        seeds: training seeds.
        eval_interval: gradient steps between evaluations.
        num_episodes: episodes per seed and evaluation.
    """

    source: str
    scale: float
    seeds: tuple[int, ...]
    eval_interval: int
    num_episodes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one task with all settings fixed.

    Attributes:
        task: the row.
        algorithm: the column.
        config: the method's settings.
        settings: how it is run.
        version: gymnasium's version of the environment; that of the data by default.
        insist: use data with doubts, see ``envs.sources.registry.require_trust``; moves no number.
    """

    task: Task
    algorithm: str
    config: core.Config
    settings: Settings
    version: str | None = None
    insist: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run, before anything is.

        Raises:
            InputError: naming the value and the rule.
        """
        settings = self.settings
        environment(self.task, settings.source, self.version)
        if settings.num_episodes < 1:
            raise InputError(f"num_episodes must be at least 1, got {settings.num_episodes}")
        steps = self.config.num_steps
        if settings.eval_interval < 1 or steps % settings.eval_interval:
            raise InputError(
                f"num_steps {steps} is not divisible by the evaluation interval "
                f"{settings.eval_interval}; choose --num-evaluations so that it is"
            )

    @property
    def name(self) -> str:
        """``task/algorithm``."""
        return f"{self.task.name}/{self.algorithm}"

    @property
    def world(self) -> World:
        """The environment that scores it."""
        return environment(self.task, self.settings.source, self.version)

    @property
    def data(self) -> dict[str, Any]:
        """Where the data come from, unread; see ``envs.sources.registry.provenance``."""
        settings = self.settings
        return provenance(self.task, settings.source, settings.scale, self.version)


def load_once(cell: Cell) -> Dataset:
    """The cell's data, read once for all cells that follow each other on them."""
    settings = cell.settings
    return _load_once(cell.task, settings.source, settings.scale, cell.data["hash"])[0]


def make_lanes(cell: Cell, num_envs: int) -> Environment:
    """``num_envs`` lanes of the environment that scores the cell, to be closed after use.

    Raises:
        Fault: it cannot be made, for whatever reason of its own.
    """
    try:
        return cell.world.make(num_envs, None)
    except (Exception, SystemExit) as error:
        made = f"environment {cell.world.gymnasium_id} cannot be made: {describe(error)}"
        reason = str(error) if isinstance(error, InputError) else made
        raise Fault(f"{cell.task.name} cannot be scored: {reason}") from error


@functools.lru_cache(maxsize=1)
def _load_once(
    task: Task, source: str, scale: float, dataset_hash: str
) -> tuple[Dataset, dict[str, Any]]:
    del dataset_hash  # of files that may change while this process lives
    return load(task, source, scale)


@functools.lru_cache(maxsize=1)
def _audit_once(
    task: Task, source: str, scale: float, version: str | None, dataset_hash: str
) -> dict[str, Any]:
    loaded = _load_once(task, source, scale, dataset_hash)
    return baselines.audited(task, source, scale, version, loaded)


def identity(cell: Cell, dataset_provenance: dict[str, Any]) -> dict[str, Any]:
    """Everything that decides the cell's numbers; its hash names the cell's folder.

    Switches of JAX are part of it where they were chosen. The code is not: see ``code_digest``.
    """
    switches = {
        name: (getattr(jax.config, flag), usual) for name, (flag, usual) in _SWITCHES.items()
    }
    chosen = {name: value for name, (value, usual) in switches.items() if value != usual}
    return chosen | {
        "task": {"name": cell.task.name, **dataclasses.asdict(cell.task)},
        "algorithm": cell.algorithm,
        "config": dataclasses.asdict(cell.config),
        "settings": dataclasses.asdict(cell.settings),
        "dataset": {key: dataset_provenance[key] for key in ("dataset_id", "hash")},
        "environment": cell.world.gymnasium_id,
        "versions": {name: version(name) for name in PACKAGES},
    }


def folder_of(cell: Cell, results_folder: Path) -> Path:
    """The cell's folder, named by the first 12 digits of its identity's SHA-256."""
    text = json.dumps(identity(cell, cell.data), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    parent = results_folder / "runs" / cell.settings.source / cell.task.name
    return parent / cell.algorithm / digest


def run(
    cell: Cell,
    results_folder: Path,
    *,
    asked: Asked = lambda: False,
    progress: Callable[[int, int], None] = lambda step, total: None,
    scored: Callable[[float], None] = lambda score: None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train and evaluate the cell unless that was done before.

    Args:
        cell: what to run.
        results_folder: root of all results.
        asked: whether to stop; the cell is then checkpointed first.
        progress: told (steps done, steps in all).
        scored: told the mean normalized score of each evaluation.
        report: receives lines worth a user's attention.

    Returns:
        the cell's folder, with ``DONE`` in it.

    Raises:
        Interrupted: ``asked`` said so.
        Diverged: a loss is not finite; the other seeds' rows and the last good checkpoint stay.
        Fault: the environment cannot be made, raised an error or gave what is no number; or the
            method finds no rows to learn from.
        InputError: the dataset cannot be used.
    """
    data = cell.data
    require_trust(data, cell.insist)
    folder = folder_of(cell, results_folder)
    with files.locked(folder / "lock", cell.name, report):
        if (folder / "DONE").exists() and _is_whole(cell, folder):
            checkpoint.clear(folder / "checkpoint")  # of a run that was killed before it did so
            return folder
        (folder / "DONE").unlink(missing_ok=True)
        num_lanes = len(cell.settings.seeds) * cell.settings.num_episodes
        # Before the data, whose reader may need the environment's spaces.
        with contextlib.closing(make_lanes(cell, num_lanes)) as lanes:
            dataset = load_once(cell)
            facts = identity(cell, data) | _circumstances(cell, data)
            files.write_json(folder / "config.json", facts)
            made_of = (cell.task, cell.settings.source, cell.settings.scale, cell.version)
            files.write_json(folder / "audit.json", _audit_once(*made_of, data["hash"]))
            _train(cell, folder, dataset, lanes, asked, progress, scored, report)
        (folder / "FAILED").unlink(missing_ok=True)
        files.write_text(folder / "DONE", "")
        checkpoint.clear(folder / "checkpoint")
    return folder


def _is_whole(cell: Cell, folder: Path) -> bool:
    """Whether every row of a finished cell is there; files may have been deleted since."""
    settings = cell.settings
    steps = range(settings.eval_interval, cell.config.num_steps + 1, settings.eval_interval)
    written = records.Records(folder, settings.seeds)
    return written.has_evaluations(steps, settings.num_episodes)


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows of all evaluations (``results.SCORE_COLUMNS``) and provenance of a finished cell.

    The provenance includes the ``audit`` of its data, or None if the cell is older than audits.
    """
    facts = files.read_json(folder / "config.json")
    rows = store.read_rows(folder / "evals.csv", records.EVAL_COLUMNS)
    rows = rows.assign(task=facts["task"]["name"], algorithm=facts["algorithm"])
    entry = get_algorithm(facts["algorithm"])
    heading = {"title": entry.title, "style": entry.style, "told": entry.told}
    heading |= {"paper": entry.paper}
    audited = folder / "audit.json"
    facts |= heading | {"hash": folder.name}
    facts["audit"] = files.read_json(audited) if audited.exists() else None
    return rows[list(store.SCORE_COLUMNS)], facts


def read_tracks(folder: Path) -> pd.DataFrame:
    """Tracks of a finished cell (``results.TRACK_COLUMNS``); none outside mazes."""
    facts = files.read_json(folder / "config.json")
    rows = store.read_rows(folder / "tracks.csv", store.TRACK_COLUMNS[2:])
    rows = rows.assign(task=facts["task"]["name"], algorithm=facts["algorithm"])
    return rows[list(store.TRACK_COLUMNS)]


def _train(
    cell: Cell,
    folder: Path,
    dataset: Dataset,
    lanes: Environment,
    asked: Asked,
    progress: Callable[[int, int], None],
    scored: Callable[[float], None],
    report: Callable[[str], None],
) -> None:
    settings = cell.settings
    program = build(cell.algorithm, cell.config, lanes.spec)
    phases = program.algorithm.phases
    _require_rows(cell, phases, dataset)
    states = program.init(stream(settings.seeds, INIT), statistics(dataset))
    first_phase, first_step = 0, 0
    written = records.Records(folder, settings.seeds)
    loaded = checkpoint.load(folder / "checkpoint", states, report)
    offsets = np.cumsum([0] + [phase.num_steps for phase in phases]).tolist()
    total = offsets[-1]
    if loaded is not None:
        done = offsets[loaded[1]] + loaded[2]
        written.cut(done)
        steps = range(settings.eval_interval, done + 1, settings.eval_interval)
        if written.has_evaluations(steps, settings.num_episodes):
            states, first_phase, first_step = loaded
        else:
            report(f"{cell.name} lacks rows of evals.csv; the cell starts from nothing")
    written.cut(offsets[first_phase] + first_step)

    saved = time.monotonic()

    def save(phase: int, step: int) -> None:
        nonlocal saved
        written.write()
        checkpoint.save(folder / "checkpoint", states, phase, step)
        saved = time.monotonic()

    # One length for all, so that no chunk runs past a phase or past an evaluation.
    chunk = chunk_steps(math.gcd(settings.eval_interval, *(phase.num_steps for phase in phases)))
    for index in range(first_phase, len(phases)):
        view = jax.device_put(phases[index].view(dataset), replicated_sharding(len(settings.seeds)))
        keys = stream(settings.seeds, TRAIN + index)
        step = first_step if index == first_phase else 0
        while step < phases[index].num_steps:
            states, metrics = program.runs[index](states, keys, view, step, chunk)
            step += chunk
            now = offsets[index] + step
            for seed, loss in written.add_metrics(now, jax.device_get(metrics)).items():
                checkpoint.keep(folder / "checkpoint", folder / "good")
                if len(written.lost) == len(settings.seeds):
                    raise _diverged(cell, written.lost)
                report(f"{_diverged(cell, {seed: loss})}; the other seeds go on")
                others = [i for i, s in enumerate(settings.seeds) if s not in written.lost]
                states = _without(states, settings.seeds.index(seed), others[0])
            stop = asked()
            if now % settings.eval_interval == 0:
                returns, lengths, paths = _play(cell, program, states, lanes)
                written.add_episodes(now, returns, lengths)
                if cell.task.is_maze:
                    records.write_tracks(folder, settings.seeds[0], paths, lengths[0])
                save(index, step)
                kept = [seed not in written.lost for seed in settings.seeds]
                scores = normalized_score(returns[kept], cell.task.reference_returns)
                scored(float(scores.mean()))
            elif stop or time.monotonic() - saved > SECONDS_TO_LOSE:
                save(index, step)
            progress(now, total)
            if stop and now < total:
                raise Interrupted(f"{cell.name} stopped at step {now:,} of {total:,}")
    if written.lost:
        raise _diverged(cell, written.lost)


def _diverged(cell: Cell, lost: dict[int, records.Loss]) -> Diverged:
    seed, (step, metric, value) = next(iter(lost.items()))
    others = f"; so it went with {len(lost)} of its seeds" if len(lost) > 1 else ""
    return Diverged(f"{metric} of {cell.name}, seed {seed}, is {value} by step {step:,}{others}")


def _without(states: core.State, index: int, other: int) -> core.State:
    """``states`` with another seed's in place of one's, so that no NaN reaches the physics."""
    return jax.tree.map(lambda leaf: leaf.at[index].set(leaf[other]), states)


def _require_rows(cell: Cell, phases: tuple[core.Phase, ...], dataset: Dataset) -> None:
    """Fail now rather than after the first phases; a draw from no rows would give zeros.

    Raises:
        Fault: a phase has no rows to learn from.
    """
    for number, phase in enumerate(phases, start=1):
        if not all(len(leaf) for leaf in jax.tree.leaves(phase.view(dataset))):
            raise Fault(
                f"{cell.name} has no rows to learn from in phase {number} of {len(phases)}: none "
                f"of the {dataset.num_rows:,} rows of {len(dataset.episode_ends):,} episodes is "
                "of use to it; give it longer episodes, or leave the method out"
            )


def _play(
    cell: Cell, program: Program, states: core.State, lanes: Environment
) -> tuple[Array, Array, Array]:
    """Returns ``[S, E]``, lengths ``[S, E]``, and ``paths`` for `records.write_tracks`."""
    settings = cell.settings
    shown = min(records.TRACKS, settings.num_episodes)
    seen: list[Array] = []
    watch = lambda observations: seen.append(observations[:shown, :2].copy())
    with naming(cell.task.name, cell.world.gymnasium_id):
        played = evaluate(program, states, lanes, settings.seeds, settings.num_episodes, watch)
    return *played, np.stack(seen, axis=1)


def _circumstances(cell: Cell, dataset_provenance: dict[str, Any]) -> dict[str, Any]:
    """What is worth knowing about a run but does not enter its identity."""
    device = jax.devices()[0]
    return {
        "dataset_provenance": dataset_provenance,
        "episode_seeds": episode_seeds(cell.settings.seeds, cell.settings.num_episodes).tolist(),
        "device": f"{device.platform}: {device.device_kind}",
        "commit": _commit(),
        "code": code_digest(),
    }


@functools.cache
def code_digest() -> str:
    """SHA-256 of all sources that make numbers, wherever they come from.

    It does not enter a cell's identity, for most changes of code change no number.
    """
    digest = hashlib.sha256()
    for pattern in _CODE:
        for path in sorted(_ROOT.glob(pattern)):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(_ROOT)} {content}\n".encode())
    return digest.hexdigest()


def _commit() -> str:
    """The source's git commit, with ``+`` where the tree differs from it; empty outside git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    try:
        code = git("status", "--porcelain", "--", "algos", "bench", "envs")
        return git("rev-parse", "HEAD") + ("+" if code else "")
    except OSError:
        return ""
