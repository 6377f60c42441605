"""What the page on the claims says, from rows whose scores are known."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from algos.registry import ALGORITHMS
from bench import cli, store
from bench.report import claims, figures, page, plots, stats
from bench.report.scores import SEED, Column, read
from envs import files
from envs.errors import InputError
from envs.tasks import TASKS
from tests.helpers.score_files import METHODS, write_scores

FAR = [n for n, t in TASKS.items() if t.family == "antmaze" and t.environment != "umaze"]
UMAZE = "antmaze-umaze"
LOCOMOTION = [name for name, task in TASKS.items() if task.family == "locomotion"]


def find(folder):
    return {(f.family, f.claim): f for f in claims.find(read(folder))}


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
    assert claims._at_least(low, high, 3.0) is holds


@pytest.mark.parametrize("tasks", [FAR, LOCOMOTION])
@pytest.mark.parametrize("level", [0.0, 100.0])
def test_where_both_sides_score_the_same_nothing_tells_them_apart(tmp_path, tasks, level):
    folder = write_scores(
        tmp_path / "regenerated" / "quick",
        tasks,
        (100,),
        scores={(task, name): level for task in tasks for name in METHODS},
        spread=0.0,
    )
    (finding,) = find(folder).values()
    assert (finding.low, finding.high, finding.holds) == (0.0, 0.0, None)
    assert finding.note == "both score the same with every seed"


def test_a_single_tasks_interval_is_students_for_all_methods_at_once(tmp_path, monkeypatch):
    folder = write(tmp_path, 80, 90, ["antmaze-umaze"])
    (finding,) = find(folder).values()
    scores = stats.last(read(folder).curves["antmaze-umaze", "iql"])
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
    monkeypatch.setattr(claims, "COLLAPSE", 40.0)
    folder = write(tmp_path, 0, 40.0, FAR)
    value = find(folder).popitem()[1].value
    monkeypatch.setattr(claims, "COLLAPSE", value + 0.1)
    assert find(folder).popitem()[1].holds is None


def test_methods_that_share_starts_are_compared_seed_by_seed(tmp_path):
    folder = write(tmp_path, 50, 49, LOCOMOTION)
    starts = pd.read_csv(folder / "scores.csv")
    for task in LOCOMOTION:
        low, high = TASKS[task].reference_returns
        rows = starts["task"] == task
        starts.loc[rows, "return"] += starts.loc[rows, "seed"] * 0.2 * (high - low)
    store.write_rows(folder / "scores.csv", starts)
    (finding,) = find(folder).values()
    # Every score is 0, 20 or 40 points higher by its seed, and deviates by 1 of itself.
    assert finding.holds is True
    assert finding.high - finding.low < 4.0
    scores = read(folder).matrices["locomotion"]
    assert (scores["bc"].std(axis=0, ddof=1) > 15.0).all()


def test_the_best_is_chosen_anew_in_each_draw(tmp_path):
    scores = {(task, name): 50.0 for task in LOCOMOTION for name in METHODS}
    folder = write_scores(tmp_path / "regenerated" / "quick", LOCOMOTION, (100,), scores=scores)
    (finding,) = find(folder).values()
    found = claims._scores(read(folder), [TASKS[name] for name in LOCOMOTION])
    runs = found.runs
    generator = np.random.default_rng(SEED)
    expected = stats.lead([runs["bc"], runs["dt"]], [runs["iql"]], generator)
    assert (finding.value, finding.low, finding.high) == (expected.value, *expected.interval())
    best, mean = found.best(["bc", "dt"])
    assert finding.measured.startswith(f"{METHODS[best][0]} {mean:.1f}, IQL ")
    alone = stats.lead([runs[best]], [runs["iql"]], np.random.default_rng(SEED))
    assert alone.value == expected.value
    assert alone.error != expected.error


def single_seed(folder, *cells):
    """Leave the first seed alone to ``cells``, (task, algorithm), or to all of them."""
    scores = pd.read_csv(folder / "scores.csv")
    facts = store.read_provenance(folder / "provenance.json")
    chosen = set(cells) or set(zip(scores["task"], scores["algorithm"], strict=True))
    names = pd.Series(zip(scores["task"], scores["algorithm"], strict=True))
    store.write_rows(folder / "scores.csv", scores[(scores["seed"] == 0) | ~names.isin(chosen)])
    for task, algorithm in chosen:
        facts[f"{task}/{algorithm}"]["settings"]["seeds"] = [0]
    store.write_provenance(folder / "provenance.json", facts)


@pytest.mark.parametrize("cells", [(), ((LOCOMOTION[0], "iql"), (FAR[0], "iql"), (UMAZE, "iql"))])
def test_where_a_cell_has_one_seed_its_claims_are_open(tmp_path, cells):
    folder = write(tmp_path, 0, 90, [*LOCOMOTION, *FAR, UMAZE])
    assert len(find(folder)) == 3
    assert None not in {finding.holds for finding in find(folder).values()}
    single_seed(folder, *cells)
    found = find(folder)
    assert len(found) == 3
    for finding in found.values():
        assert (finding.holds, finding.low, finding.high) == (None, -np.inf, np.inf)
        assert " has one seed on " in finding.note
    text = claims.render(tmp_path)
    assert text.count("| one seed | open: ") == 3
    assert "inf" not in text.split("|", 1)[1]
    # Pages and pictures are made, and show no interval where there is none.
    html = page.build(folder)[page.PAGE]
    assert not re.search(r"\b(inf|nan)\b", html)


def test_one_seed_has_no_interval_on_the_page_and_no_bar_in_the_picture(tmp_path):
    folder = write(tmp_path, 20, 90, LOCOMOTION)
    drawn = figures.figures(read(folder), figures.lines(read(folder)))
    bars = lambda figure: sum(line.get_linewidth() == 2.2 for line in figure.axes[0].lines)
    assert bars(drawn["dichotomy-locomotion"]) == len(METHODS)
    single_seed(folder)
    found = read(folder)
    drawn = figures.figures(found, figures.lines(found))
    assert bars(drawn["dichotomy-locomotion"]) == 0
    scores = found.matrices["locomotion"]
    profile = figures.profile("iql", plots.Look("red", ""), scores["iql"])
    curve = figures.curve("iql", plots.Look("red", ""), found.curves[LOCOMOTION[0], "iql"])
    for line in (profile, curve):
        np.testing.assert_array_equal(line.low, line.y)
        np.testing.assert_array_equal(line.high, line.y)
    improvements = page._improvements(found, "locomotion", scores)
    cells = [cell for row in improvements["rows"] for cell in row["cells"] if cell]
    assert {(cell["interval"], cell["sure"]) for cell in cells} == {("one seed", False)}
    aggregates = page._aggregates(found, "locomotion", scores)
    assert {c["interval"] for row in aggregates["rows"] for c in row["cells"]} == {"one seed"}
    lead = page._lead(found, "locomotion", scores)
    assert {side["interval"] for side in lead["sides"]} == {"one seed"}


def test_an_open_claim_says_how_many_more_seeds_would_settle_it(tmp_path, monkeypatch):
    folder = write(tmp_path, 50, 49.0, LOCOMOTION)
    value = next(iter(find(folder).values())).value
    estimate = lead(folder, LOCOMOTION)
    # The bound lies where the interval of seven seeds ends, but for a little.
    bound = estimate.interval(more=4)[0] - 1e-6
    monkeypatch.setattr(claims, "PARITY", -bound)
    (finding,) = find(folder).values()
    assert (finding.holds, finding.note) == (None, "about 4 more seeds would settle it")
    assert "| open: about 4 more seeds would settle it |" in claims.render(tmp_path)
    monkeypatch.setattr(claims, "PARITY", -(estimate.interval(more=1)[0] - 1e-6))
    assert next(iter(find(folder).values())).note == "about 1 more seed would settle it"
    monkeypatch.setattr(claims, "PARITY", -(value - 1e-6))
    (finding,) = find(folder).values()
    assert finding.note == "too close to the bound, 100 more seeds would not settle it"


def lead(folder, tasks):
    runs = claims._scores(read(folder), [TASKS[name] for name in tasks]).runs
    generator = np.random.default_rng(SEED)
    return stats.lead([runs["bc"], runs["dt"]], [runs["iql"]], generator)


def returns(low, high):
    return {"mean": low, "0%": low, "90%": high, "100%": high}


def write_audits(folder, **changes):
    facts = store.read_provenance(folder / "provenance.json")
    audits = {
        store.data_name(cell): {
            "rewards": {"edges": [-0.5, 0.5], "counts": [0, 500, 0]},
            "returns": returns(0.0, 0.0),
            "terminations": 0,
        }
        | changes
        for cell in facts.values()
    }
    files.write_json(folder / "audit.json", audits)


@pytest.mark.parametrize("tasks", [FAR, LOCOMOTION, ["antmaze-umaze"]])
def test_where_rewards_never_vary_rl_does_not_apply(tmp_path, tasks):
    folder = write(tmp_path, 0, 90, tasks)
    assert next(iter(find(folder).values())).holds is not None
    write_audits(folder)
    (finding,) = find(folder).values()
    assert finding.holds is None
    assert finding.note == f"the rewards of {tasks[0]} never vary, so RL does not apply"
    assert (
        f"{tasks[0]}: every reward of the data is 0, so that rewards prefer no action to another. "
        "Offline RL does not apply" in (page.build(folder)[page.PAGE])
    )


@pytest.mark.parametrize(
    ("changes", "constant"),
    [
        ({}, True),
        ({"rewards": {"edges": [-0.5, 0.5], "counts": [499, 0, 1]}}, False),
        # So much for every step until a fall: what ends later earns more.
        ({"terminations": 3, "returns": returns(10.0, 500.0)}, False),
        ({"terminations": 3, "returns": returns(10.0, 10.0)}, True),
        # Time alone cut the episodes.
        ({"terminations": 0, "returns": returns(10.0, 500.0)}, True),
    ],
)
def test_rewards_that_make_no_difference(tmp_path, changes, constant):
    folder = write(tmp_path, 0, 90, LOCOMOTION[:1])
    write_audits(folder, **changes)
    assert read(folder).constant == (LOCOMOTION[:1] if constant else [])


def test_columns_that_cannot_be_compared_settle_no_claim(tmp_path):
    folder = write(tmp_path, 0, 90, LOCOMOTION)
    facts = store.read_provenance(folder / "provenance.json")
    facts[f"{LOCOMOTION[2]}/iql"]["environment"] = "Other-v0"
    store.write_provenance(folder / "provenance.json", facts)
    (finding,) = find(folder).values()
    assert finding.holds is None
    text = f"columns of {LOCOMOTION[2]} were scored in different environments"
    assert finding.note == text
    assert f"Not to be compared: {text}." in page.build(folder)[page.PAGE]


def test_imitation_that_is_told_the_goal_is_no_side_of_the_mazes_claim(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "rvs_g", ("RvS-G", "imitation"))
    scores = {(task, "bc"): 10.0 for task in FAR} | {(task, "rvs_g"): 80.0 for task in FAR}
    scores |= {(task, "dt"): 0.0 for task in FAR} | {(task, "iql"): 50.0 for task in FAR}
    folder = write_scores(tmp_path / "regenerated" / "quick", FAR, (100,), scores=scores)
    facts = store.read_provenance(folder / "provenance.json")
    for told, best, value in (
        ("the goal", "BC", 40.0),
        ("nothing", "RvS-G", -30.0),
        ("the best return in the data", "RvS-G", -30.0),
    ):
        for name, cell in facts.items():
            if name.endswith("/rvs_g"):
                cell["told"] = told
        store.write_provenance(folder / "provenance.json", facts)
        (finding,) = find(folder).values()
        assert finding.value == pytest.approx(value, abs=2.0)
        assert f", {best} " in finding.measured
    # Where imitation is asked to keep up, what it is told does not matter.
    scores = {("hopper-medium", "bc"): 1.0}
    columns = {"bc": Column("BC", "imitation", "the goal")}
    sides = claims._Scores(dataclasses.replace(read(folder), columns=columns), [], {"bc": []})
    assert sides.side("imitation") == ["bc"]
    assert sides.side("imitation", told_goals=False) == []


def test_the_goal_is_what_rvs_g_is_told():
    assert {name for name, entry in ALGORITHMS.items() if entry.told == "the goal"} == {"rvs_g"}


def test_methods_that_lack_a_task_are_left_out(tmp_path):
    folder = write(tmp_path, 0, 40, FAR[:-1])
    assert find(folder) == {}
    assert "No claim can be answered" in claims.render(tmp_path)


def test_methods_with_other_seeds_on_a_task_are_compared_and_left_out_of_aggregates(tmp_path):
    folder = write(tmp_path, 0, 40, FAR)
    write_scores(folder, FAR[:1], (100,), seeds=(0, 1))
    (finding,) = find(folder).values()
    runs = claims._scores(read(folder), [TASKS[name] for name in FAR]).runs
    assert [len(scores) for scores in runs["iql"]] == [2, 3, 3, 3]
    value = np.mean([s.mean() for s in runs["iql"]]) - max(
        np.mean([s.mean() for s in runs[name]]) for name in ("bc", "dt")
    )
    assert finding.value == pytest.approx(value)
    assert np.isfinite([finding.low, finding.high]).all()
    assert read(folder).matrices == {}
    assert FAR[0] in page.build(folder)[page.PAGE]


def test_methods_that_aggregates_leave_out_are_named(tmp_path):
    folder = write(tmp_path, 0, 40, LOCOMOTION)
    left = "Not among the aggregates of locomotion, as its tasks have different numbers of seeds:"
    assert left not in page.build(folder)[page.PAGE]
    single_seed(folder, (LOCOMOTION[0], "iql"))
    assert f"{left} IQL." in page.build(folder)[page.PAGE]


def test_a_results_folder_can_say_more_with_numbers_of_its_own(tmp_path):
    write(tmp_path, 0, 40, TASKS)
    notes = tmp_path / claims.NOTES
    notes.write_text(
        "\n## Notes\n\nIQL: {quick iql antmaze-medium-play antmaze-large-play}; "
        "BC {quick bc locomotion}; "
        "{{ 6 * 7 }} {% raise %} | <b>\n\n"
    )
    html = claims.render(tmp_path)
    assert re.search(r"\|\n\n## Notes\n\nIQL: (39|40|41); BC -?[01]; \{\{ 6 \* 7 }} ", html)
    assert html.endswith(" {% raise %} | <b>\n")
    notes.write_text("{paper iql antmaze-medium-play}")
    with pytest.raises(
        InputError, match=r"notes.md has \{paper iql antmaze-medium-play\}: no scores"
    ):
        claims.render(tmp_path)
    notes.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"notes.md is no text in UTF-8"):
        claims.render(tmp_path)


def test_numbers_of_the_page_are_of_the_usual_source(tmp_path):
    write(tmp_path, 0, 40, FAR)
    write_scores(tmp_path / "d4rl" / "quick", FAR)
    (tmp_path / claims.NOTES).write_text("{quick iql antmaze-medium-play}")
    assert claims.render(tmp_path).endswith(("\n39\n", "\n40\n", "\n41\n"))


ESCAPE = "cycler.__init__.__globals__.os.system('touch {}')"


def test_a_results_folder_runs_nothing(tmp_path, capsys):
    write(tmp_path, 0, 40, FAR[:1])
    ran = tmp_path / "ran"
    for name in ("findings.md.jinja", "page.html.jinja", "FINDINGS.md.jinja", "notes.md.jinja"):
        for folder in (tmp_path, tmp_path / "regenerated" / "quick"):
            (folder / name).write_text("{{ " + ESCAPE.format(ran) + " }}")
    (tmp_path / claims.NOTES).write_text("{{ " + ESCAPE.format(ran) + " }}")
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
    html = (tmp_path / claims.PAGE).read_text()
    assert "IQL: 40 95 %\\|\n" in html
    assert "| antmaze | IQL 4" in html
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
    assert not (tmp_path / claims.PAGE).exists()


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
    (tmp_path / claims.PAGE).write_text("old")
    assert cli.main(check) == 1
    assert "FINDINGS.md is not what its scores give" in capsys.readouterr().err
