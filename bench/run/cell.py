"""One cell of the grid: one method on one task, resumable.

A cell's folder is ``<results>/runs/<source>/<task>/<algorithm>/<hash>/``. It has a folder for each
group of seeds that were trained side by side, such as ``seeds-0-2``; see ``bench.run.groups``. In a
group's folder are:

- ``config.json``: everything that decides its numbers, and where they were made;
- ``code.json``: the files that make them, see ``bench.run.code``;
- ``audit.json``: what ``bench.run.baselines.audited`` says of the data it learned from;
- ``evals.csv``: seed, step, episode, return, length: one row per episode played, raw;
- ``train.csv``: seed, step, metric, value: means over a chunk of steps;
- ``tracks.csv``: seed, episode, step, x, y: in mazes, where a few of the last episodes went;
- ``checkpoint/``: the newest states, gone once the group is done;
- ``policy/`` and ``cell.json``: what was learned, see ``bench.run.policy``;
- ``good/``: the checkpoint before a seed was lost to a loss that is not finite;
- ``DONE``: written last; seeds of a group without it are in no table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
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
from bench.run import checkpoint, code, groups, policy, provenance, records
from bench.run.data import audit_once, load_once, make_lanes
from bench.run.evaluate import evaluate, naming
from bench.run.placement import chunk_steps, replicated_sharding
from bench.run.plan import Cell, folder_of
from bench.run.train import INIT, TRAIN, Program, build, stream
from envs import files
from envs.dataset import Dataset
from envs.environment import Environment
from envs.errors import Fault
from envs.scores import normalized_score
from envs.sources.registry import require_trust
from envs.spaces import Array

# Between two checkpoints, where no evaluation comes before.
SECONDS_TO_LOSE = 300.0


class Interrupted(KeyboardInterrupt):
    """Asked to stop; the cell is checkpointed and goes on when the same command is run again."""


class Diverged(Fault):
    """A metric is not finite; the other seeds, if any, went on to the end."""


def run(
    cell: Cell,
    results_folder: Path,
    *,
    asked: Asked = lambda: False,
    progress: Callable[[int, int], None] = lambda step, total: None,
    scored: Callable[[float], None] = lambda score: None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train and evaluate those of the cell's seeds for which that was not done before.

    Args:
        cell: what to run.
        results_folder: root of all results.
        asked: whether to stop; the cell is then checkpointed first.
        progress: told (steps done, steps in all), of all groups of seeds together.
        scored: told the mean normalized score of each evaluation.
        report: receives lines worth a user's attention.

    Returns:
        the cell's folder; each of its groups has ``DONE`` in it.

    Raises:
        Interrupted: ``asked`` said so.
        Diverged: a loss is not finite; the other seeds' rows and the last good checkpoint stay.
        Fault: the environment cannot be made, raised an error or gave what is no number; or the
            method finds no rows to learn from.
        InputError: the dataset cannot be used.
    """
    require_trust(cell.data, cell.insist)
    folder = folder_of(cell, results_folder)
    # Only for as long as it takes to say who trains which seeds; each group has its own lock.
    with files.locked(folder / "lock", cell.title, report):
        todo = groups.to_run(folder, cell.settings.seeds)
        groups.make(folder, todo)
    for number, seeds in enumerate(todo):
        settings = dataclasses.replace(cell.settings, seeds=seeds)
        _run_group(
            dataclasses.replace(cell, settings=settings),
            groups.folder_of(folder, seeds),
            asked,
            partial(_progress_of_all, progress, number, len(todo)),
            scored,
            report,
        )
    return folder


def is_of_todays_code(folder: Path, seeds: Sequence[int]) -> bool:
    """True if the finished groups that have ``seeds`` were made by the code as it is now."""
    return all(_is_todays(path) for path in groups.finished(folder, seeds).values())


def forget_other_code(cell: Cell, results_folder: Path, report: Callable[[str], None]) -> None:
    """Remove what other code than today's has made of the cell's seeds, finished or not."""
    folder = folder_of(cell, results_folder)
    for seeds in groups.to_run(folder, cell.settings.seeds):
        path = groups.folder_of(folder, seeds)
        if (path / "config.json").exists() and not _is_todays(path):
            with files.locked(path / "lock", cell.title, report):
                for part in path.iterdir():
                    if part.name != "lock":
                        files.remove(part)


def _is_todays(path: Path) -> bool:
    """True if the group of the folder ``path`` was made by the code as it is now."""
    made_by = path / code.FILE
    return made_by.exists() and code.is_todays(files.read_json(made_by))


def _progress_of_all(
    progress: Callable[[int, int], None], number: int, num_groups: int, step: int, total: int
) -> None:
    """Tell that group ``number`` of several has done ``step`` of its ``total`` steps."""
    progress(number * total + step, num_groups * total)


def failed_in(cell: Cell, results_folder: Path) -> Path:
    """The folder of the group of a cell that was not run to its end: the first that is not done."""
    folder = folder_of(cell, results_folder)
    todo = [groups.folder_of(folder, seeds) for seeds in groups.to_run(folder, cell.settings.seeds)]
    return next((path for path in todo if not groups.is_finished(path)), folder)


