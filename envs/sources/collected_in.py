"""The environment that a dataset says it was collected in, beside the one that scores.

Both are text and spaces; nothing that a dataset names is ever made. Every difference that can move
a score is a line: another id, class, argument, wrapper, time limit, or space as it is before
observations are flattened and actions scaled. Wrappers that change nothing, arguments of rendering,
and the precision of numbers are no differences.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.sources.stored import Spaces
from envs.spaces import Array

# Wrappers of these packages by these names show, count or check, and change nothing; a time limit
# is compared as such, and observations are flattened here as well.
_PACKAGES = ("gym", "gymnasium", "minari", "stable_baselines3")
_HARMLESS = (
    *("TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "DataCollector", "Monitor"),
    *("RecordEpisodeStatistics", "RecordVideo", "RenderCollection", "HumanRendering"),
    "FlattenObservation",
)
_RENDERING = (
    *("render_mode", "width", "height", "camera_id", "camera_name", "default_camera_config"),
    *("max_geom", "visual_options", "render_fps", "screen_size"),
)
_UNBOUNDED = 1e30  # a bound from here on is none; float32 ends at 3e38
_SAME = 1e-5  # bounds in another precision may differ by this share
_LONGEST = 80  # characters that a line has for a value


class Scorer(NamedTuple):
    """The environment that scores.

    Attributes:
        spec: gymnasium's ``EnvSpec`` as ``EnvSpec.to_json`` has it.
        defaults: of the arguments that its class takes.
        observations: its space, before anything is flattened.
        actions: its space, in the environment's own range.
        whole: whether arguments and class are compared; not where the scorer is our own of an
            environment of several variants.
    """

    spec: dict[str, Any]
    defaults: dict[str, Any]
    observations: spaces.Space
    actions: spaces.Space
    whole: bool = True


def describe(environment: gymnasium.Env) -> Scorer:
    """The environment that scores, which a user named."""
    spec = environment.spec
    assert spec is not None
    return Scorer(
        spec_of(spec),
        defaults_of(type(environment.unwrapped)),
        environment.observation_space,
        environment.action_space,
    )


def spec_of(spec: gymnasium.envs.registration.EnvSpec) -> dict[str, Any]:
    """A specification as a dataset would have it; an entry point that has no name is left out."""
    entry = spec.entry_point
    return {
        "id": spec.id,
        "entry_point": entry if isinstance(entry, str) else None,
        "max_episode_steps": spec.max_episode_steps,
        "kwargs": spec.kwargs,
        "additional_wrappers": [
            {"name": w.name, "entry_point": w.entry_point, "kwargs": w.kwargs}
            for w in spec.additional_wrappers
        ],
    }


def defaults_of(kind: Any) -> dict[str, Any]:
    """Arguments of a class that have a default, and their defaults."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):  # a class that is not written in Python
        return {}
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def what_counts(scorer: Scorer) -> dict[str, Any]:
    """Facts that can move a score beside the environment's id and spaces, as JSON has them.

    Returns:
        ``class``, ``arguments`` with the defaults, ``wrappers`` and ``time_limit`` in steps.
    """
    spec = scorer.spec
    arguments = _plain({**scorer.defaults, **spec["kwargs"]})
    # A class may move to another module.
    name = spec["entry_point"] and spec["entry_point"].rpartition(":")[2]
    return {
        "class": name,
        "arguments": {k: v for k, v in arguments.items() if k not in _RENDERING},
        "wrappers": [_plain(w) for w in spec["additional_wrappers"] if not _is_harmless(w)],
        "time_limit": _limit(spec),
    }


def differences(theirs: dict[str, Any], data_spaces: Spaces, scorer: Scorer) -> list[str]:
    """Each difference that can move a score, as ``A there, B here``.

    Args:
        theirs: what the dataset says of its environment; nothing if it names none.
        data_spaces: the dataset's spaces.
        scorer: what scores; an environment of the same id.
    """
    lines = []
    wrappers = theirs.get("additional_wrappers") or []
    if theirs:
        lines += _limits(theirs, scorer)
        lines += _wrappers(wrappers, scorer.spec["additional_wrappers"])
        if scorer.whole:
            lines += _classes(theirs.get("entry_point"), scorer.spec["entry_point"])
            lines += _arguments(theirs.get("kwargs"), scorer)
    flattened = any(_field(w, "name") == "FlattenObservation" for w in wrappers)
    ours = spaces.flatten_space(scorer.observations) if flattened else scorer.observations
    stated = "observation_space" in data_spaces.stated
    lines += _spaces("observations", data_spaces.observations, ours, stated)
    stated = "action_space" in data_spaces.stated
    return lines + _spaces("actions", data_spaces.actions, scorer.actions, stated)


def _field(wrapper: Any, name: str) -> Any:
    return wrapper.get(name) if isinstance(wrapper, dict) else None


def _limits(theirs: dict[str, Any], scorer: Scorer) -> list[str]:
    there, here = _limit(theirs), _limit(scorer.spec)
    if there == here or (there is None and not scorer.whole):
        return []
    return [f"time limit {_short(there)} there, {_short(here)} here"]


def _limit(spec: dict[str, Any]) -> Any:
    """Steps of the shortest time limit, or None."""
    limits = [spec.get("max_episode_steps")]
    for wrapper in spec.get("additional_wrappers") or []:
        given = _field(wrapper, "kwargs")
        if _field(wrapper, "name") == "TimeLimit" and isinstance(given, dict):
            limits.append(given.get("max_episode_steps"))
    return min((n for n in limits if isinstance(n, (int, float))), default=None)


