"""Values of a configuration against the annotations of what they build, before anything is built.

A dictionary with the key ``_target_`` names a class or function by its import path; its other keys are arguments. Only
plain annotations are checked: numbers, text, true or false, null, literals, and sequences and unions of these.
"""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Union

from agnet.errors import ConfigurationError

_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
    Path: ((str,), "a path"),
    bool: ((bool,), "true or false"),
    types.NoneType: ((types.NoneType,), "null"),
}
"""Annotation: types of values that fit it (subtypes do not: true is no number), and what it is called."""

MISSING = "???"
"""Stands where a value has to be given; whoever reads it says so."""


def check_arguments(config: Any, place: str = "") -> None:
    """Refuse a value that does not fit its annotation.

    Args:
        config: plain dictionaries, lists and values.
        place: where in the configuration it stands.

    Raises:
        ConfigurationError: naming key, value and what is expected.

    Example:
        >>> check_arguments({"executor": {"_target_": "agnet.runtime.executors.LocalExecutor", "workers": "six"}})
        Traceback (most recent call last):
        agnet.errors.ConfigurationError: executor.workers=six should be a whole number
    """
    if isinstance(config, Mapping):
        hints = _annotations(config.get("_target_"))
        for key, value in config.items():
            here = f"{place}.{key}" if place else str(key)
            hint = hints.get(str(key))
            if isinstance(value, Mapping) or hint is None or value == MISSING or not (expected := _words(hint)):
                check_arguments(value, here)
            elif not _fits(value, hint):
                example = f", e.g. [{value}]" if _fits([value], hint) else ""
                raise ConfigurationError(f"{here}={'null' if value is None else value} should be {expected}{example}")
    elif isinstance(config, list):
        for i, value in enumerate(config):
            check_arguments(value, f"{place}[{i}]")


def _annotations(target: Any) -> dict[str, Any]:
    """Of the arguments of a class or function; none where it is not found, which whoever builds it will say."""
    try:
        found = resolve_name(target)
        return typing.get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except (AttributeError, ImportError, NameError, TypeError, ValueError):
        return {}


def _words(hint: Any) -> str:
    """What a plain annotation asks for; empty for others."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint][1]
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        parts = [_words(part) for part in inner]
        return " or ".join(parts) if all(parts) else ""
    if origin in (Sequence, list) and _words(inner[0]):
        return f"a list, each item {_words(inner[0])}"
    return ""


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return type(value) in _PLAIN[hint][0]
    if origin is Literal:
        return value in inner
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in inner)
    return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
