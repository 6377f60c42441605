"""Dataclasses from JSON that somebody may have edited: each value is of its field's type."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from envs.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Built = TypeVar("Built", bound="DataclassInstance")


def build(
    kind: type[Built],
    value: Any,
    name: str,
    key_of: Callable[[dataclasses.Field[Any]], str] = lambda field: field.name,
) -> Built:
    """The dataclass ``kind`` with the parts of ``value``.

    Args:
        kind: a dataclass of numbers, words, truth values and tuples of them.
        value: as JSON gives it.
        name: what the message calls it.
        key_of: under which key ``value`` has a field.

    Raises:
        InputError: a field is missing, unknown or of another type.
    """
    keys = {key_of(field): field.name for field in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    parts = require_keys(value, keys, name)
    made = {
        field: convert(hints[field], parts[key], f"{name}.{key}") for key, field in keys.items()
    }
    return kind(**made)


def require_keys(value: Any, keys: Iterable[str], name: str) -> dict[str, Any]:
    """``value``, if it is a JSON object of just these keys.

    Raises:
        InputError: naming the first key that is missing or unknown.
    """
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a JSON object, got {str(value)[:100]!r}")
    keys = list(keys)
    for key in keys:
        if key not in value:
            raise InputError(f"{name} lacks {key!r}; plan it again")
    for key in value:
        if key not in keys:
            raise InputError(f"{name} has an unknown {key!r}; it may have {', '.join(keys)}")
    return value


def convert(kind: Any, value: Any, name: str) -> Any:
    """``value`` as ``kind``: lists become tuples, whole numbers floats, and nothing else changes.

    Raises:
        InputError: it is of another type.
    """
    if get_origin(kind) is types.UnionType:
        if value is None and type(None) in get_args(kind):
            return None
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple and isinstance(value, list):
        parts = get_args(kind)
        parts = parts[:1] * len(value) if parts[1:] == (...,) else parts
        if len(parts) == len(value):
            pairs = enumerate(zip(parts, value, strict=True))
            return tuple(convert(part, item, f"{name}[{i}]") for i, (part, item) in pairs)
    elif kind is float and type(value) is int:
        return float(value)
    elif kind in (bool, int, float, str) and type(value) is kind:
        return value
    wanted = kind.__name__ if isinstance(kind, type) and get_origin(kind) is None else str(kind)
    raise InputError(f"{name} must be {wanted}, got {str(value)[:100]!r}")
