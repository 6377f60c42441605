"""Every number and every table that a page shows, read from the results and from the code.

A page calls what ``CALLS`` names. A name that is gone raises an error, which ends the build.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from algos.registry import ALGORITHMS, TABLE1, Entry
from bench import store
from bench.run.profiles import PROFILES
from envs.sources.registry import SOURCES
from envs.tasks import FAMILIES
from tests.helpers import reference

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
RUN = ("quick", "cpu")  # profiles with committed results

# Files outside this folder that are pages, by the page that shows them.
PAGES = {
    "CHANGELOG.md": "/changelog.md",
    "CONTRIBUTING.md": "/contributing.md",
    "results/FINDINGS.md": "/findings.md",
    "results/LOG.md": "/log.md",
}


def fill(page: str) -> str:
    """A page with its calls carried out.

    Args:
        page: a template (Jinja) in Markdown.

    Raises:
        Exception: whatever a call raises whose task, method, module or file is gone.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(page).render(CALLS)


def text(path: str, section: str = "", level: int = 0) -> str:
    """A Markdown file of the repository.

    Args:
        path: the file, from the repository's root.
        section: the heading whose text is wanted, without the heading itself; all by default.
        level: how much deeper its headings are to be.
    """
    written = (ROOT / path).read_text()
    if section:
        (written,) = re.findall(
            rf"^## {section}\n(.*?)(?=^## |\Z)", written, re.DOTALL | re.MULTILINE
        )
    written = re.sub("^#", "#" * (level + 1), written, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)", _link, written)


def _link(link: re.Match[str]) -> str:
    """A link to a page of the site, or the plain name of a file that is none."""
    label, target = link.groups()
    return f"[{label}]({PAGES[target]})" if target in PAGES else f"`{target}`"


@functools.cache
def scores(profile: str) -> pd.DataFrame:
    """The committed means of a profile, one row for each task and method."""
    return pd.read_csv(RESULTS / "regenerated" / profile / "table1.csv")


@functools.cache
def provenance(profile: str) -> dict[str, Any]:
    """The provenance of each committed cell, by ``task/method``."""
    return store.read_provenance(RESULTS / "regenerated" / profile / "provenance.json")


@functools.cache
def audits(profile: str) -> dict[str, Any]:
    """The facts of each task's data, by the task's name."""
    path = RESULTS / "regenerated" / profile / "audit.json"
    return {facts["task"]: facts for facts in json.loads(path.read_text()).values()}


def score(profile: str, algorithm: str, *names: str) -> str:
    """The mean of a method over tasks, or over the tasks of a family, as a whole number."""
    return f"{_mean(profile, algorithm, *names):.0f}"


def _mean(profile: str, algorithm: str, *names: str, column: str = "mean") -> float:
    rows = scores(profile)
    for name in names:
        if not (rows["task"].eq(name) | rows["family"].eq(name)).any():
            raise ValueError(f"no scores on {name} in profile {profile}")
    wanted = rows["task"].isin(names) | rows["family"].isin(names)
    found = rows[wanted & rows["algorithm"].eq(algorithm)]
    if found.empty:
        raise ValueError(f"no scores of {algorithm} in profile {profile}")
    return float(found[column].mean(skipna=False))


def table(profile: str) -> str:
    """The whole committed table."""
    return (RESULTS / "regenerated" / profile / "table1.md").read_text()


def averages(profile: str) -> str:
    """The averages of each family in the committed table."""
    return reference.averages(RESULTS / "regenerated" / profile / "table1.md")


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


def _columns(module: str, among: dict[str, Entry]) -> dict[str, Entry]:
    """The columns that a method's file makes."""
    name = f"algos.{module}"
    found = {key: entry for key, entry in among.items() if entry.make.__module__ == name}
    if not found:
        raise ValueError(f"no column of the table comes from {name}")
    return found


