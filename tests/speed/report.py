"""What the speed suite measured beside its targets: a table here, and one in Markdown beside FILE.

How the cost of an update grows with seeds, width, batch and rows goes into ``SCALING.md`` there.

``python tests/speed/report.py results/bench/FILE.json`` reads what ``pytest tests/speed -m speed
--benchmark-json`` wrote. With ``--check`` it exits 1 where a figure reaches less than half of its
target: ratios alone are held to that, for times depend on the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

Figures = dict[str, Any]  # one benchmark's extra_info

SHARES = {"iql": 0.80, "td3_bc": 0.80}  # of the peak, at published size, one seed
CQL_SHARE, CQL_UPDATES = 0.70, 25.0  # either will do
FIVE_SEEDS = {"published": 4.5, "quick": 4.0}  # times of one seed, on a CPU
TEN_SEEDS = 1.5  # times of one seed, on an accelerator, which one seed leaves idle
EVALUATION_RATIO = 4.0
NUM_TASKS, NUM_METHODS, PAPER_HOURS = (
    15,
    9,
    8.0,
)  # of the whole grid in profile paper, on one accelerator
_ENDS = {"updates_per_second", "not_run"}  # of a measurement that came to its end, one of them
CHECKED_SHARE = 0.5  # of a target, which --check asks for

COLUMNS = ("what", "figure", "target", "ratio", "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: is measured.
        figure: as shown.
        target: as shown; empty if there is none.
        reached: share of the target, 1 or more where it is met; None if there is none.
        checked: the same without figures that depend on the machine's speed; None as above.
    """

    what: str
    figure: str
    target: str = ""
    reached: float | None = None
    checked: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands in ``COLUMNS``."""
        if self.reached is None:
            return self.what, self.figure, self.target, "", ""
        verdict = "pass" if self.reached >= 1.0 else "short"
        return self.what, self.figure, self.target, f"{self.reached:.2f}", verdict


def versus(what: str, times: float, unit: str, *, least: float = 0.0, most: float = 0.0) -> Row:
    """One ``unit`` as ``times`` another, which should be ``least`` or more, or ``most`` or less."""
    reached = times / least if least else most / times
    return Row(
        what=what,
        figure=f"{times:.2f}x the {unit}",
        target=f">= {least:g}" if least else f"<= {most:g}",
        reached=reached,
        checked=reached,
    )


def rows(benchmarks: list[Figures], platform: str) -> Iterator[Row]:
    """The table: learning, then evaluation, then start."""
    learning = {
        (f["method"], f["size"], f["seeds"]): f for f in benchmarks if f["kind"] == "learning"
    }
    for key, figures in learning.items():
        yield _learning(*key, figures, held=platform == "cpu")
    for (method, size, seeds), many in learning.items():
        one = learning.get((method, size, 1))
        if one is None or {"not_run"} & (one.keys() | many.keys()):
            continue
        cost = one["updates_per_second"] / many["updates_per_second"]
        if platform == "cpu" and seeds == 5:
            yield versus(f"{method} {size}, 5 seeds / 1", cost, "time", most=FIVE_SEEDS[size])
        if platform != "cpu" and seeds == 10:
            yield versus(f"{method} {size}, 10 seeds / 1", cost, "time", most=TEN_SEEDS)
    ten = [f for (_, size, seeds), f in learning.items() if size == "published" and seeds == 10]
    ten = [f for f in ten if "not_run" not in f]
    if platform != "cpu" and len(ten) == NUM_METHODS:
        hours = NUM_TASKS * sum(f["num_steps"] / f["updates_per_second"] for f in ten) / 3600
        what = f"paper grid: {NUM_TASKS} tasks x {NUM_METHODS} methods, 10 seeds, learning"
        yield Row(
            what=what,
            figure=f"{hours:.1f} h",
            target=f"<= {PAPER_HOURS:g} h",
            reached=PAPER_HOURS / hours,
        )
    else:
        yield Row(
            what="paper grid on an accelerator",
            figure="not measured",
            target=f"<= {PAPER_HOURS:g} h",
        )
    for figures in benchmarks:
        if figures["kind"] == "evaluation":
            what = f"{figures['task']} / gymnasium"
            yield versus(what, figures["ratio"], "steps/s", least=EVALUATION_RATIO)
            alone = figures["ratio"] / figures["physics_share"]
            yield Row(what=f"{figures['task']}, physics alone", figure=f"{alone:.2f}x the steps/s")
        if figures["kind"] == "start":
            yield Row(what="first command to result", figure=f"{figures['cold_seconds']:.1f} s")
            yield Row(what="second command to result", figure=f"{figures['warm_seconds']:.1f} s")
            compiled = figures["compiled_again"]
            none = float(compiled == 0)
            yield Row(
                what="compiled by the second",
                figure=f"{compiled} of {figures['compiled_first']}",
                target="0",
                reached=none,
                checked=none,
            )


def _learning(method: str, size: str, seeds: int, figures: Figures, *, held: bool) -> Row:
    """The row of one measurement; ``held`` to a share of the peak, as one seed on a CPU is."""
    what = f"{method} {size}, {seeds} seed{'s' * (seeds > 1)}"
    if "not_run" in figures:
        return Row(what=what, figure="too large")
    updates, share = figures["updates_per_second"], figures["share_of_peak"]
    shown = Row(what=what, figure=f"{_digits(updates)}/s, {share:.2f} of peak")
    if size != "published" or seeds != 1 or not held:
        return shown
    if method in SHARES:
        reached = share / SHARES[method]
        return dataclasses.replace(
            shown, target=f">= {SHARES[method]:.2f}", reached=reached, checked=reached
        )
    if method == "cql":
        relative = share / CQL_SHARE
        return dataclasses.replace(
            shown,
            target=f"{CQL_UPDATES:g}/s or {CQL_SHARE:.2f}",
            reached=max(relative, updates / CQL_UPDATES),
            checked=relative,
        )
    return shown


def header(report: dict[str, Any]) -> str:
    """When, and on what, in one line."""
    machine = report["machine_info"]
    cpu, device = machine["cpu"], machine["jax"]
    parts = [
        report["datetime"][:10],
        f"{cpu.get('brand_raw', machine['processor'])}, {cpu['count']} cores",
        f"JAX {device['version']} on {device['device']}",
    ]
    return "; ".join(parts)


def markdown(title: str, table: list[Row], benchmarks: list[Figures]) -> str:
    """The table, and every figure of every benchmark."""
    lines = [title, "", "| " + " | ".join(COLUMNS) + " |", "|---|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in table]
    for kind in dict.fromkeys(f["kind"] for f in benchmarks):
        of_kind = [{k: v for k, v in f.items() if k != "kind"} for f in benchmarks]
        of_kind = [f for f, whole in zip(of_kind, benchmarks, strict=True) if whole["kind"] == kind]
        names = list(dict.fromkeys(name for figures in of_kind for name in figures))
        lines += ["", f"## All figures: {kind}", "", "| " + " | ".join(names) + " |"]
        lines += ["|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_show(f.get(n, "")) for n in names) + " |" for f in of_kind]
    return "\n".join(lines) + "\n"


SCALING = """# How cost grows

