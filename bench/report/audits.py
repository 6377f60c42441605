"""Audits as sentences about scores, and the scores of policies that need no learning.

Imports no JAX. All of it is worked out from the raw values that an audit keeps.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Group

from bench import screen, store
from envs.errors import InputError
from envs.scores import normalized_score
from envs.tasks import OWN, TASKS, Task

# Keys of an audit's ``baselines`` and their titles, the data's own first; the rest is played.
BASELINES = {
    "logs": "the logs",
    "best_tenth": "their best tenth",
    "mean_action": "mean action",
    "no_action": "no action",
    "random": "random actions",
}
PLAYED = ("mean_action", "no_action", "random")
HIGH = 50.0  # half of the scale: from here on most of a good score may need no learning

_LARGEST = 1e30  # whole numbers of any length are JSON; no sum of rewards comes near it

# `is_near_expert` asks for so many points, and for such a share of what the best tenth exceeds.
NEAR_EXPERT_SCORE, NEAR_EXPERT_SHARE = 90.0, 0.9

Audit = dict[str, Any]


class Audited(NamedTuple):
    """The data that cells of a task learned from.

    Attributes:
        task: whose reference returns are the scale.
        audit: what ``bench.run.baselines.audited`` gives.
        hash: of the data.
    """

    task: Task
    audit: Audit
    hash: str


class Proposal(NamedTuple):
    """Reference returns that a row of own data could have.

    Attributes:
        low: the return to count as 0.
        high: the return to count as 100.
        reason: says where the two come from.
        command: what to run with them.
    """

    low: float
    high: float
    reason: str
    command: str


def read(stored: store.Stored) -> list[Audited]:
    """The audits of all data that the cells of a folder learned from, in the order of the tasks.

    Raises:
        InputError: the file of audits is not what a grid writes.
    """
    used = {
        store.data_name(facts): (facts["task"]["name"], facts["dataset"]["hash"])
        for facts in stored.provenance.values()
        if "environment" in facts
    }
    entries = []
    for name, (task, data_hash) in used.items():
        if name in stored.audits and task in TASKS:
            audit = stored.audits[name]
            if not _is_sound(audit):
                raise InputError(
                    f"{stored.folder / 'audit.json'} has no sound audit of {name}; "
                    "restore it, or run the grid again"
                )
            entries.append(Audited(TASKS[task], audit, data_hash))
    return sorted(entries, key=lambda audited: list(TASKS).index(audited.task.name))


def _is_sound(audit: Any) -> bool:
    """True if everything is there that this module reads."""
    number = lambda value: isinstance(value, int | float) and abs(value) < _LARGEST
    try:
        rewards, returns = audit["rewards"], audit["returns"]
        values = [rewards["edges"][-1], *rewards["edges"], rewards["counts"][0]]
        values += [audit["terminations"], *(returns[key] for key in ("mean", "0%", "90%", "100%"))]
        for name in BASELINES if "baselines" in audit else ():
            values += [audit["baselines"][name][key] for key in ("return", "episodes")]
    except (KeyError, TypeError, IndexError):
        return False
    return all(map(number, values))


def remarks(audit: Audit, task: Task) -> list[str]:
    """Say in sentences what a reader of scores must know of the data."""
    if rewards_tell_nothing(audit):
        line = (
            f"every reward of the data is {constant_reward(audit):g}, so that rewards prefer no "
            "action to another. Offline RL does not apply, and its scores decide nothing."
        )
        return [f"{task.name}: {line}"]
    played = {name: score for name, score in scores(audit, task).items() if name in PLAYED}
    highest = max(played, key=lambda name: played[name], default="")
    if highest and played[highest] > HIGH:
        line = (
            f"a policy that looks at nothing ({BASELINES[highest]}) scores {played[highest]:z.1f} "
            "on this scale, so that a high score need not be learned; "
            f"rl-or-bc audit {task.name} proposes references."
        )
        return [f"{task.name}: {line}"]
    if is_near_expert(audit, task):
        mean, top = _data_scores(audit, task)
        line = (
            f"the data are near-expert, for their episodes score {mean:z.1f} on average and the "
            f"best tenth more than {top:z.1f}. Imitation is expected to do as well as offline RL, "
            "and an offline RL method below it need not be a mistake."
        )
        return [f"{task.name}: {line}"]
    return []


def constant_reward(audit: Audit) -> float | None:
    """The reward that every row has, or None where rewards vary.

    The smallest reward lies in the histogram's first step, unless there is but one: numpy then
    puts it into the middle of a range of 1.
    """
    edges, counts = audit["rewards"]["edges"], audit["rewards"]["counts"]
    return None if counts[0] else float(edges[0] + edges[-1]) / 2.0


def rewards_tell_nothing(audit: Audit) -> bool:
    """True if rewards prefer no action to another, so that offline RL does not apply.

    A constant reward says something where an episode ends sooner or later by what is done.
    """
    returns = audit["returns"]
    ends_alike = audit["terminations"] == 0 or returns["0%"] == returns["100%"]
    return constant_reward(audit) is not None and ends_alike


def is_near_expert(audit: Audit, task: Task) -> bool:
    """True if the data are so good that imitation is expected to do as well as offline RL.

    Episodes score at least 90 on average, near the reference policy, and at least 90 % of the
    score that the best tenth of them exceeds, so that there is little to pick or to stitch. Mazes
    are left out: their data lead to other goals than the evaluation's.

    Source: the post's paper, Kumar et al. 2022 (arXiv:2204.05618): on data of an expert no method
    beats imitation in the worst case; offline RL gains where data are noisy or suboptimal. The two
    thresholds are ours.
    """
    mean, top = _data_scores(audit, task)
    return not task.kind.has_goals and mean >= max(NEAR_EXPERT_SCORE, NEAR_EXPERT_SHARE * top)


def _data_scores(audit: Audit, task: Task) -> tuple[float, float]:
    """The data's mean score, and the score that the best tenth of the episodes exceeds."""
    returns = np.array([audit["returns"][key] for key in ("mean", "90%")])
    mean, top = normalized_score(returns, task.reference_returns).tolist()
    return mean, top


