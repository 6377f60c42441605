"""Which of the project's files made a cell's numbers, by what they import.

A change of the code does not rename a cell, for most changes move no number; but a cell of other
code than today's is said to be one. Only the files that its method, its environment and the reader
of its data really import count, so that a new method or a new task touches no other cell.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from algos.registry import get_algorithm
from bench.run.plan import Cell
from envs.environment import Environment
from envs.sources.registry import get_source

FILE = "code.json"  # in a group's folder: path -> SHA-256

_ROOT = Path(__file__).parent.parent.parent
_FOLLOWED = ("algos", "bench.run", "envs")
_HARNESS = ("bench.run.train", "bench.run.evaluate")
# Tables of methods, settings and tasks. What they say of a cell is in its identity.
_TABLES = (
    *("algos.entry", "algos.outside", "algos.registry", "algos.settings"),
    *("envs.families", "envs.family", "envs.recipes", "envs.sources.registry", "envs.tasks"),
)


def files_of(cell: Cell, lanes: Environment) -> dict[str, str]:
    """The files that make the cell's numbers, with their SHA-256.

    Args:
        cell: planned.
        lanes: the environment that scores it.
    """
    method = get_algorithm(cell.algorithm)
    reader = get_source(cell.settings.source).place.partition(":")[0]
    roots = {method.make.__module__, reader, type(lanes).__module__, *_HARNESS}
    outside = {} if _files(method.make.__module__) else {str(method.source): method.source}
    for path in outside.values():  # a user's method counts too, with what it takes from here
        roots |= _imports(path.read_text())
    ours = {path for module in closure(roots) for path in _files(module)}
    named = {path.relative_to(_ROOT).as_posix(): path for path in sorted(ours)} | outside
    return {name: _digest(path) for name, path in named.items()}


def is_todays(files: Mapping[str, str]) -> bool:
    """True if all of ``files`` are as they were."""
    return all(
        (_ROOT / name).is_file() and _digest(_ROOT / name) == digest
        for name, digest in files.items()
    )


def digest_of(files: Mapping[str, str]) -> str:
    """One SHA-256 of them all."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def closure(roots: Iterable[str]) -> set[str]:
    """The project's modules that ``roots`` import, and those that these import, and so on."""
    modules: set[str] = set()
    todo = list(roots)
    while todo:
        module = todo.pop()
        followed = any(module == name or module.startswith(f"{name}.") for name in _FOLLOWED)
        if not followed or module in modules or _is_table(module) or not _files(module):
            continue
        modules.add(module)
        todo += [name for path in _files(module) for name in _imports(path.read_text())]
    return modules


def _is_table(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _TABLES)


def _files(module: str) -> list[Path]:
    """The module's file, and those of the packages that it is in; none where it is no module."""
    parts = module.split(".")
    place = _ROOT.joinpath(*parts)
    own = next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)
    if own is None:
        return []
    packages = [_ROOT.joinpath(*parts[:i]) / "__init__.py" for i in range(1, len(parts))]
    return [own, *packages]


@functools.lru_cache(maxsize=1024)
def _imports(source: str) -> frozenset[str]:
    """Names of modules that ``source`` imports, and of what it takes from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