{title}.

One axis at a time, from the quick profile's size: IQL, 3 seeds, 2 x 64, batch 64, 80,000
rows of 17 observations and 6 actions. The exponent is that of the line through the points on
doubly logarithmic axes: 0 costs nothing more, 1 is in proportion. Memory is that of a running
program: data, states and what it works with.

Tasks and methods add up: cells share nothing but their data and compiled programs, so cost is in
proportion to their number, divided by the cells that run side by side. Memory ends where rows or
seeds end it: a float32 row of this task takes {row_bytes} bytes, so that D4RL's 2,000,000 rows take
{paper_gigabytes:.2f} GB, once per device however many seeds there are.
"""


def scaling(title: str, benchmarks: list[Figures]) -> str:
    """Points, and the line through them, for each axis; empty if nothing was measured."""
    points = [f for f in benchmarks if f["kind"] == "scaling"]
    if not points:
        return ""
    row_bytes = 4 * (17 + 6 + 1 + 1 + 17)  # observations, actions, reward, termination, next
    text = SCALING.format(title=title, row_bytes=row_bytes, paper_gigabytes=2e6 * row_bytes / 1e9)
    for axis in dict.fromkeys(f["axis"] for f in points):
        on_axis = [f for f in points if f["axis"] == axis]
        values, seconds = ([f[key] for f in on_axis] for key in ("value", "seconds_per_update"))
        exponent, _ = np.polyfit(np.log(values), np.log(seconds), 1)
        text += f"\n## {axis.capitalize()}: exponent {exponent:.2f}\n\n"
        text += f"| {axis} | ms an update | times the first | MB |\n|---:|---:|---:|---:|\n"
        for f in on_axis:
            milliseconds, megabytes = f["seconds_per_update"] * 1e3, f["memory_bytes"] / 1e6
            times = f["seconds_per_update"] / seconds[0]
            text += f"| {f['value']:,} | {milliseconds:.3f} | {times:.2f} | {megabytes:.1f} |\n"
    return text


def _show(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return _digits(value) if isinstance(value, float) else str(value)


def _digits(value: float) -> str:
    """Three digits, or all of those before the point."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def main() -> int:
    """Print and write the report; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("--check", action="store_true", help="exit 1 below half of a target")
    arguments = parser.parse_args()
    report = json.loads(arguments.file.read_text())
    benchmarks = [benchmark["extra_info"] for benchmark in report["benchmarks"]]
    # An interrupt leaves the measurement that it hit without its figures.
    benchmarks = [f for f in benchmarks if f["kind"] != "learning" or _ENDS & f.keys()]
    platform = report["machine_info"]["jax"]["platform"]
    table, title = list(rows(benchmarks, platform)), header(report)

    console = Console()
    console.print(title, highlight=False)
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in (COLUMNS[0], COLUMNS[-1]) else "right")
    for row in table:
        shown.add_row(*row.cells)
    console.print(shown)
    arguments.file.with_suffix(".md").write_text(markdown(title, table, benchmarks))
    if grown := scaling(title, benchmarks):
        (arguments.file.parent / "SCALING.md").write_text(grown)

    if not arguments.check:
        return 0
    checked = {row.what: row.checked for row in table if row.checked is not None}
    failed = [what for what, reached in checked.items() if reached < CHECKED_SHARE]
    for what in failed:
        console.print(f"below {CHECKED_SHARE:g} of its target: {what}", highlight=False)
    if not checked:
        console.print("nothing was measured that has a target")
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