def scores(audit: Audit, task: Task) -> dict[str, float]:
    """Normalized score of each of the ``baselines``, which own data alone have."""
    if "baselines" not in audit:
        return {}
    returns = np.array([audit["baselines"][name]["return"] for name in BASELINES])
    normalized = normalized_score(returns, task.reference_returns).tolist()
    return dict(zip(BASELINES, normalized, strict=True))


def propose(audit: Audit, task: Task) -> Proposal | str:
    """References for own data whose scale is not known, or why there are none.

    Score 100 is the mean return of the best tenth of the logs. Score 0 is what random actions get,
    as in D4RL; or, where another policy that looks at nothing gets more than half of the way from
    there to 100, what that one gets. In Reacher random actions cost so much that 0 would lie far
    below doing nothing.
    """
    baselines = audit["baselines"]
    returns = {name: baseline["return"] for name, baseline in baselines.items()}
    zero, low, high = "random", returns["random"], returns["best_tenth"]
    best = max(PLAYED, key=lambda name: returns[name])
    if constant_reward(audit) is not None:
        return "the rewards of the logs never vary"
    if returns[best] >= high:
        return (
            f"the best tenth of the logs got {high:.4g}, and {BASELINES[best]}, which looks at "
            f"nothing, {returns[best]:.4g}"
        )
    if returns[best] - low > HIGH / 100.0 * (high - low):
        zero, low = best, returns[best]
    rounded = float(f"{low:.4g}"), float(f"{high:.4g}")
    low, high = rounded if rounded[0] < rounded[1] else (low, high)
    reason = (
        f"score 0 is what {BASELINES[zero]} got ({baselines[zero]['episodes']} episodes played), "
        f"100 what the best tenth of the logs got ({baselines['best_tenth']['episodes']} episodes)"
    )
    names = f"--data {shlex.quote(task.data)} --environment {shlex.quote(task.environment)}"
    return Proposal(low, high, reason, f"rl-or-bc grid {names} --reference {low!r} {high!r}")


