"""Pictures of results, drawn by matplotlib: the same bytes for the same numbers. Imports no JAX.

Each is small enough to be read at the width of a phone, and its text stays text. Imitation has
cool colours and offline RL warm ones, everywhere.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from bench.report import headless  # noqa: F401

# isort: split
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from bench.report.scores import Column, Panel
from bench.report.text import escape_html
from envs.spaces import Array
from envs.text import printable
from envs.worlds.maps import CELL_SIZE, MAPS, Waypoints, cell_to_xy, find_cells

INK, FAINT, GRID = "#1f2937", "#5b6472", "#e3e7ed"
SIDES = {"imitation": "#0369a1", "offline RL": "#ea580c"}
TINT = "#fff3e6"  # behind offline RL, as in the page's tables
COLOURS = {
    "imitation": ("#5b6472", "#0369a1", "#0d9488", "#7c3aed", "#2563eb", "#60a5fa"),
    "offline RL": ("#ea580c", "#b91c1c", "#d97706"),
}
LONGEST_LABEL = 32  # characters; the plot would have no room beside a longer one
DASHES = ("", "6 2", "2 2", "8 2 2 2")

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    # Titles come from files: they are shown as they are, and never read as formulas.
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rl-or-bc",
    "path.simplify": False,
}


@contextlib.contextmanager
def _style(more: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Draw in our style alone, whatever a ``matplotlibrc`` of the user or the folder says."""
    with mpl.rc_context(), warnings.catch_warnings():
        # The font lacks some scripts. In a page the browser has another one for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | dict(more or {}))
        yield


class Point(NamedTuple):
    """A method's score on a family of tasks.

    Attributes:
        column: the method.
        mean: ours.
        low: lower end of its interval; infinite, and not drawn, where there is none.
        high: upper end of it.
        published: mean of published scores, or None.
    """

    column: Column
    mean: float
    low: float
    high: float
    published: float | None


class Line(NamedTuple):
    """A method's curve with a band; ``x``, ``y``, ``low`` and ``high`` are ``[K]``."""

    algorithm: str
    look: Look
    x: Array
    y: Array
    low: Array
    high: Array


class Look(NamedTuple):
    """The look of a method: its colour, and dashes in SVG's form."""

    colour: str
    dashes: str


def looks(columns: dict[str, Column]) -> dict[str, Look]:
    """A look for each method; those of one side share a range of colours."""
    given: dict[str, Look] = {}
    for style in dict.fromkeys(column.style for column in columns.values()):
        endless = cycle([(colour, dashes) for dashes in DASHES for colour in COLOURS[style]])
        names = [name for name, column in columns.items() if column.style == style]
        given |= {name: Look(*look) for name, look in zip(names, endless, strict=False)}
    return given


def dichotomy(panels: Mapping[str, Sequence[Point]], *, key: bool = False) -> Figure:
    """Mean scores of the two sides, a panel for each family of tasks.

    Args:
        panels: family -> its methods in the table's order.
        key: say what the marks are, where no text around the picture does.
    """
    with _style():
        tallest = max(len(points) for points in panels.values())
        figure = Figure(
            figsize=(4.2 * len(panels), 0.9 + 0.3 * key + 0.31 * tallest), layout="constrained"
        )
        every = [
            value for points in panels.values() for point in points for value in _values(point)
        ]
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (family, points) in zip(axes, panels.items(), strict=True):
            _draw_points(axis, points)
            axis.set_title(_label(family))
            axis.set_xlim(min(-5.0, min(every) - 4.0), max(100.0, *every) + 3.0)
            axis.set_xlabel("normalized score")
        if key:
            marks = [
                Line2D([], [], marker="o", linewidth=2.2, color=colour, label=side)
                for side, colour in SIDES.items()
            ]
            hollow: Any = {"marker": "D", "mfc": "white", "color": FAINT, "linestyle": "none"}
            marks.append(Line2D([], [], label="published, on D4RL's own files", **hollow))
            figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _values(point: Point) -> Iterable[float]:
    published = () if point.published is None else (point.published,)
    interval = (point.low, point.high) if np.isfinite(point.low) else ()
    return (point.mean, *interval, *published)


def _draw_points(axis: Axes, points: Sequence[Point]) -> None:
    for height, point in enumerate(points):
        shade = SIDES.get(point.column.style, FAINT)
        if point.column.style == "offline RL":
            axis.axhspan(height - 0.5, height + 0.5, color=TINT, linewidth=0, zorder=0)
        if np.isfinite(point.low):
            ends = [point.low, point.high]
            axis.plot(
                ends, [height] * 2, color=shade, linewidth=2.2, zorder=3, solid_capstyle="butt"
            )
        axis.plot(
            [0, point.mean],
            [height] * 2,
            color=shade,
            linewidth=9,
            alpha=0.18,
            zorder=2,
            solid_capstyle="butt",
        )
        axis.plot(point.mean, height, "o", color=shade, markersize=6, zorder=4)
        if point.published is not None:
            axis.plot(
                point.published, height, "D", color=FAINT, markersize=5, mfc="white", zorder=3
            )
    axis.set_yticks(range(len(points)), [_label(point.column.title) for point in points])
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.set_ylim(len(points) - 0.5, -0.5)
    axis.grid(axis="x", linewidth=0.8)
    axis.spines["left"].set_visible(False)