def _run_group(
    cell: Cell,
    folder: Path,
    asked: Asked,
    progress: Callable[[int, int], None],
    scored: Callable[[float], None],
    report: Callable[[str], None],
) -> None:
    """Run the cell in ``folder``, all of its seeds side by side; arguments as of `run`."""
    with files.locked(folder / "lock", cell.title, report):
        if groups.is_finished(folder) and _is_whole(cell, folder):
            checkpoint.clear(folder / "checkpoint")  # of a run that was killed before it did so
            return
        (folder / "DONE").unlink(missing_ok=True)
        num_lanes = len(cell.settings.seeds) * cell.settings.num_episodes
        # Before the data, whose reader may need the environment's spaces.
        with contextlib.closing(make_lanes(cell, num_lanes)) as lanes:
            dataset = load_once(cell)
            made_by = code.files_of(cell, lanes)
            files.write_json(folder / code.FILE, made_by)
            facts = provenance.facts(cell, cell.data, code.digest_of(made_by))
            files.write_json(folder / "config.json", facts)
            files.write_json(folder / "audit.json", audit_once(cell))
            _train(cell, folder, dataset, lanes, asked, progress, scored, report)
        (folder / "FAILED").unlink(missing_ok=True)
        files.write_text(folder / "DONE", "")
        checkpoint.clear(folder / "checkpoint")


def _is_whole(cell: Cell, folder: Path) -> bool:
    """True if every row of a finished group is there; files may have been deleted since."""
    settings = cell.settings
    steps = range(settings.eval_interval, cell.config.num_steps + 1, settings.eval_interval)
    written = records.Records(folder, settings.seeds)
    return written.has_evaluations(steps, settings.num_episodes)


def read(folder: Path, seeds: Sequence[int] | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows of all evaluations (``store.SCORE_COLUMNS``) and provenance of a cell's finished groups.

    The provenance is that of the first group, with all seeds and their episodes. Beside it stand
    the ``groups``, and the ``audit`` of the data.

    Args:
        folder: of the cell.
        seeds: which to read; by default all that are there.
    """
    found = groups.finished(folder, seeds)
    rows = _read_rows(found, "evals.csv", store.SCORE_COLUMNS)
    each = [files.read_json(path / "config.json") for path in found.values()]
    facts = each[0]
    entry = get_algorithm(facts["algorithm"])
    heading = {"title": entry.title, "style": entry.style, "told": entry.told}
    facts |= heading | {"paper": entry.paper, "hash": folder.name}
    episodes: dict[int, list[int]] = {}
    for group in each:
        episodes |= dict(zip(group["settings"]["seeds"], group["episode_seeds"], strict=True))
    known = sorted(seed for group in found for seed in group)
    facts["groups"] = [
        {"seeds": group["settings"]["seeds"], **{key: group[key] for key in provenance.OF_A_RUN}}
        for group in each
    ]
    facts["settings"] = facts["settings"] | {"seeds": known}
    facts["episode_seeds"] = [episodes[seed] for seed in known]
    facts["audit"] = files.read_json(next(iter(found.values())) / "audit.json")
    return rows.sort_values(["step", "seed", "episode"], ignore_index=True), facts


def read_tracks(folder: Path, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """Tracks of a cell's first seed that has some (``store.TRACK_COLUMNS``); none outside mazes.

    Args:
        folder: of the cell.
        seeds: which to read; by default all that are there.
    """
    rows = _read_rows(groups.finished(folder, seeds), "tracks.csv", store.TRACK_COLUMNS)
    return rows[rows["seed"] == rows["seed"].min()]


def _read_rows(
    found: dict[groups.Seeds, Path], name: str, columns: tuple[str, ...]
) -> pd.DataFrame:
    """The rows of a file of each group, those of its seeds; ``columns`` begin with the cell's."""
    parts = []
    for seeds, folder in found.items():
        facts = files.read_json(folder / "config.json")
        rows = store.read_rows(folder / name, columns[2:])
        rows = rows[rows["seed"].isin(seeds)]
        parts.append(rows.assign(task=facts["task"]["name"], algorithm=facts["algorithm"]))
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True)[list(columns)]


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
            report(f"{cell.title} lacks rows of evals.csv; the cell starts from nothing")
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
                if cell.task.kind.has_goals:
                    records.write_tracks(folder, settings.seeds[0], paths, lengths[0])
                save(index, step)
                kept = [seed not in written.lost for seed in settings.seeds]
                scores = normalized_score(returns[kept], cell.task.reference_returns)
                scored(float(scores.mean()))
            elif stop or time.monotonic() - saved > SECONDS_TO_LOSE:
                save(index, step)
            progress(now, total)
            if stop and now < total:
                raise Interrupted(f"{cell.title} stopped at step {now:,} of {total:,}")
    if written.lost:
        raise _diverged(cell, written.lost)
    policy.save(folder, cell, states)


def _diverged(cell: Cell, lost: dict[int, records.Loss]) -> Diverged:
    seed, (step, metric, value) = next(iter(lost.items()))
    others = f"; so it went with {len(lost)} of its seeds" if len(lost) > 1 else ""
    return Diverged(f"{metric} of {cell.title}, seed {seed}, is {value} by step {step:,}{others}")


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
                f"{cell.title} has no rows to learn from in phase {number} of {len(phases)}: none "
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
