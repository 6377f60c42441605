"""An episode of a finished policy as a moving picture."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import jax
from PIL import Image

from bench.run import policy
from bench.run.data import make_lanes
from bench.run.evaluate import evaluate, naming
from envs import files
from envs.environment import Filmable
from envs.errors import InputError
from envs.spaces import Array

FRAMES_A_SECOND = 25  # a GIF counts in hundredths of a second


def film(folder: Path, path: Path, seed: int | None = None) -> tuple[float, int]:
    """Write the first episode of a cell's last evaluation as a GIF.

    Args:
        folder: of the cell, as ``rl-or-bc train`` prints it.
        path: of the GIF.
        seed: whose policy; the first by default.

    Returns:
        the episode's return and its length in steps.

    Raises:
        InputError: there is no such policy; its environment, or this machine, draws no pictures.
    """
    cell, program, states = policy.load_group(policy.find(folder, seed))
    seed = cell.settings.seeds[0] if seed is None else seed
    index = cell.settings.seeds.index(seed)
    one = jax.tree.map(lambda leaf: leaf[index : index + 1], states)
    with contextlib.closing(make_lanes(cell, 1)) as lanes:
        if not isinstance(lanes, Filmable):
            raise InputError(f"{cell.world.gymnasium_id} draws no pictures; leave --video out")
        every = max(1, round(1.0 / (FRAMES_A_SECOND * lanes.time_step)))
        frames: list[Array] = []
        steps = 0

        def watch(observations: Array) -> None:
            nonlocal steps
            del observations
            if steps % every == 0:
                frames.append(lanes.render(0))
            steps += 1

        with naming(cell.task.name, cell.world.gymnasium_id):
            returns, lengths = evaluate(program, one, lanes, (seed,), 1, watch)
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    duration = 1000 // FRAMES_A_SECOND
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    files.write_bytes(path, buffer.getvalue())
    return float(returns[0, 0]), int(lengths[0, 0])
