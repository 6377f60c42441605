"""What the page on the claims says, from rows whose scores are known."""

import re

import pytest
from score_files import METHODS, write_scores

from bench import cli, findings, report, stats
from envs.registry import TASKS
from envs.types import InputError

FAR = [n for n, t in TASKS.items() if t.family == "antmaze" and t.environment != "umaze"]
LOCOMOTION = [name for name, task in TASKS.items() if task.family == "locomotion"]


def find(folder):
    return {(f.family, f.claim): f for f in findings.find(report.read(folder))}


def write(tmp_path, bc, iql, tasks=TASKS):
    scores = {(task, "bc"): bc for task in tasks} | {(task, "iql"): iql for task in tasks}
    scores |= {(task, "dt"): 0.0 for task in tasks}
    return write_scores(tmp_path / "regenerated" / "quick", tasks, (100,), scores=scores)


@pytest.mark.parametrize(("bc", "iql", "holds"), [(60, 70, True), (60, 80, False), (80, 60, True)])
def test_to_keep_up_is_a_matter_of_points_behind(tmp_path, bc, iql, holds):
    (finding,) = find(write(tmp_path, bc, iql, LOCOMOTION)).values()
    assert finding.claim == "imitation keeps up with offline RL, at most 15 points behind"
    assert finding.value == pytest.approx(bc - iql, abs=2.0)
    assert finding.low < finding.value < finding.high
    assert finding.holds is holds


@pytest.mark.parametrize(("bc", "iql", "holds"), [(0, 40, True), (30, 40, False), (40, 0, False)])
def test_the_mazes_claim_needs_the_points_and_the_interval(tmp_path, bc, iql, holds):
    (finding,) = find(write(tmp_path, bc, iql, FAR)).values()
    assert finding.claim.endswith("20 points above imitation that is told no goal")
    assert finding.holds is holds


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(3.0, 4.0, True), (2.0, 3.0, None), (1.0, 2.0, False)]
)
def test_a_bound_is_kept_by_the_whole_interval_or_the_claim_is_open(low, high, holds):
    assert findings._at_least(low, high, 3.0) is holds


def test_where_nobody_scores_nothing_is_told_apart(tmp_path):
    folder = write_scores(
        tmp_path / "regenerated" / "quick",
        FAR,
        (100,),
        scores={(task, name): 0.0 for task in FAR for name in METHODS},
        spread=0.0,
    )
    (finding,) = find(folder).values()
    assert (finding.low, finding.high, finding.holds) == (0.0, 0.0, None)


def test_a_single_tasks_interval_is_students_for_all_methods_at_once(tmp_path, monkeypatch):
    folder = write(tmp_path, 80, 90, ["antmaze-umaze"])
    (finding,) = find(folder).values()
    scores = stats.last(report.read(folder).curves["antmaze-umaze", "iql"])
    assert (finding.low, finding.high) == stats.cell_interval(scores)
    monkeypatch.setitem(METHODS, "cql", ("CQL", "offline RL"))
    (both,) = find(write(tmp_path / "both", 80, 90, ["antmaze-umaze"])).values()
    assert both.low < finding.low < finding.high < both.high


@pytest.mark.parametrize(("iql", "holds"), [(75, True), (45, False)])
def test_umaze_is_solved_task_by_task(tmp_path, iql, holds):
    folder = write(tmp_path, 80, iql, ["antmaze-umaze", "antmaze-umaze-diverse"])
    found = find(folder)
    assert [claim.split()[5] for _, claim in found] == ["antmaze-umaze,", "antmaze-umaze-diverse,"]
    assert {finding.holds for finding in found.values()} == {holds}
    assert {finding.measured for finding in found.values()} == {"IQL"}


def test_a_claim_is_open_where_the_interval_has_both_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "COLLAPSE", 40.0)
    folder = write(tmp_path, 0, 40.0, FAR)
    value = find(folder).popitem()[1].value
    monkeypatch.setattr(findings, "COLLAPSE", value + 0.1)
    assert find(folder).popitem()[1].holds is None


def test_the_best_is_chosen_anew_in_each_resample(tmp_path):
    folder = write_scores(
        tmp_path / "regenerated" / "quick",
        LOCOMOTION,
        (100,),
        scores={(t, m): 50.0 for t in LOCOMOTION for m in ("bc", "dt", "iql")},
    )
    found = report.read(folder)
    scores = findings._scores(found, [TASKS[name] for name in LOCOMOTION])
    name, value, draws = scores.best(["bc", "dt"])
    assert value == scores.matrices[name].mean()
    assert (draws >= scores.draws["bc"]).all()
    assert (draws >= scores.draws["dt"]).all()
    assert (draws > scores.draws[name]).any()


def test_methods_that_lack_a_task_are_left_out(tmp_path):
    folder = write(tmp_path, 0, 40, FAR[:-1])
    assert find(folder) == {}
    assert "No claim can be answered" in findings.build(tmp_path)


