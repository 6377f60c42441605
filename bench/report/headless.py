"""Makes sure that matplotlib can be imported: to be imported before it. Imports no JAX.

matplotlib ends with an error where ``$MPLBACKEND`` names a backend that is not installed, and
Jupyter names its own for all commands that it starts. Pictures here need none, so it is set
afterwards, for whoever shows others in the same process, and only if there is such a backend.
"""

from __future__ import annotations

import contextlib
import os

_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as mpl
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend:
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = _backend
