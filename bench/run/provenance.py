"""Where and by which code a cell's numbers are made."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import jax

from bench.run.evaluate import episode_seeds
from bench.run.plan import Cell, identity

_ROOT = Path(__file__).parent.parent.parent

# Sources that make numbers.
_CODE = (
    "algos/**/*.py",
    "envs/**/*.py",
    "bench/run/train.py",
    "bench/run/placement.py",
    "bench/run/evaluate.py",
)


def facts(cell: Cell, dataset_provenance: dict[str, Any]) -> dict[str, Any]:
    """A cell's identity, and what else is worth knowing about its run."""
    device = jax.devices()[0]
    known = identity(cell, dataset_provenance)
    return known | {
        "settings": known["settings"] | {"seeds": list(cell.settings.seeds)},
        "dataset_provenance": dataset_provenance,
        "episode_seeds": episode_seeds(cell.settings.seeds, cell.settings.num_episodes).tolist(),
        "device": f"{device.platform}: {device.device_kind}",
        "commit": _commit(),
        "code": code_digest(),
    }


# What may differ between the groups of a cell.
OF_A_RUN = ("device", "commit", "code")


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
