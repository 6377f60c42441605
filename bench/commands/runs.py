"""``rl-or-bc runs``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.places import LOCAL


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Print every finished cell as CSV, a line for each seed."""

    results: Path = LOCAL
    """root of your results"""


def run(args: Arguments) -> int:
    """Print the CSV."""
    from bench import runs
    from envs.text import printable

    rows = runs.tidy(args.results)
    foreign = rows.select_dtypes(["object", "str"])
    shown = foreign.map(lambda value: printable(value) if isinstance(value, str) else value)
    print(rows.assign(**shown).to_csv(index=False, lineterminator="\n"), end="")
    return 0