def docstring(module: str, part: str = "") -> str:
    """The docstring of a module in parts.

    Args:
        module: such as ``envs.sources.d4rl``.
        part: ``Source`` or ``Departures`` for the paragraph of that name; all by default.
    """
    written = inspect.getdoc(_module(module)) or ""
    if part:
        found = [x for x in written.split("\n\n") if re.match(rf"{part}s?: ", x)]
        if len(found) != 1:
            raise ValueError(f"{module} has {len(found)} paragraphs {part!r} in its docstring")
        written = found[0].partition(": ")[2]
        if "/" not in written.split()[0]:  # the name of a repository stays as it is
            written = written[0].upper() + written[1:]
    written = re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", written)
    return written.replace("|", r"\|")


def methods() -> str:
    """The columns of the table: side, paper, and what each one knows at evaluation."""
    rows = [
        (
            f"[{e.title}](/methods/{e.make.__module__.rpartition('.')[2]}.md)",
            e.style,
            e.told,
            _paper(e),
        )
        for e in TABLE1.values()
    ]
    return _markdown(("column", "side", "told at evaluation", "paper"), rows)


def variants(module: str) -> str:
    """The variants of a method's file, which run when they are named."""
    rows = [
        (f"`{key}`", entry.title, _paper(entry))
        for key, entry in _columns(module, ALGORITHMS).items()
        if key not in TABLE1
    ]
    return _markdown(("name", "what", "source"), rows) if rows else "There are none."


def _paper(entry: Entry) -> str:
    return re.sub(r"arXiv:(\S+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", entry.paper)


def settings(module: str) -> str:
    """A method's settings: published, and those of the committed tables."""
    method = _module(f"algos.{module}")
    published = {
        family: dataclasses.asdict(method.CONFIGS.get(family, method.Config()))
        for family in (name for name, facts in FAMILIES.items() if facts.in_post)
    }
    first, *others = _columns(module, TABLE1)
    run = {
        (profile, family): _config(profile, family, first) for profile in RUN for family in FAMILIES
    }
    for config in run.values():
        if config.keys() != published["locomotion"].keys():
            raise ValueError(f"the settings of {module} in the results are not those in the code")
    described = _described(method.Config)
    meanings = [(f"`{name}`", described[name]) for name in published["locomotion"]]
    columns = [*published.values(), *run.values()]
    heads = [*(f"published, {f}" for f in published), *(f"{p}, {f}" for p, f in run)]
    rows = [
        (f"`{name}`", *(_value(column[name]) for column in columns))
        for name in published["locomotion"]
    ]
    return "\n\n".join(
        (
            _markdown(("setting", "meaning"), meanings),
            f"The values are those of {TABLE1[first].title}.",
            _markdown(("setting", *heads), rows),
            *(_difference(run, first, other) for other in others),
        )
    )


def _difference(run: Iterable[tuple[str, str]], first: str, other: str) -> str:
    """The settings in which another column of the same file differs from the first one."""
    changes = set()
    for place in run:
        ours, theirs = _config(*place, first), _config(*place, other)
        changes.add(
            tuple((name, _value(theirs[name])) for name in ours if ours[name] != theirs[name])
        )
    if len(changes) != 1:
        raise ValueError(f"{other} differs from {first} in {len(changes)} ways")
    listed = ", ".join(f"`{name}` {value}" for name, value in changes.pop())
    return f"{TABLE1[other].title} has in their place: {listed}."


def _config(profile: str, family: str, algorithm: str) -> dict[str, Any]:
    """The settings of a method's committed cells in a family, which are the same for all tasks."""
    cells = provenance(profile).values()
    wanted = [
        c["config"] for c in cells if c["task"]["family"] == family and c["algorithm"] == algorithm
    ]
    if not wanted or any(config != wanted[0] for config in wanted):
        raise ValueError(f"{algorithm} has no settings, or several, on {family} in {profile}")
    return dict(wanted[0])


