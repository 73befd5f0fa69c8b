"""Sections of a configuration: what they build, and whether their keys fit the arguments of what they name.

A section with the key ``_target_`` names a class or function by its import path; its other keys are arguments. They
have to be arguments that it takes, and to fit their annotations. What a section builds has to fit the place where it
stands. All of this is known before anything is built.
"""

import functools
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pkgutil import resolve_name
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from agnet.errors import AGNetError, ConfigurationError
from agnet.runtime.command import no_key

_LARGEST = 2**53  # whole numbers up to here are exact wherever they go
_MOST = 10**6
"""The largest whole number that a part of this project takes, but for seeds, and for images, which are counted."""
_LONGEST = 120
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # bytes of another encoding are read as such halves of characters
_UNIT = "_255"
"""The end of a key whose argument is in other units: ``eps_255`` stands for ``eps``."""


@dataclass(frozen=True)
class Builds:
    """Says of a key what its section has to build.

    Attributes:
        base: import path of the class.
        what: the class in words, such as ``space``.
        each: whether the key holds several such sections by name.
        optional: whether an empty section stands for none.
    """

    base: str
    what: str
    each: bool = False
    optional: bool = False

    def check(self, value: Any, place: str) -> None:
        """Refuse a section that builds something else.

        Raises:
            ConfigurationError: naming the key, and what stands there.
        """
        if isinstance(value, Mapping) and (value or not self.optional):
            for key, section in value.items() if self.each else [("", value)]:
                if isinstance(section, Mapping):
                    _check_built(section, (resolve_name(self.base),), self.what, f"{place}.{key}" if key else place)


def check_section(config: Any, place: str = "") -> None:
    """Refuse what cannot be built: an unknown class, an unknown argument, or one that does not fit its annotation.

    Args:
        config: plain dictionaries, lists and values; sections within are checked too.
        place: key of the section in the whole configuration.

    Raises:
        ConfigurationError: naming key, value and what is expected.

    Example:
        >>> check_section({"executor": {"_target_": "agnet.runtime.executors.LocalExecutor", "workers": "six"}})
        Traceback (most recent call last):
        agnet.errors.ConfigurationError: executor.workers=six should be a whole number
    """
    if isinstance(config, Mapping):
        arguments = _arguments(_found(config["_target_"], f"{place}._target_")) if "_target_" in config else None
        for key, value in config.items():
            here = f"{place}.{key}" if place else str(key)
            if key in ("_partial_", "_recursive_") and not isinstance(value, bool):
                raise ConfigurationError(f"{here}={shown(value)} should be true or false")
            if arguments is not None and not str(key).startswith("_"):
                _check_argument(arguments, str(key), value, here, whole=config.get("_recursive_", True))
            check_section(value, here)
    elif isinstance(config, list):
        for i, value in enumerate(config):
            check_section(value, f"{place}[{i}]")
    elif isinstance(config, float) and not math.isfinite(config):
        raise ConfigurationError(f"{place}={config}; give a finite number")
    elif isinstance(config, int) and abs(config) > _LARGEST:
        raise ConfigurationError(f"{place}={shown(config)} is too large; give at most {_LARGEST}")
    elif isinstance(config, str) and not config.strip():
        raise ConfigurationError(f"{place}={config} is empty; give a value, or null where it may be missing")


def check_given(config: Any, place: str = "") -> None:
    """Refuse a value that has to be given and is not, and text that is none.

    Raises:
        ConfigurationError: naming key and value.
    """
    if isinstance(config, Mapping | list):
        for key, value in config.items() if isinstance(config, Mapping) else enumerate(config):
            inner = f"{place}.{key}" if place else str(key)
            check_given(value, f"{place}[{key}]" if isinstance(config, list) else inner)
    elif config == "???":
        raise ConfigurationError(f"{place} has no default; give {place}=VALUE")
    elif isinstance(config, str) and _NO_TEXT.search(config):
        raise ConfigurationError(f"{place}={shown(ascii(config))} holds what is no text; write it in UTF-8")


@dataclass(frozen=True, eq=False)
class _Arguments:
    """Arguments of a class or function.

    Attributes:
        hints: annotation by name.
        names: names of the arguments; None where any are taken, or they are not known.
        ours: whether it is a part of this project, of which none takes a negative number.
    """

    hints: Mapping[str, Any]
    names: Sequence[str] | None
    ours: bool

    def fit(self, name: str, value: Any) -> bool:
        """Whether a plain value fits."""
        adapter, hint = self._adapter(name), self.hints[name]
        if adapter is None:
            return value is None if type(None) in _members(hint) else not _classes(hint)
        try:
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError:
            return False
        return True

    def expected(self, name: str) -> str:
        """What an argument has to be, in words; empty where that is not plain."""
        adapter = self._adapter(name)
        with suppress(PydanticUserError):
            return words(adapter.json_schema()) if adapter else ""
        return ""

    @cache  # noqa: B019  these live as long as the process
    def _adapter(self, name: str) -> TypeAdapter | None:
        with suppress(PydanticUserError):
            return TypeAdapter(self.hints[name])
        return None


def _found(target: Any, place: str) -> Callable[..., Any]:
    """The class or function that an import path names."""
    if not isinstance(target, str) or not target:
        raise ConfigurationError(f"{place}={shown(target)} should be the import path of a class or function")
    found = _resolved(target)
    if isinstance(found, Exception):
        if isinstance(found, AGNetError):
            raise found
        said = " ".join(str(found).split()) or type(found).__name__
        raise ConfigurationError(f"{place}={shown(target)} cannot be imported ({shown(said)}); correct the path")
    if not callable(found):
        raise ConfigurationError(f"{place}={shown(target)} is neither a class nor a function; correct the path")
    return found


