"""The two places of results under the current folder: the committed ones, and a user's own."""

from __future__ import annotations

from pathlib import Path

# Both have ``<source>/<profile>`` folders of tables, and ``runs``, below them.
REFERENCE = Path("results")  # committed, for the README quotes them
LOCAL = REFERENCE / "local"  # a user's own, which git ignores
