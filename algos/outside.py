"""Methods from outside the package, as files of a user's or as modules of installed packages.

Either offers what a method file of this package offers, ``Config``, ``CONFIGS`` and ``make``, and
besides ``COLUMNS``: by the column's name, the attributes of its ``algos.entry.Entry``. It may offer
``SMALL`` as well, the settings for small runs that ``algos.settings.SMALL`` has of our methods.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from algos import core
from algos.entry import Entry
from envs.errors import InputError
from envs.tasks import unknown_name

FILES = "RL_OR_BC_METHODS"  # environment variable: paths of files, which child processes inherit
GROUP = "rl_or_bc.methods"  # entry points of installed packages

_OFFERED = ("Config", "CONFIGS", "make", "COLUMNS")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # of a column, for it becomes a folder's name


def load(path: Path) -> dict[str, Entry]:
    """The columns of a user's method file.

    Raises:
        InputError: there is no such file, it cannot be imported, or it lacks something.
    """
    where = f"methods file {path}"
    path = path.absolute()
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"{where} is not there; name a file that ends in .py")
    # The name is that of no other module, and the same in all processes, so that a Config can go
    # from one to another.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{where} cannot be imported: {_reason(error, path)}") from error
    return _columns(module, where)


def installed() -> Iterator[dict[str, Entry]]:
    """The columns of each installed module that is an entry point of `GROUP`.

    Raises:
        InputError: one cannot be imported or lacks something.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        where = f"module {point.module} of package {point.dist.name if point.dist else '?'}"
        try:
            module = point.load()
        except (Exception, SystemExit) as error:
            reason = _reason(error, Path())
            raise InputError(f"{where} cannot be imported: {reason}; uninstall it") from error
        yield _columns(module, where)


def _columns(module: Any, where: str) -> dict[str, Entry]:
    """The columns in ``COLUMNS`` of a method's module, checked."""
    missing = [name for name in _OFFERED if not hasattr(module, name)]
    if missing:
        raise InputError(f"{where} has no {missing[0]}; a method has {', '.join(_OFFERED)}")
    kind = module.Config
    if not (isinstance(kind, type) and issubclass(kind, core.Config)):
        raise InputError(f"{where}: Config is no subclass of algos.core.Config")
    try:
        configs = [module.Config(), *module.CONFIGS.values()]
    except Exception as error:
        raise InputError(f"{where}: Config() and CONFIGS: {error}") from error
    if not all(isinstance(config, module.Config) for config in configs):
        raise InputError(f"{where}: CONFIGS has values that are no Config")
    if not (isinstance(module.COLUMNS, dict) and module.COLUMNS):
        raise InputError(f"{where}: COLUMNS must be a dict with a column or more")
    small = getattr(module, "SMALL", {})
    if not (isinstance(small, dict) and all(isinstance(row, dict) for row in small.values())):
        raise InputError(f"{where}: SMALL must be a dict of dicts, by family")
    if unknown := [f for row in small.values() for f in row if not hasattr(configs[0], str(f))]:
        raise InputError(f"{where}: SMALL has {unknown[0]!r}, which is no field of the Config")
    return {name: _entry(module, name, row, where) for name, row in module.COLUMNS.items()}


def _entry(module: Any, name: Any, row: Any, where: str) -> Entry:
    place = f"{where}: column {name!r}"
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise InputError(f"{place}: a name has small letters, digits, - and _ alone")
    if not isinstance(row, dict):
        raise InputError(f"{place} must be a dict of what it says, such as its title")
    fields = [field for field in dataclasses.fields(Entry) if field.name != "method"]
    known = [field.name for field in fields]
    if unknown := [key for key in row if key not in known]:
        raise InputError(f"{place}: {unknown_name('attribute', str(unknown[0]), known)}")
    for field in fields[:3]:
        if not isinstance(row.get(field.name), str):
            raise InputError(f"{place} must have a {field.name}, which is text")
    try:
        return Entry(module, **row)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _reason(error: BaseException, path: Path) -> str:
    """One line of what went wrong, with the line of the file where it did."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    message = (str(error).splitlines() or [""])[0]
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{text} (line {lines[-1]})" if lines else text
