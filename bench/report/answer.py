"""The answer to the title's question, in sentences made from the claims. Imports no JAX.

Whether a side is ahead, keeps up, or neither is sure is the claims' verdict; nothing is decided
here. The numbers in brackets are the ends of the interval.
"""

from __future__ import annotations

import numpy as np

from bench.report.claims import AHEAD, COLLAPSE, PARITY, Finding, find
from bench.report.scores import IMITATION, OFFLINE_RL, Results, tasks_of
from envs.tasks import FAMILIES, OWN, TASKS


def sentences(results: Results) -> list[str]:
    """The answer on the post's tasks in one sentence, then one for each family beside them."""
    findings = [finding for finding in find(results) if finding.question]
    # The families that ask for offline RL come first, as in the title.
    findings.sort(key=lambda finding: finding.question != AHEAD)
    clauses = {True: [], False: []}  # type: dict[bool, list[str]]
    for finding in findings:
        clauses[_in_post(finding.family)].append(f"{_place(finding)} {_statement(finding)}")
    lines = [_sentence("; ".join(clauses[True]))] if clauses[True] else []
    lines += map(_sentence, clauses[False])
    return lines + _without_answer(results, {finding.family for finding in findings})


def _without_answer(results: Results, answered: set[str]) -> list[str]:
    """Says of which families nothing is known."""
    scored = set(results.summary["family"])
    open_ones = [family for family in FAMILIES if family in scored - answered]
    missing = [family for family in FAMILIES if _in_post(family) and family not in scored]
    lines = []
    if open_ones:
        lines.append(
            f"These scores leave the question open on {' and '.join(open_ones)}: it takes a method "
            "that imitates and one of offline RL, each with all of the tasks."
        )
    if missing and scored != {OWN}:
        lines.append(f"Nothing was run on {' and '.join(missing)}.")
    return lines


def _place(finding: Finding) -> str:
    if finding.question != AHEAD:
        return f"on {finding.task or finding.family}"
    which = (
        "where paths must be joined" if _in_post(finding.family) else "which are not in the post"
    )
    return f"in {finding.family}'s medium and large mazes, {which},"


def _statement(finding: Finding) -> str:
    ours, theirs = OFFLINE_RL, f"{IMITATION} that is told no goal"
    if finding.question != AHEAD:
        ours, theirs = IMITATION, OFFLINE_RL
    if finding.holds is None:
        # Sides that score the same, or have one seed, have no interval to be shown.
        shown = np.isfinite(finding.low) and finding.low < finding.high
        lead = f": {ours} is {_lead(finding, theirs)}" if shown else ""
        return f"the question is open{lead} ({finding.note})"
    if finding.question == AHEAD:
        if finding.holds:
            return f"{ours} is {_lead(finding, theirs)}"
        return f"{ours} is not {COLLAPSE:.0f} points ahead: it is {_lead(finding, theirs)}"
    how = "keeps up" if finding.holds else f"falls more than {PARITY:.0f} points behind"
    return f"{ours} {how}: it is {_lead(finding, theirs)}"


def _lead(finding: Finding, other: str) -> str:
    """The difference between a side and the ``other`` in words, with its interval."""
    points, ends = round(finding.value), (finding.low, finding.high)
    if points < 0:
        points, ends = -points, (-finding.high, -finding.low)
    low, high = (f"{end:z.0f}" for end in ends)
    far = f"{points} point{'' if points == 1 else 's'} "
    where = "behind" if finding.value < 0 else "ahead of"
    return f"{f'{far}{where}' if points else 'level with'} {other} [{low}, {high}]"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _in_post(family: str) -> bool:
    return all(TASKS[task].in_post for task in tasks_of(family))