def curves(
    title: str,
    lines: Sequence[Line],
    labels: tuple[str, str],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Curves with bands in one panel.

    Args:
        title: heads the panel.
        lines: what is drawn, the first at the back.
        labels: what x and y are.
        limits: ends of the y axis; those of the data unless given.
    """
    with _style():
        figure = Figure(figsize=(4.0, 2.7), layout="constrained")
        axis = figure.subplots()
        for number, line in enumerate(lines):
            dashes = [float(length) / 2 for length in line.look.dashes.split()]
            style = (0, tuple(dashes)) if dashes else "solid"
            axis.fill_between(
                line.x,
                line.low,
                line.high,
                color=line.look.colour,
                alpha=0.08,
                linewidth=0,
                gid=f"band-{number}",
            )
            (drawn,) = axis.plot(
                line.x, line.y, color=line.look.colour, linestyle=style, linewidth=1.6
            )
            drawn.set_gid(f"line-{number}")
        axis.set_title(_label(title))
        axis.set_xlabel(labels[0])
        axis.set_ylabel(labels[1])
        axis.grid(linewidth=0.8)
        axis.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        axis.margins(x=0.02)
        axis.set_ylim(limits)
    return figure


def tracks(maze: str, panels: Sequence[Panel]) -> Figure:
    """A map of the maze for each method, with the tracks of its episodes.

    Dotted is the shortest way; goals lie within the square; an episode whose end is hollow did not
    get there.

    Args:
        maze: a key of ``envs.worlds.maze.MAPS``.
        panels: one for each method.
    """
    rows, columns = len(MAPS[maze]), len(MAPS[maze][0])
    goal = cell_to_xy(find_cells(maze, "G")[0])
    way = Waypoints(maze).way(np.zeros(2), goal + 0.75)
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    with _style():
        size = (2.6 * across, (2.6 * rows / columns + 0.35) * down)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).flat
        for axis, panel in zip(axes, panels, strict=False):
            colour = SIDES[panel.column.style]
            axis.set_title(f"{_label(panel.column.title)} {panel.text}", color=colour)
            corners = cell_to_xy(find_cells(maze, "1")) - CELL_SIZE / 2
            walls = Path.make_compound_path(*(_square(*xy) for xy in corners))
            axis.add_patch(PathPatch(walls, facecolor=GRID, edgecolor=GRID))
            axis.add_patch(Rectangle(tuple(goal), 1.5, 1.5, facecolor=TINT, edgecolor="#d97706"))
            axis.plot(way[:, 0], way[:, 1], ":", color=FAINT, linewidth=1.0)
            for path, reached in panel.paths:
                axis.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.9, alpha=0.8)
                fill = colour if reached else "white"
                axis.plot(*path[-1], "o", markersize=4.0, color=colour, mfc=fill)
            axis.set_xlim(-1.5 * CELL_SIZE, (columns - 1.5) * CELL_SIZE)
            axis.set_ylim((rows - 1.5) * CELL_SIZE, -1.5 * CELL_SIZE)
            axis.set_aspect("equal")
        for axis in figure.axes:
            axis.set_axis_off()
    return figure


def _square(x: float, y: float) -> Path:
    """A cell of a maze from its corner."""
    return Path(
        np.array(
            [(x, y), (x + CELL_SIZE, y), (x + CELL_SIZE, y + CELL_SIZE), (x, y + CELL_SIZE), (x, y)]
        ),
        closed=True,
    )


def svg(figure: Figure, name: str) -> str:
    """The figure as SVG, the same for the same figure; ``name`` sets its ids apart from others."""
    buffer = io.StringIO()
    with _style({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Names of groups, which nothing refers to and which are alike in all figures.
    text = re.sub(r' id="[a-zA-Z][\w.]*_\d+"', "", text)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', _shorter, text)
    return "\n".join(line.rstrip() for line in text[text.index("<svg") :].splitlines()) + "\n"


def _shorter(attribute: re.Match[str]) -> str:
    """Places to a hundredth of a point, and no space that separates nothing."""
    text = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 2):g}", attribute[0])
    return re.sub(r"\s*([MLCQz])\s*", r"\1", text) if text.startswith(" d=") else text


def inline(figure: Figure, name: str, label: str) -> str:
    """The figure as SVG to stand in a page, as wide as there is room; ``label`` is read aloud.

    A colour is a variable of the page, which has other ones in the dark, and lines and bands are
    numbered by ``data-line`` and ``data-band``.
    """
    text = svg(figure, name)
    text = re.sub(r' style="[^"]*"', _with_variables, text)
    text = re.sub(r' id="(line|band)-(\d+)"', r' data-\1="\2"', text)
    attributes = f'<svg role="img" aria-label="{escape_html(label)}" '
    text = re.sub(r'(<svg [^>]*?)width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", attributes, 1)


def _with_variables(style: re.Match[str]) -> str:
    return re.sub(r"#([0-9a-f]{6})\b", r"var(--c\1, #\1)", style[0])


def png(figure: Figure) -> bytes:
    """The figure as PNG at twice a screen's resolution, the same for the same figure."""
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def _label(name: str) -> str:
    """``name`` as a picture has room for it."""
    line = printable(name)
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 3]}..."
