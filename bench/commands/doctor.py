"""``rl-or-bc doctor``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.commands.showing import (
    EXIT_FAILED,
)
from bench.places import LOCAL
from envs.text import for_terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Say whether this machine gives numbers that can be trusted."""

    results: Path = LOCAL
    """where results would go"""


def run(args: Arguments) -> int:
    """Print what ``bench.doctor`` finds."""
    from bench import doctor

    findings = doctor.examine(args.results)
    for finding in findings:
        print(for_terminal(f"{finding.verdict:<6} {finding.what:<10} {finding.text}"))
    wrong = any(finding.verdict == doctor.WRONG for finding in findings)
    return EXIT_FAILED if wrong else 0