def _wrappers(theirs: Any, ours: list[dict[str, Any]]) -> list[str]:
    there, here = ([w for w in them if not _is_harmless(w)] for them in (theirs, ours))
    if [_plain(w) for w in there] == [_plain(w) for w in here]:
        return []
    called = [", ".join(map(_called, them)) or "none" for them in (there, here)]
    return [f"wrappers {called[0]} there, {called[1]} here"]


def _is_harmless(wrapper: Any) -> bool:
    package = str(_field(wrapper, "entry_point")).partition(":")[0].partition(".")[0]
    return package in _PACKAGES and _field(wrapper, "name") in _HARMLESS


def _called(wrapper: Any) -> str:
    given = _field(wrapper, "kwargs")
    inside = given.items() if isinstance(given, dict) else ()
    return f"{_field(wrapper, 'name')}({', '.join(f'{k}={_short(v)}' for k, v in inside)})"


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(_plain(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _classes(there: Any, here: Any) -> list[str]:
    """Classes are compared by package and name: files within a package move."""
    if not isinstance(there, str) or not isinstance(here, str):
        return []
    packages = {entry.partition(":")[0].partition(".")[0] for entry in (there, here)}
    same_name = there.rpartition(":")[2] == here.rpartition(":")[2]
    if same_name and (len(packages) == 1 or "__main__" in packages):
        return []
    return [f"class {there} there, {here} here"]


def _arguments(theirs: Any, scorer: Scorer) -> list[str]:
    if theirs is not None and not isinstance(theirs, dict):
        return [f"arguments {_short(theirs)} there, {_short(scorer.spec['kwargs'])} here"]
    there, here = (
        _plain({**scorer.defaults, **given}) for given in (theirs or {}, scorer.spec["kwargs"])
    )
    return [
        f"argument {name} {_short(there.get(name))} there, {_short(here.get(name))} here"
        for name in sorted(set(there) | set(here))
        if name not in _RENDERING and there.get(name) != here.get(name)
    ]


def _plain(value: Any) -> Any:
    """The value in JSON's form: a tuple is a list and an array its numbers."""

    def name(part: Any) -> Any:
        if isinstance(part, (np.ndarray, np.generic)):
            return part.tolist()
        return getattr(part, "__qualname__", None) or type(part).__qualname__

    return json.loads(json.dumps(value, default=name))


def _spaces(name: str, there: spaces.Space, here: spaces.Space, stated: bool) -> list[str]:
    kinds = [type(space).__name__ for space in (there, here)]
    if isinstance(there, spaces.Dict) and isinstance(here, spaces.Dict):
        if set(there.spaces) != set(here.spaces):
            parts = [", ".join(sorted(space.spaces)) for space in (there, here)]
            return [f"{name} of {parts[0]} there, {parts[1]} here"]
        pairs = [(f"{name}/{key}", there[key], here[key]) for key in here.spaces]
        return [line for pair in pairs for line in _spaces(*pair, stated)]
    if isinstance(there, spaces.Tuple) and isinstance(here, spaces.Tuple):
        counts = [len(space.spaces) for space in (there, here)]
        if counts[0] != counts[1]:
            return [f"{name} of {counts[0]} parts there, {counts[1]} here"]
        pairs = [
            (f"{name}/{place}", *pair)
            for place, pair in enumerate(zip(there.spaces, here.spaces, strict=True))
        ]
        return [line for pair in pairs for line in _spaces(*pair, stated)]
    if not stated and isinstance(here, spaces.Discrete) and there.shape == ():
        return []  # an array of whole numbers is all that is known
    if kinds[0] != kinds[1] and (stated or there.shape != here.shape):
        return [f"{name} {_shown(there)} there, {_shown(here)} here"]
    if there.shape != here.shape:
        return [f"{name} of shape {there.shape} there, {here.shape} here"]
    if there.dtype is not None and here.dtype is not None:
        families = ["float" if d.kind == "f" else d.kind == "b" for d in (there.dtype, here.dtype)]
        if families[0] != families[1]:
            return [f"{name} of type {there.dtype} there, {here.dtype} here"]
    if not stated:
        return []
    if isinstance(there, spaces.Box) and isinstance(here, spaces.Box):
        for bound in ("low", "high"):
            if not _are_close(getattr(there, bound), getattr(here, bound)):
                return [f"{name} {_shown(there)} there, {_shown(here)} here"]
        return []
    return [] if _numbers_of(there) == _numbers_of(here) else [f"{name} {there} there, {here} here"]


def _shown(space: spaces.Space) -> str:
    if not isinstance(space, spaces.Box) or not space.low.size:
        return str(space)
    return (
        f"{space.low.min():g} to {space.high.max():g} of shape {space.shape}"
        if len(np.unique(space.low)) == len(np.unique(space.high)) == 1
        else f"{space.low.tolist()} to {space.high.tolist()}"
    )


def _numbers_of(space: spaces.Space) -> Any:
    """The parts of a space that is no Box, beside its shape."""
    names = ("n", "nvec", "start", "max_length", "min_length")
    return _plain({name: getattr(space, name) for name in names if hasattr(space, name)})


def _are_close(there: Array, here: Array) -> bool:
    coarse = max(np.finfo(b.dtype).eps if b.dtype.kind == "f" else 0.0 for b in (there, here))

    def plain(bound: Array) -> Array:
        wide = bound.astype(np.float64)
        return np.where(np.abs(wide) >= _UNBOUNDED, np.copysign(np.inf, wide), wide)

    return bool(np.allclose(plain(there), plain(here), rtol=max(_SAME, 2.0 * coarse), atol=0.0))
