"""What is committed beside the code: tables, pages, figures, behaviour policies."""

from pathlib import Path

import pytest

from algos.registry import TABLE1
from bench import store
from bench.report import artifacts, claims, figures, formats, page, plots, scores
from envs.collect import policy
from envs.recipes import Recipe
from envs.sources.registry import DEFAULT_SOURCE, get_source
from envs.tasks import get_task
from tests.helpers import reference

ROOT = Path(__file__).resolve().parents[2]
MADE_HERE = get_source(DEFAULT_SOURCE).tasks


def test_the_committed_tables_are_what_the_committed_scores_give():
    folders = store.find(ROOT / "results")
    assert folders
    assert [
        path for f in folders for path in artifacts.stale(f, formats.build, optional=False)
    ] == []


def test_the_committed_pages_are_what_the_committed_scores_give():
    folders = store.find(ROOT / "results")
    assert [
        path for f in folders for path in artifacts.stale(f, figures.build, optional=False)
    ] == []
    assert artifacts.stale(ROOT / "results", claims.build, optional=False) == []


def contains(interval, value):
    low, high = map(float, interval.split(" to "))
    return low <= float(value) <= high


@pytest.mark.parametrize("folder", store.find(ROOT / "results"), ids=lambda folder: folder.name)
def test_every_interval_that_is_printed_has_its_estimate_in_it(folder):
    found = scores.read(folder)
    cells = []
    for family, matrices in found.matrices.items():
        cells += page._lead(found, family, matrices)["sides"]
        for part in (page._aggregates, page._improvements):
            rows = part(found, family, matrices)["rows"]
            cells += [cell for row in rows for cell in row["cells"] if cell]
        for matrix in matrices.values():
            line = figures.profile("iql", plots.Look("red", ""), matrix)
            assert ((line.low <= line.y) & (line.y <= line.high)).all()
    assert len(cells) > 200
    assert [c for c in cells if not contains(c["interval"], c.get("value", c.get("mean")))] == []
    rows = claims._section(folder, found)["rows"]
    assert len(rows) == len(claims.find(found)) > 0
    assert [row for row in rows if not contains(row["interval"], row["value"])] == []


def test_the_committed_figures_are_what_the_committed_tracks_give():
    figures = reference.figures()
    assert figures
    for path, figure in figures.items():
        assert path.read_text() == reference.drawing(path, figure), path.name


def test_claims_are_of_methods_that_there_are():
    known = store.read_rows(claims.CLAIMS, ("claim", "ours", "theirs"))
    assert set(known["ours"]) | set(known["theirs"]) <= set(TABLE1)


def test_the_committed_quick_table_has_no_empty_cell():
    text = (ROOT / "results" / "regenerated" / "quick" / "table1.md").read_text()
    assert "| - |" not in text
    assert all(f"| {name} |" in text for name in MADE_HERE)


@pytest.mark.parametrize("name", MADE_HERE)
def test_every_policy_that_a_recipe_needs_is_committed(name):
    for part in Recipe(get_task(name), 1.0).policies:
        assert policy.load(part).kernels


def test_the_policies_take_less_than_ten_megabytes():
    files = list(policy.POLICY_FOLDER.glob("*.npz"))
    assert files
    assert sum(path.stat().st_size for path in files) < 10e6


def test_the_results_in_git_take_less_than_six_megabytes():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"report.html", "results/runs/", "results/local/", ".lock"} <= set(ignored)
    folders = [ROOT / "results" / name for name in ("runs", "local")]
    files = [
        path
        for path in (ROOT / "results").rglob("*")
        if path.is_file()
        and path.name not in ("report.html", ".lock")
        and not any(path.is_relative_to(folder) for folder in folders)
    ]
    assert ROOT / "results" / "FINDINGS.md" in files
    assert not [path for path in files if path.suffix in (".html", ".png")]
    assert sum(path.stat().st_size for path in files) < 6e6