@cache
def _resolved(target: str) -> Any:
    """What an import path names, or the exception that the import raises: anything, for it runs the user's module."""
    try:
        return resolve_name(target)
    except Exception as error:
        return error
    except SystemExit as stop:
        return ImportError(f"its module exits with {stop.code}")


@cache
def _arguments(found: Callable[..., Any]) -> _Arguments:
    hints: dict[str, Any] = {}
    ours = str(getattr(found, "__module__", None)).partition(".")[0] in ("agnet", "search", "evaluation")
    with suppress(AttributeError, NameError, TypeError, ValueError):
        hints = get_type_hints(found.__init__ if inspect.isclass(found) else found)
    try:
        taken = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return _Arguments(hints, None, ours)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in taken)
    return _Arguments(hints, None if open_ended else [p.name for p in taken if p.kind is not p.VAR_POSITIONAL], ours)


def _check_argument(arguments: _Arguments, key: str, value: Any, here: str, *, whole: bool) -> None:
    """Check a value against the annotation of its argument.

    Args:
        arguments: all arguments of the class or function.
        key: name of the argument.
        value: its value.
        here: key of the value in the whole configuration.
        whole: whether a section is built before it is passed on; otherwise it is passed on as it is.
    """
    name = key
    if arguments.names is not None and key not in arguments.names:
        name = key.removesuffix(_UNIT)
        if name not in arguments.names or name == key:
            raise ConfigurationError(no_key(here, [n for n in arguments.names if n != "self"]))
    elif key not in arguments.hints:
        return
    if name not in arguments.hints:
        return
    hint = arguments.hints[name]
    classes = _classes(hint)
    if isinstance(value, Mapping) and ("_target_" in value or classes):
        if whole and classes and ("_target_" in value or not _takes_mapping(hint)):
            _check_built(value, classes, _names(classes), here)
    elif not arguments.fit(name, value):
        expected = arguments.expected(name)
        if expected or classes:
            example = f", e.g. [{shown(value)}]" if expected and arguments.fit(name, [value]) else ""
            kinds = f"a section that makes {_names(classes)}; --help lists the choices"
            raise ConfigurationError(f"{here}={shown(value)} should be {expected or kinds}{example}")
    elif arguments.ours and isinstance(value, int | float) and value < 0:
        raise ConfigurationError(f"{here}={shown(value)} should be {arguments.expected(name) or 'a number'} from 0")
    elif arguments.ours and type(value) is int and value > _MOST and not re.search("seed|^num_", name):
        raise ConfigurationError(f"{here}={shown(value)} is too large; give at most {_MOST}")


def _check_built(section: Mapping[str, Any], bases: tuple[type, ...], what: str, place: str) -> None:
    """Refuse a section that builds none of these classes."""
    if "_target_" not in section:
        raise ConfigurationError(f"{place}._target_ is missing; give {place} as one of the choices that --help lists")
    found = _found(section["_target_"], f"{place}._target_")
    made = found if inspect.isclass(found) else _arguments(found).hints.get("return")
    if get_origin(made) is tuple:  # an objective comes with its report
        made = get_args(made)[0]
    made = functools.partial if section.get("_partial_") else get_origin(made) or made
    if made is Any:
        return
    if not inspect.isclass(made) or not any(_is_kind(made, base) for base in bases):
        raise ConfigurationError(
            f"{place}._target_={shown(section['_target_'])} makes no {what}; take one of the choices that --help lists"
        )


def _is_kind(made: type, base: type) -> bool:
    try:
        return issubclass(made, base)
    except TypeError:  # a protocol, which says nothing about classes
        return True


def _members(hint: Any) -> tuple[Any, ...]:
    """The annotations that a union joins."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _classes(hint: Any) -> tuple[type, ...]:
    """Classes whose instances an annotation asks for; none where plain values do, or anything may stand."""
    members = [get_origin(member) or member for member in _members(hint)]
    plain = (str, int, float, bool, type(None), list, tuple, dict, Sequence, Mapping)
    kinds = tuple(m for m in members if inspect.isclass(m) and m not in plain and not getattr(m, "_is_protocol", False))
    return kinds if all(m in plain or m in kinds for m in members) else ()


def _takes_mapping(hint: Any) -> bool:
    return any((get_origin(member) or member) in (dict, Mapping) for member in _members(hint))


def _names(classes: Sequence[type]) -> str:
    return " or ".join("a function" if c is Callable else c.__name__ for c in classes)


def shown(value: Any) -> str:
    """A value as one would type it, shortened where it is long."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}...{text[-10:]} ({len(text)} characters)"


_NAMES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
_NAMES |= {"path": "a path", "null": "null"}


def words(schema: Mapping[str, Any]) -> str:
    """What a JSON schema asks for; empty for what is not plain: numbers, text, and choices and lists of these."""
    if "description" in schema and "properties" not in schema:  # of a class it is the docstring
        return schema["description"]
    if "anyOf" in schema:
        long = ("items", "description")  # these come last
        parts = [words(part) for part in sorted(schema["anyOf"], key=lambda part: any(key in part for key in long))]
        return " or ".join(parts) if all(parts) else ""
    if "const" in schema or "enum" in schema:
        return f"one of {', '.join(map(str, schema.get('enum', [schema.get('const')])))}"
    if schema.get("type") == "array":
        item = words(schema.get("items", {}))
        some = " that is not empty" if schema.get("minItems") else ""
        return f"a list{some}, each item {item}" if item else ""
    name = _NAMES.get(schema.get("format", schema.get("type")), "")
    limits = (f" {word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema)
    return name + "".join(limits)