def test_methods_with_other_seeds_on_a_task_are_left_out_and_the_page_is_made(tmp_path):
    folder = write(tmp_path, 0, 40, FAR)
    write_scores(folder, FAR[:1], (100,), seeds=(0, 1))
    assert find(folder) == {}
    assert report.matrices(report.read(folder)) == {}
    assert FAR[0] in report.build(folder)[report.PAGE]


def test_a_results_folder_can_say_more_with_numbers_of_its_own(tmp_path):
    write(tmp_path, 0, 40, TASKS)
    notes = tmp_path / findings.NOTES
    notes.write_text(
        "\n## Notes\n\nIQL: {quick iql antmaze-medium-play antmaze-large-play}; "
        "BC {quick bc locomotion}; "
        "{{ 6 * 7 }} {% raise %} | <b>\n\n"
    )
    page = findings.build(tmp_path)
    assert re.search(r"\|\n\n## Notes\n\nIQL: (39|40|41); BC -?[01]; \{\{ 6 \* 7 }} ", page)
    assert page.endswith(" {% raise %} | <b>\n")
    notes.write_text("{paper iql antmaze-medium-play}")
    with pytest.raises(
        InputError, match=r"notes.md has \{paper iql antmaze-medium-play\}: no scores"
    ):
        findings.build(tmp_path)
    notes.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"notes.md is no text in UTF-8"):
        findings.build(tmp_path)


def test_numbers_of_the_page_are_of_the_usual_source(tmp_path):
    write(tmp_path, 0, 40, FAR)
    write_scores(tmp_path / "d4rl" / "quick", FAR)
    (tmp_path / findings.NOTES).write_text("{quick iql antmaze-medium-play}")
    assert findings.build(tmp_path).endswith(("\n39\n", "\n40\n", "\n41\n"))


ESCAPE = "cycler.__init__.__globals__.os.system('touch {}')"


def test_a_results_folder_runs_nothing(tmp_path, capsys):
    write(tmp_path, 0, 40, FAR[:1])
    ran = tmp_path / "ran"
    for name in ("findings.md.jinja", "page.html.jinja", "FINDINGS.md.jinja", "notes.md.jinja"):
        for folder in (tmp_path, tmp_path / "regenerated" / "quick"):
            (folder / name).write_text("{{ " + ESCAPE.format(ran) + " }}")
    (tmp_path / findings.NOTES).write_text("{{ " + ESCAPE.format(ran) + " }}")
    for command in (["report"], ["table", "--check"]):
        assert cli.main([*command, "--results", str(tmp_path)]) == 0, capsys.readouterr().err
    assert not ran.exists()


def test_a_template_of_the_users_own_is_used_where_it_is_named(tmp_path, capsys):
    write(tmp_path, 0, 40, FAR)
    template = tmp_path / "mine.jinja"
    template.write_text(
        '{% extends "findings.md.jinja" %}{% block explanations %}{{ super() }}\n'
        'IQL: {{ score("quick", "iql", "antmaze-medium-play", "antmaze-large-play") }} '
        '{{ confidence ~ "|" }}\n'
        "{% endblock %}"
    )
    named = ["--template", str(template), "--results", str(tmp_path)]
    assert cli.main(["report", *named]) == 0
    page = (tmp_path / findings.PAGE).read_text()
    assert "IQL: 40 95 %\\|\n" in page
    assert "| antmaze | IQL 4" in page
    assert cli.main(["table", "--check", *named]) == 0
    assert cli.main(["table", "--check", "--results", str(tmp_path)]) == 1
    assert "FINDINGS.md is not what its scores give" in capsys.readouterr().err


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ score.__globals__ }}",
        "{{ score.func.__globals__ }}",
        "{{ sections.append(1) }}",
        "{{ 1 / 0 }}",
        "{% for %}",
        "{{ nothing }}",
        '{% include "/etc/passwd" %}',
        '{% extends "../findings.py" %}',
        '{{ score("paper", "iql", "antmaze-medium-play") }}',
        "{{ score() }}",
        "{{ range(10 ** 9) | list }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_cannot_be_used_is_one_line(tmp_path, capsys, source):
    write(tmp_path, 0, 40, FAR[:1])
    template = tmp_path / "mine.jinja"
    template.write_text(source)
    arguments = ["report", "--template", str(template), "--results", str(tmp_path)]
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "mine.jinja" in line or "no scores of iql" in line
    assert not (tmp_path / findings.PAGE).exists()


def test_a_template_that_is_not_there_is_named(tmp_path, capsys):
    write(tmp_path, 0, 40, FAR[:1])
    arguments = ["report", "--template", str(tmp_path / "none"), "--results", str(tmp_path)]
    assert cli.main(arguments) == 2
    assert f"cannot read {tmp_path / 'none'}: No such file" in capsys.readouterr().err


def test_table_check_looks_at_the_claims_as_well(tmp_path, capsys):
    write(tmp_path, 0, 40, FAR[:1])
    check = ["table", "--check", "--results", str(tmp_path)]
    assert cli.main(["report", "--results", str(tmp_path)]) == 0
    assert cli.main(check) == 0
    (tmp_path / findings.PAGE).write_text("old")
    assert cli.main(check) == 1
    assert "FINDINGS.md is not what its scores give" in capsys.readouterr().err
