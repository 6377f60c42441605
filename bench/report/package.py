"""Files that belong to the package and are installed with it. Imports no JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bench import store
from envs.errors import InputError

FOLDER = Path(__file__).parent
REFERENCE, TEMPLATES = FOLDER / "reference", FOLDER / "templates"


def read_rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """The CSV at ``path``, a file of the package.

    Raises:
        InputError: it is missing, or ``store.read_rows`` refuses it.
    """
    if not path.is_file():
        raise InputError(_missing(path))
    return store.read_rows(path, columns)


def render(name: str, finalize: Callable[[Any], Any], **values: Any) -> str:
    """The template ``name`` of the package.

    Args:
        name: a file in ``TEMPLATES``.
        finalize: makes each value fit for where it is written.
        **values: by name, what the template may use.

    Raises:
        InputError: the file is missing.
    """
    try:
        return environment(finalize).get_template(name).render(values)
    except jinja2.TemplateNotFound as error:
        raise InputError(_missing(TEMPLATES / f"{error.name}")) from None


def environment(finalize: Callable[[Any], Any]) -> ImmutableSandboxedEnvironment:
    """A renderer of the package's templates, and of text that gets at values alone."""
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def _missing(path: Path) -> str:
    return f"{path} is missing, which belongs to rl-or-bc; install it again"
