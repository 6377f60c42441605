"""The border to JAX's devices: what was chosen by a variable may not be there. Imports no JAX."""

from __future__ import annotations

import os
import traceback

from envs.errors import InputError

_CHOICES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")


def describe() -> str:
    """The number of devices that JAX computes on, and their kind.

    Raises:
        InputError: none of what was chosen is there; the message names the variable and the fix.
    """
    import jax

    try:
        devices = jax.devices()
    except Exception as error:  # JAX and each plug-in of a device have errors of their own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        chosen = [f"{name}={os.environ[name]}" for name in _CHOICES if os.environ.get(name)]
        what = f" for {' and '.join(chosen)}" if chosen else ""
        names = " and ".join(name for name in _CHOICES if os.environ.get(name))
        fix = f"unset {names}, or" if chosen else "set JAX_PLATFORMS=cpu, or"
        raise InputError(
            f"JAX finds no device{what} ({lines[0][:200]}); {fix} install what the device needs, "
            "its driver and JAX's plug-in"
        ) from error
    kinds = sorted({f"{device.platform} {device.device_kind}" for device in devices})
    return f"{len(devices)}: {', '.join(kinds)}"


def is_about_a_setting(error: ValueError) -> bool:
    """True if JAX raised it for the value of one of its settings, such as ``JAX_ENABLE_X64``."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__") == "jax._src.config"
