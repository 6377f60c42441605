"""Checkpoints: (states, phase, step) is all a resume needs, since no random state is carried."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
from orbax.checkpoint import v1 as orbax

from algos import core

KEPT = 2  # the newest, and the one before in case the newest cannot be read

logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every file it writes


def save(folder: Path, states: core.State, phase: int, step: int) -> None:
    """Write ``folder/<phase>-<step>``, whole or not at all, and keep the newest ``KEPT`` only."""
    # orbax takes absolute paths only.
    orbax.save(folder.absolute() / f"{phase}-{step}", states, overwrite=True)
    for _, _, path in _list(folder)[KEPT:]:
        shutil.rmtree(path)


def load(
    folder: Path, like: core.State, report: Callable[[str], None]
) -> tuple[core.State, int, int] | None:
    """(states, phase, step) of the newest checkpoint that can be read; None if there is none.

    Args:
        folder: where ``save`` wrote.
        like: states of the same structure, for shapes, dtypes and devices.
        report: told which checkpoints could not be read.
    """
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
    )
    for phase, step, path in _list(folder):
        try:
            return orbax.load(path.absolute(), abstract), phase, step
        except Exception as error:  # orbax, tensorstore and the file system each raise their own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            report(f"checkpoint {path} cannot be read ({reason[:200]}); going back to the last one")
            shutil.rmtree(path)
    return None


def _list(folder: Path) -> list[tuple[int, int, Path]]:
    """(phase, step, path), newest first; unfinished writes have other names."""
    found = []
    for path in folder.glob("*-*"):
        phase, _, step = path.name.partition("-")
        if phase.isdigit() and step.isdigit():
            found.append((int(phase), int(step), path))
    return sorted(found, reverse=True)


def clear(folder: Path) -> None:
    """Remove all checkpoints."""
    shutil.rmtree(folder, ignore_errors=True)
