"""Printing of tables and scores, and the choice of results to show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bench import screen, terminal
from bench.places import LOCAL, REFERENCE
from envs.errors import InputError
from envs.text import for_terminal

if TYPE_CHECKING:
    from bench.report.scores import Results

EXIT_FAILED, EXIT_USAGE = 1, 2


def fail(lines: Iterable[str]) -> int:
    """Print what failed; returns the exit status."""
    lines = list(lines)
    for line in lines:
        terminal.say(f"error: {line}")
    return EXIT_FAILED if lines else 0


def print_table(header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Print ``rows`` under ``header``; numbers are aligned right."""
    texts = [[f"{x:z.1f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    numeric = [
        index
        for index in range(len(header))
        if all(isinstance(row[index], int | float) for row in rows)
    ]
    screen.show(screen.in_blocks(header, texts, right=numeric))


def print_scores(results: Results) -> None:
    """Print scores, which are all or some of those of a folder."""
    from bench.report import audits, formats, notes

    screen.show(formats.text(results))
    shown = set(results.summary["task"])
    audited = [entry for entry in results.audited if entry.task.name in shown]
    if audits.beside(audited):
        screen.show(audits.text(audited))
    for warning in [*notes.warnings(results.summary), *audits.all_remarks(audited)]:
        print(screen.fill(warning))
    print("* marks offline RL; the other columns imitate. A number is a mean over seeds.")
    where = results.folder / "table1.md"
    print(for_terminal(f"Deviations, published scores and notes: {where}"), end="\n\n")


def scored(
    given: Path | None, source: str | None = None, profile: str | None = None
) -> tuple[Path, list[Path]]:
    """The root of results to show, and its folders that have scores.

    Args:
        given: the root that the user names. By default it is the user's own, or that of the
            committed results where the user has none of ``source`` and ``profile``.
        source: only tables of this source of data, if named.
        profile: only tables of this profile, if named.

    Raises:
        InputError: there is none.
    """
    from bench import store

    roots = (LOCAL, REFERENCE) if given is None else (given,)
    for root in roots:
        if folders := store.find(root, source, profile):
            return root, folders
    raise no_scores(roots, source, profile)


def no_scores(roots: Sequence[Path], source: str | None, profile: str | None) -> InputError:
    """The error that nothing is under any of ``roots``."""
    where = " or ".join(str(root / (source or "*") / (profile or "*")) for root in roots)
    return InputError(f"no scores under {where}; run: rl-or-bc grid")


def say_whose(root: Path, given: Path | None, stream: TextIO) -> None:
    """Say which results are shown, unless the user named them."""
    if given is None:
        whose = "your own results" if root == LOCAL else "the committed results"
        print(for_terminal(f"{whose}, {root}"), file=stream)
