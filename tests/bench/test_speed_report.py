"""What the report of `make bench` says of figures, without measuring any."""

import json
import sys

import pytest

from tests.speed import report

MACHINE = {
    "processor": "x86_64",
    "cpu": {"brand_raw": "A processor", "count": 2},
    "jax": {"version": "1", "platform": "cpu", "device": "cpu"},
}


def learning(seeds, share, updates_per_second, method="iql", size="published"):
    return {
        "kind": "learning",
        "method": method,
        "size": size,
        "seeds": seeds,
        "num_steps": 1_000_000,
        "updates_per_second": updates_per_second,
        "share_of_peak": share,
    }


def verdicts(benchmarks, platform="cpu"):
    return {row.what: row.cells[-1] for row in report.rows(benchmarks, platform)}


def test_a_figure_passes_at_its_target_and_is_short_below():
    assert verdicts([learning(1, 0.80, 100.0)])["iql published, 1 seed"] == "pass"
    assert verdicts([learning(1, 0.79, 100.0)])["iql published, 1 seed"] == "short"


def test_five_seeds_are_held_to_the_time_of_one():
    one = learning(1, 0.8, 100.0)
    assert verdicts([one, learning(5, 0.8, 23.0)])["iql published, 5 seeds / 1"] == "pass"
    assert verdicts([one, learning(5, 0.8, 22.0)])["iql published, 5 seeds / 1"] == "short"


def test_ten_seeds_on_an_accelerator_are_held_to_one_and_a_half_times_the_time_of_one():
    one, ten = learning(1, 0.1, 1000.0), learning(10, 0.5, 700.0)
    assert verdicts([one, ten], "gpu")["iql published, 10 seeds / 1"] == "pass"
    assert (
        verdicts([one, learning(10, 0.5, 600.0)], "gpu")["iql published, 10 seeds / 1"] == "short"
    )
    assert "iql published, 10 seeds / 1" not in verdicts([one, ten])


def test_physics_alone_would_be_faster_by_what_it_takes_of_an_evaluation():
    evaluation = {"kind": "evaluation", "task": "hopper-medium", "ratio": 3.6, "physics_share": 0.9}
    figures = {row.what: row.figure for row in report.rows([evaluation], "cpu")}
    assert figures["hopper-medium / gymnasium"] == "3.60x the steps/s"
    assert figures["hopper-medium, physics alone"] == "4.00x the steps/s"


def test_the_paper_grid_is_projected_where_an_accelerator_ran_every_method():
    # 15 tasks x 9 methods x 1 M steps at 10,000 a second: 3.75 hours.
    fast = [learning(10, 0.1, 10_000.0, method) for method in "abcdefghi"]
    projected = "paper grid: 15 tasks x 9 methods, 10 seeds, learning"
    assert verdicts(fast, "gpu")[projected] == "pass"
    for partly, platform in ((fast, "cpu"), (fast[1:], "gpu")):
        assert projected not in verdicts(partly, platform)
        assert verdicts(partly, platform)["paper grid on an accelerator"] == ""


def test_a_measurement_that_was_interrupted_is_left_out(tmp_path, monkeypatch):
    figures = [learning(1, 0.5, 100.0), {"kind": "learning", "method": "iql"}]
    benchmarks = [{"extra_info": f} for f in figures]
    file = tmp_path / "cpu.json"
    file.write_text(
        json.dumps({"datetime": "2026-01-01", "machine_info": MACHINE, "benchmarks": benchmarks})
    )
    monkeypatch.setattr(sys, "argv", ["report.py", str(file)])
    assert report.main() == 0
    assert "iql published, 1 seed" in file.with_suffix(".md").read_text()


def test_the_exponent_of_cost_is_that_of_the_line_through_the_points():
    points = [
        {"kind": "scaling", "axis": "seeds", "value": n, "seconds_per_update": 1e-3 * n**0.5}
        | {"memory_bytes": 1}
        for n in (1, 4, 16)
    ]
    assert "Seeds: exponent 0.50" in report.scaling("", points)
    assert report.scaling("", []) == ""


@pytest.mark.parametrize(("share", "status"), [(0.41, 0), (0.39, 1)])
def test_check_fails_below_half_of_a_target(tmp_path, monkeypatch, capsys, share, status):
    file = tmp_path / "cpu.json"
    benchmarks = [{"extra_info": learning(1, share, 100.0)}]
    facts = {"machine_info": MACHINE, "datetime": "2026-01-01T00:00", "benchmarks": benchmarks}
    file.write_text(json.dumps(facts))
    monkeypatch.setattr(sys, "argv", ["report.py", str(file), "--check"])
    assert report.main() == status
    assert "iql published, 1 seed" in capsys.readouterr().out
    assert (tmp_path / "cpu.md").read_text().startswith("2026-01-01; A processor, 2 cores")
