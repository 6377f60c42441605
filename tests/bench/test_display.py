"""What a run prints: on a terminal, elsewhere, and for machines."""

import io
import json
import time

from rich.console import Console

from bench import cli
from bench.display import Bars


def test_plain_output_has_one_short_line_for_each_part_and_no_control_codes():
    stream = io.StringIO()
    with Bars("cells", 45, Console(file=stream, width=80)) as bars:
        for name in ("halfcheetah-medium-replay/bc_10pct", "x"):
            bars.started(name)
        for name in ("halfcheetah-medium-replay/bc_10pct", "x"):
            bars.progress(name, 5, 10)
            bars.finished(name, "100.0 ± 10.0")
            bars.progress(name, 10, 10)  # late word
        bars.note("checkpoint [x] cannot be read")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("[ 1/45] halfcheetah-medium-replay/bc_10pct")
    assert "100.0 ± 10.0" in lines[0]
    assert lines[2] == "checkpoint [x] cannot be read"
    assert "\x1b" not in stream.getvalue()
    assert max(map(len, lines)) <= 80


def test_a_long_name_is_shortened_and_no_number_is():
    stream = io.StringIO()
    name = "me-a-name-that-says-all-of-a-dataset/onestep_reverse_kl"
    with Bars("cells", 12345, Console(file=stream, width=80)) as bars:
        for text in ("100.0 ± 10.0", "-1234567.8 ± 1234567.8"):
            bars.started(name)
            bars._parts[name] = bars._parts[name]._replace(start=time.monotonic() - 123456.0)
            bars.finished(name, text)
    for line, text in zip(
        stream.getvalue().splitlines(), ("100.0 ± 10.0", "-1234567.8 ± 1234567.8"), strict=True
    ):
        assert f" {text} 123456.0 s" in line
        assert "/12345] me-a-name-" in line
        assert "reverse_kl " in line
        assert len(line) <= 80


def test_bars_of_long_names_and_large_counts_fit_a_terminal_of_80_with_every_digit():
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, _environ={})
    name = "me-[bold]-a-name-that-says-all-of-a-dataset/onestep_reverse_kl"
    with Bars("cells", 3, console) as bars:
        bars.started(name)
        bars.progress(name, 0, 1_000_000)
        bars.progress(name, 999_000, 1_000_000)
        bars.scored(name, -1234.5)
        bars._progress.refresh()
        shown = stream.getvalue()
    assert "me-[bold]-a-nam...tep_reverse_kl" in shown
    assert "999000/1000000" in shown
    assert "-1234.5" in shown


def test_a_terminal_shows_what_runs_its_score_and_how_many_failed():
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, _environ={})
    with Bars("cells", 3, console) as bars:
        bars.started("hopper-medium/bc")
        bars.started("hopper-medium/iql")
        bars.failed("hopper-medium/iql", "hopper-medium/iql failed: out of memory")
        bars.progress("hopper-medium/bc", 5, 10)
        bars.scored("hopper-medium/bc", 41.27)
        bars._progress.refresh()
        shown = stream.getvalue()
    assert "cells, 1 running, 1 failed" in shown
    assert "41.3" in shown
    assert "5/10" in shown
    assert "hopper-medium/iql failed: out of memory" in shown


def test_json_lines_are_all_that_is_printed_and_tell_the_whole_run(datasets, tmp_path, capsys):
    arguments = ["grid", "--profile", "smoke", "--results", str(tmp_path), "--workers", "1"]
    arguments += ["--tasks", "hopper-medium", "--algorithms", "bc", "--json-lines"]
    assert cli.main(arguments) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == [
        *("start", "started", "scored", "progress", "scored", "progress", "finished", "end")
    ]
    assert events[0]["total"] == events[-1]["total"] == events[-1]["finished"] == 1
    assert events[-1]["failed"] == 0
    steps = [(e["done"], e["total"]) for e in events if e["event"] == "progress"]
    assert steps == [(100, 200), (200, 200)]
    assert {event["name"] for event in events if "name" in event} == {"hopper-medium/bc"}
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)
