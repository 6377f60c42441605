"""``rl-or-bc data make``, ``info`` and ``fetch``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import tyro

from bench.commands.options import (
    Chosen,
    Flag,
    Name,
    Names,
    Share,
)
from bench.commands.showing import (
    fail,
    print_table,
)
from envs.errors import Fault, InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoArguments:
    """Describe the regenerated datasets: rows, episodes, scores, hash."""

    tasks: Names = None
    """which tasks; all of them by default"""
    scale: Share = None
    """share of D4RL's rows, above 0 and at most 1; the profile's by default"""
    profile: Chosen = "quick"
    """whose scale to use"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MakeArguments(InfoArguments):
    """Collect the regenerated datasets that are not there yet."""

    overwrite: Flag = False
    """make datasets again that exist"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchArguments:
    """Download published datasets, going on where a download was cut."""

    tasks: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="TASK [TASK ...]", help_behavior_hint=""),
    ] = ()
    """which tasks; see: rl-or-bc list tasks. With --source own, datasets of Minari's server"""
    source: Chosen = "d4rl"
    """whose datasets"""
    mirror: Name = None
    """base address of another server with the same files; $D4RL_MIRROR by default"""
    overwrite: Flag = False
    """download datasets again that are there"""


def make(args: MakeArguments) -> int:
    """Collect datasets."""
    from bench.display import Bars

    return fail(_collect(_recipes(args), args.overwrite, Bars).values())


def fetch(args: FetchArguments) -> int:
    """Download datasets."""
    from bench.display import Bars
    from envs.sources import registry

    if not args.tasks:
        raise InputError("name the tasks whose data to download; see: rl-or-bc list tasks")
    tasks = [_to_fetch(name, args.source) for name in args.tasks]
    with Bars("downloads", len(tasks)) as bars:
        for task in tasks:
            bars.started(task.name)
            progress = partial(bars.progress, task.name)
            fetched = registry.fetch(task, args.source, args.mirror, args.overwrite, progress)
            bars.finished(task.name, "fetched" if fetched else "there already")
    return 0


def _to_fetch(name: str, source: str) -> Any:
    from envs.sources.registry import resolve
    from envs.tasks import OWN, own_task

    # The environment that scores it does not matter yet.
    return own_task(name, "any") if source == OWN else resolve(name, source)[0]


def info(args: InfoArguments) -> int:
    """Print two tables of what the datasets are."""
    described = [_describe(recipe) for recipe in _recipes(args)]
    for rows in zip(*described, strict=True):
        # Mazes have a column more than locomotion.
        header = max((tuple(row) for row in rows), key=len)
        print_table(header, [tuple(row.get(name, "") for name in header) for row in rows])
        print()
    print("10 % to 90 %: normalized scores of episodes; the rest in per cent")
    print("start to goal: episodes that lead from the start to the goal of evaluation")
    return 0


def _describe(recipe: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from envs.facts import describe
    from envs.sources.regenerated import dataset_folder, read

    dataset, provenance = read(recipe.task, recipe.scale)
    files = (path for path in dataset_folder(recipe.dataset_id).rglob("*") if path.is_file())
    num_bytes = sum(path.stat().st_size for path in files)
    return describe(dataset, recipe.task, provenance, num_bytes)


def _recipes(args: InfoArguments) -> list[Any]:
    from bench.run.profiles import get_profile
    from envs.recipes import Recipe
    from envs.sources.registry import DEFAULT_SOURCE, get_source, resolve

    profile = get_profile(args.profile).name
    names = args.tasks or get_source(DEFAULT_SOURCE).tasks
    tasks = [resolve(name, DEFAULT_SOURCE)[0] for name in names]
    scales = [t.kind.sizes[profile].scale if args.scale is None else args.scale for t in tasks]
    return [Recipe(task, scale) for task, scale in zip(tasks, scales, strict=True)]


def _collect(
    recipes: Sequence[Any], overwrite: bool, display: Callable[[str, int], Any]
) -> dict[str, str]:
    """Make datasets; task -> a line, of those that failed."""
    from bench.launch.datasets import make_all

    with display("datasets", len(recipes)) as shown:
        return make_all(recipes, overwrite, shown)


def have_data(planned: Sequence[Any], display: Callable[[str, int], Any]) -> dict[str, str]:
    """Collect regenerated datasets that are not there; read the files of other sources once.

    A file that cannot be used is thus refused before anything is written, and not hours later.
    Returns task -> a line, of the datasets that could not be made.
    """
    from algos.registry import get_algorithm
    from bench.run.data import load_once, make_lanes
    from envs.recipes import Recipe
    from envs.sources.regenerated import dataset_folder
    from envs.sources.registry import require_trust

    cells = list({(c.task, c.settings.source, c.settings.scale): c for c in planned}.values())
    made = [c for c in cells if c.settings.source == "regenerated"]
    recipes = [Recipe(c.task, c.settings.scale) for c in made]
    missing = [r for r in recipes if not dataset_folder(r.dataset_id).exists()]
    failures = _collect(missing, False, display) if missing else {}
    for cell in cells:
        if cell.task.name not in failures:
            require_trust(cell.data, cell.insist)
    found = [cell for cell in cells if cell.settings.source != "regenerated"]
    if not found:
        return failures
    with display("datasets", len(found)) as shown:
        for cell in found:
            name = cell.task.name
            shown.started(name)
            try:
                with contextlib.closing(make_lanes(cell, 1)) as lanes:
                    kind = type(lanes.spec.action)
            except Fault as fault:
                if len(found) == 1:
                    raise
                shown.failed(name, str(fault))  # as each of its cells will; others can be run
                continue
            for other in planned:
                if other.task == cell.task:
                    get_algorithm(other.algorithm).require_actions(name, kind)
            shown.finished(name, f"{load_once(cell).num_rows:,} rows")
    return failures
