"""The page's first sentence answers the title's question, and says no more than the claims do."""

import numpy as np
import pytest

from bench.report import answer, page
from bench.report.claims import AHEAD, KEEPS_UP, Finding
from bench.report.scores import read
from envs.tasks import TASKS
from tests.helpers.score_files import write_scores

FAR = [n for n, t in TASKS.items() if t.family == "antmaze" and t.environment != "umaze"]
LOCOMOTION = [name for name, task in TASKS.items() if task.family == "locomotion"]
POINTMAZE = [name for name, task in TASKS.items() if task.family == "pointmaze"]


def written(tmp_path, levels, seeds=(0, 1, 2), spread=1.0):
    """Results with (imitation, offline RL) -> tasks."""
    scores, tasks = {}, []
    for (bc, iql), names in levels.items():
        tasks += names
        scores |= {(task, "bc"): bc for task in names} | {(task, "iql"): iql for task in names}
        scores |= {(task, "dt"): min(bc, iql) - 10.0 for task in names}
    folder = tmp_path / "regenerated" / "quick"
    return write_scores(folder, tasks, (100,), seeds, scores, spread)


def test_the_post_is_answered_in_one_sentence_and_what_is_beside_it_in_others(tmp_path):
    levels = {(10.0, 60.0): FAR, (70.0, 60.0): LOCOMOTION, (20.0, 80.0): POINTMAZE}
    folder = written(tmp_path, levels, spread=0.1)
    first, second = answer.sentences(read(folder))
    assert first == (
        "In antmaze's medium and large mazes, where paths must be joined, offline RL is 50 points "
        "ahead of imitation that is told no goal [50, 50]; on locomotion imitation keeps up: it is "
        "10 points ahead of offline RL [10, 10]."
    )
    assert second == (
        "In pointmaze's medium and large mazes, which are not in the post, offline RL is 60 points "
        "ahead of imitation that is told no goal [60, 60]."
    )
    shown = page.build(folder)[page.PAGE].partition("</header>")[0]
    plain = shown.replace("\u00a0", " ").replace("&#39;", "'")
    assert f'<p class="answer">{first}</p>\n<p class="beside">{second}</p>' in plain


@pytest.mark.parametrize(
    ("question", "figures", "holds", "note", "text"),
    [
        (AHEAD, (12.4, 5.0, 19.0), False, "",
         ("offline RL is not 20 points ahead: it is 12 points ahead of imitation that is told no "
         "goal [5, 19]")),
        (AHEAD, (-3.0, -9.0, 3.0), False, "",
         ("offline RL is not 20 points ahead: it is 3 points behind imitation that is told no goal "
         "[-3, 9]")),
        (AHEAD, (25.0, -8.0, 58.0), None, "about 3 more seeds would settle it",
         ("the question is open: offline RL is 25 points ahead of imitation that is told no goal "
         "[-8, 58] (about 3 more seeds would settle it)")),
        (AHEAD, (0.0, 0.0, 0.0), None, "both score the same with every seed",
         "the question is open (both score the same with every seed)"),
        (AHEAD, (9.0, -np.inf, np.inf), None, "BC has one seed on antmaze-medium-play",
         "the question is open (BC has one seed on antmaze-medium-play)"),
        (KEEPS_UP, (-4.0, -9.0, 1.0), True, "",
         "imitation keeps up: it is 4 points behind offline RL [-1, 9]"),
        (KEEPS_UP, (0.3, -2.0, 2.6), True, "",
         "imitation keeps up: it is level with offline RL [-2, 3]"),
        (KEEPS_UP, (-1.2, -2.0, -0.4), True, "",
         "imitation keeps up: it is 1 point behind offline RL [0, 2]"),
        (KEEPS_UP, (-30.0, -35.0, -25.0), False, "",
         "imitation falls more than 15 points behind: it is 30 points behind offline RL [25, 35]"),
    ],
)  # fmt: skip
def test_a_statement_says_what_the_claim_says(question, figures, holds, note, text):
    finding = Finding("claim", "antmaze", "measured", *figures, holds, note, question)
    assert answer._statement(finding) == text


def test_a_family_without_an_answer_and_one_without_scores_are_named(tmp_path):
    folder = written(tmp_path, {(50.0, 60.0): LOCOMOTION, (0.0, 90.0): FAR[:1]})
    first, second = answer.sentences(read(folder))
    assert first.startswith("On locomotion imitation keeps up: it is 1")
    assert second == (
        "These scores leave the question open on antmaze: it takes a method that imitates and one "
        "of offline RL, each with all of the tasks."
    )
    folder = written(tmp_path / "other", {(50.0, 60.0): LOCOMOTION})
    assert answer.sentences(read(folder))[1:] == ["Nothing was run on antmaze."]


def test_scores_that_answer_nothing_say_so_first(tmp_path):
    folder = written(tmp_path, {(50.0, 60.0): LOCOMOTION[:1]}, seeds=(0,))
    first, _ = answer.sentences(read(folder))
    assert first.startswith("These scores leave the question open on locomotion")
    assert f'<p class="answer">{first}</p>' in page.build(folder)[page.PAGE]


def test_one_seed_leaves_the_question_open(tmp_path):
    folder = written(tmp_path, {(10.0, 60.0): FAR}, seeds=(0,))
    first, _ = answer.sentences(read(folder))
    assert first == (
        "In antmaze's medium and large mazes, where paths must be joined, the question is open "
        f"(IQL has one seed on {FAR[0]})."
    )
