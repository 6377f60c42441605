"""Other projects' packages that Python takes for this one's. Imports nothing of the project."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def find_foreign() -> str:
    """Names the file that Python would import in place of a package of the project, and the fix.

    ``algos`` and ``envs`` are common names. A user's project on PYTHONPATH or, with
    ``python -m bench``, in the current folder comes before what is installed.

    Returns:
        a line; empty if the packages are the project's own.
    """
    for name in ("algos", "envs"):
        spec = find_spec(name)
        if spec is None:
            continue  # its import says so
        # A folder without __init__.py has no file.
        files = [spec.origin] if spec.has_location else spec.submodule_search_locations
        for file in filter(None, files or []):
            place = Path(file).resolve()
            if (place.parent if place.name == "__init__.py" else place) != _ROOT / name:
                return (
                    f"Python imports {file} in place of rl-or-bc's own {name!r}: rename it, or "
                    "take its folder off PYTHONPATH and run rl-or-bc in another folder"
                )
    return ""