def _described(config: type) -> dict[str, str]:
    """The meaning of each field, from the docstrings of a ``Config`` and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        for name, words in re.findall(
            r"^    (\w+): (.*(?:\n      .*)*)", inspect.getdoc(base) or "", re.MULTILINE
        ):
            found[name] = " ".join(words.split())
    return found


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (list, tuple)):
        return " x ".join(str(part) for part in value)
    if isinstance(value, float) and 0 < abs(value) < 0.001:
        mantissa, _, exponent = (
            f"{value:.15g}".partition("e")
            if "e" in f"{value:g}"
            else (f"{value * 1e4:g}", "", "-4")
        )
        return f"{mantissa}e{int(exponent)}"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def results(module: str) -> str:
    """The committed scores of a method's columns, task by task."""
    columns = _columns(module, TABLE1)
    heads = ["task", *(f"{e.title}, {p}" for e in columns.values() for p in RUN)]
    heads += [f"{e.title}, published" for e in columns.values()]
    rows = []
    for family in FAMILIES:
        names = scores("cpu").query("family == @family")["task"].unique().tolist()
        for name in names:
            rows.append((name, *_scores_of(columns, [name])))
        rows.append(
            (f"**{family}**", *(f"**{x}**" if x else "" for x in _scores_of(columns, names)))
        )
    return _markdown(heads, rows)


