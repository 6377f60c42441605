"""What a run prints where output is no terminal."""

import io

from rich.console import Console

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
