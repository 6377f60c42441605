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
# Tables of methods and tasks. What they say of a cell is in its identity.
_TABLES = ("algos.registry", "envs.recipes", "envs.sources.registry", "envs.tasks")


def files_of(cell: Cell, lanes: Environment) -> dict[str, str]:
    """The files that make the cell's numbers, with their SHA-256.

    Args:
        cell: planned.
        lanes: the environment that scores it.
    """
    made = (
        get_algorithm(cell.algorithm).make,
        get_source(cell.settings.source).reader.read,
        type(lanes),
    )
    modules = closure((*(part.__module__ for part in made), *_HARNESS))
    paths = sorted(path for module in modules for path in _files(module))
    return {path.relative_to(_ROOT).as_posix(): _digest(path) for path in dict.fromkeys(paths)}


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
        if not followed or module in modules or module in _TABLES or not _files(module):
            continue
        modules.add(module)
        todo += [name for path in _files(module) for name in _imports(path.read_text())]
    return modules


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