def _scores_of(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    ours = [_mean(profile, key, *names) for key in columns for profile in RUN]
    theirs = [_mean("cpu", key, *names, column="published") for key in columns]
    return [f"{value:.1f}" if value == value else "" for value in [*ours, *theirs]]


def profiles() -> str:
    """The purpose of each profile and the sizes of its cells."""
    rows = []
    for name, profile in PROFILES.items():
        for family, size in profile.sizes.items():
            rows.append(
                (
                    f"`{name}`",
                    family,
                    profile.num_seeds,
                    f"{100 * size.scale:g} %",
                    _value(size.num_steps) if size.num_steps else "published",
                    _value(size.batch_size) if size.batch_size else "published",
                    _value(size.hidden_dims) if size.hidden_dims else "published",
                    size.num_evaluations,
                    size.num_episodes,
                )
            )
    heads = (
        "profile",
        "family",
        "seeds",
        "rows",
        "steps",
        "batch",
        "widths",
        "evaluations",
        "episodes",
    )
    return _markdown(heads, rows)


def purposes() -> str:
    """The purpose of each profile."""
    return _markdown(("profile", "purpose"), [(f"`{k}`", v.purpose) for k, v in PROFILES.items()])


def tasks() -> str:
    """The tasks of the committed table: environment, rows and reference returns."""
    cells = {cell["task"]["name"]: cell for cell in provenance("cpu").values()}
    rows = [
        (
            name,
            cell["task"]["family"],
            cell["environment"],
            _value(cell["task"]["num_rows"]),
            *(f"{value:,.1f}" for value in cell["task"]["reference_returns"]),
        )
        for name, cell in cells.items()
    ]
    heads = (
        "task",
        "family",
        "environment",
        "D4RL's rows",
        "return of score 0",
        "return of score 100",
    )
    return _markdown(heads, rows)


def sources() -> str:
    """The sources of data, and for how many tasks each one has data."""
    rows = [
        (f"`{name}`", source.version or "its own", len(source.tasks))
        for name, source in SOURCES.items()
    ]
    return _markdown(("source", "gymnasium's version", "tasks"), rows)


def data(profile: str) -> str:
    """The data that the committed results of a profile were learned from."""
    order = dict.fromkeys(cell["task"]["name"] for cell in provenance(profile).values())
    rows = [
        (
            name,
            _value(facts["rows"]),
            _value(facts["episodes"]),
            f"{facts['scores']['mean']:.1f}",
            f"{facts['scores']['100%']:.1f}",
            f"`{facts['provenance']['hash'][:8]}`",
        )
        for name in order
        for facts in [audits(profile)[name]]
    ]
    return _markdown(("task", "rows", "episodes", "mean score", "best score", "hash"), rows)


def versions(profile: str) -> str:
    """The packages that the committed cells ran on."""
    found = {json.dumps(cell["versions"], sort_keys=True) for cell in provenance(profile).values()}
    if len(found) != 1:
        raise ValueError(f"the cells of {profile} ran on {len(found)} sets of versions")
    return _markdown(("package", "version"), list(json.loads(found.pop()).items()))


def modules(package: str, without: str = " ") -> str:
    """Directives that describe every module of a package, with its public names.

    Args:
        package: such as ``algos``.
        without: the start of the names that are left out.
    """
    names = [package]
    names += [m.name for m in pkgutil.walk_packages(_module(package).__path__, f"{package}.")]
    wanted = [
        name
        for name in names
        if not name.rpartition(".")[2].startswith("_") and not name.startswith(without)
    ]
    parts = [f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n```" for name in wanted]
    return "\n\n".join(parts)


def gallery() -> str:
    """The committed pictures of where episodes went."""
    parts = []
    for path in sorted((RESULTS / "figures").glob("*.svg")):
        profile, _, task = path.stem.partition("-")
        shown = f"../results/figures/{path.name}"
        parts.append(
            f"### {task}, profile {profile}\n\n![Where each method goes in {task}]({shown})"
        )
    return "\n\n".join(parts)


def draw(folder: Path) -> None:
    """Write a picture of the learning curves of each method's file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(RESULTS / "regenerated" / "cpu" / "scores.csv")
    cells = {cell["task"]["name"]: cell["task"] for cell in provenance("cpu").values()}
    low = rows["task"].map({name: task["reference_returns"][0] for name, task in cells.items()})
    high = rows["task"].map({name: task["reference_returns"][1] for name, task in cells.items()})
    rows["score"] = 100 * (rows["return"] - low) / (high - low)
    rows["family"] = rows["task"].map({name: task["family"] for name, task in cells.items()})
    curves = rows.groupby(["family", "algorithm", "step"])["score"].mean()
    for module in dict.fromkeys(entry.make.__module__ for entry in TABLE1.values()):
        figure = _curves(curves, _columns(module.rpartition(".")[2], TABLE1))
        with mpl.rc_context({"svg.hashsalt": "rl-or-bc", "svg.fonttype": "none"}):
            figure.savefig(folder / f"{module.rpartition('.')[2]}.svg", metadata={"Date": None})


def _curves(curves: pd.Series, columns: dict[str, Entry]) -> Figure:
    """Means over the tasks of a family as training goes on; the other methods are grey."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    for axis, family in zip(figure.subplots(1, len(FAMILIES), sharey=True), FAMILIES, strict=True):
        for key in sorted(TABLE1, key=columns.__contains__):
            curve = curves[family, key]
            colour = f"C{list(columns).index(key)}" if key in columns else "#d1d5db"
            label = columns[key].title if key in columns else None
            axis.plot(curve.index, curve, ".-", color=colour, label=label)
        axis.set_title(family, loc="left", fontsize=10)
        axis.set_xlabel("steps")
        axis.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("normalized score")
    figure.axes[0].legend(frameon=False)
    return figure


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown; columns of numbers are set to the right."""
    numbers = [
        all(re.match(r"\W*(\d|$)", str(cell)) for cell in column)
        for column in zip(*rows, strict=True)
    ]
    lines = [heads, ["---:" if right else "---" for right in numbers], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


CALLS = {
    call.__name__: call
    for call in (
        averages,
        data,
        docstring,
        gallery,
        methods,
        modules,
        profiles,
        purposes,
        results,
        score,
        settings,
        sources,
        table,
        tasks,
        text,
        variants,
        versions,
    )
}
