"""The machine, the versions and the commit that make a cell's numbers."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import jax

from bench.run.evaluate import episode_seeds
from bench.run.plan import Cell, identity

_ROOT = Path(__file__).parent.parent.parent


def facts(cell: Cell, dataset_provenance: dict[str, Any], code: str) -> dict[str, Any]:
    """A cell's identity, and what else is worth knowing about its run.

    Args:
        cell: planned.
        dataset_provenance: `Cell.data`.
        code: digest of the files that make its numbers; see ``bench.run.code``.
    """
    device = jax.devices()[0]
    known = identity(cell, dataset_provenance)
    return known | {
        "task": {"name": cell.task.name, **dataclasses.asdict(cell.task)},
        "settings": known["settings"] | {"seeds": list(cell.settings.seeds)},
        "dataset_provenance": dataset_provenance,
        "episode_seeds": episode_seeds(cell.settings.seeds, cell.settings.num_episodes).tolist(),
        "device": f"{device.platform}: {device.device_kind}",
        "commit": _commit(),
        "code": code,
    }


# These facts may differ between the groups of a cell.
OF_A_RUN = ("device", "commit", "code")


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