def on_proposed_scale(audit: Audit, task: Task) -> tuple[Task, Audit]:
    """A task without a row and its audit, on the scale that the audit proposes.

    Where it proposes none there are no scores.
    """
    proposed = propose(audit, task)
    if isinstance(proposed, str):
        return task, {name: value for name, value in audit.items() if name != "scores"}
    references = (proposed.low, proposed.high)
    returns = audit["returns"]
    scaled = normalized_score(np.array(list(returns.values())), references).tolist()
    task = dataclasses.replace(task, reference_returns=references)
    return task, audit | {"scores": dict(zip(returns, scaled, strict=True))}


def conclusions(audit: Audit, task: Task) -> Audit:
    """Draw conclusions from an audit, in values that JSON can hold.

    Returns:
        ``constant_reward``, None where rewards vary; ``remarks``; of own data ``baseline_scores``
        if there is a scale, and ``references``: the parts of a `Proposal`, or under ``none`` why
        there is none.
    """
    # Remarks compare scores, so there are none without a scale.
    has_scale = "scores" in audit
    lines = remarks(audit, task) if has_scale or rewards_tell_nothing(audit) else []
    facts: Audit = {"constant_reward": constant_reward(audit), "remarks": lines}
    if "baselines" not in audit:
        return facts
    proposed = propose(audit, task)
    known = {"none": proposed} if isinstance(proposed, str) else proposed._asdict()
    shown = {"baseline_scores": scores(audit, task)} if has_scale else {}
    return facts | shown | {"references": known}


def in_words(audit: Audit) -> list[str]:
    """The lines that end a printed audit, with its `conclusions`."""
    lines: list[str] = []
    if "baselines" in audit:
        on_scale = audit.get("baseline_scores", {})
        for name, baseline in audit["baselines"].items():
            score = f", score {on_scale[name]:z.1f}" if name in on_scale else ""
            line = f"{BASELINES[name]}: return {baseline['return']:.4g}{score}"
            lines.append(f"{line}, {baseline['episodes']} episodes")
    lines += audit["remarks"]
    if "references" in audit:
        references = audit["references"]
        lines += (
            [f"references: none can be proposed, for {references['none']}"]
            if "none" in references
            else [f"references to propose: {references['reason']}", f"    {references['command']}"]
        )
    return lines


def all_remarks(audited: Sequence[Audited]) -> list[str]:
    """The remarks on each of several data."""
    return [line for task, audit, _ in audited for line in remarks(audit, task)]


def rows(audited: Sequence[Audited]) -> pd.DataFrame:
    """A line for each of the ``baselines`` under the names of a table's columns."""
    lines = [
        {
            "family": task.family,
            "task": task.name,
            "algorithm": name,
            "mean": score,
            "num_episodes": audit["baselines"][name]["episodes"],
            "source": OWN,
            "data_hash": data_hash,
        }
        for task, audit, data_hash in audited
        for name, score in scores(audit, task).items()
    ]
    return pd.DataFrame(lines)


def beside(audited: Sequence[Audited]) -> list[tuple[str, list[str]]]:
    """Each task of own data with the scores of the ``baselines``, in their order."""
    rows_of_scores = [
        (task.name, scores(audit, task)) for task, audit, _ in audited if "baselines" in audit
    ]
    return [(name, [f"{score:z.1f}" for score in of.values()]) for name, of in rows_of_scores]


def sentences(audited: Sequence[Audited]) -> list[str]:
    """`beside` in words, and the remarks."""
    lines = []
    for name, texts in beside(audited):
        pairs = zip(BASELINES.values(), texts, strict=True)
        line = ", ".join(f"{title} {text}" for title, text in pairs)
        lines.append(f"Without learning, {name}: {line}.")
    return lines + all_remarks(audited)


def text(audited: Sequence[Audited]) -> Group:
    """`beside` for a terminal."""
    header = ["without learning", *(title.replace(" ", "\n", 1) for title in BASELINES.values())]
    rows = [[name, *texts] for name, texts in beside(audited)]
    return screen.in_blocks(header, rows, right=range(1, len(header)))
