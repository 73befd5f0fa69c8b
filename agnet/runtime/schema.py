"""What the values of a configuration have to be: a model for each root file, annotations for all that it builds.

A root, such as ``conf/search.yaml``, has a :class:`Schema` with all of its keys. A section with the key ``_target_``
names a class or function by its import path; its other keys are arguments, which have to fit its annotations. Pydantic
validates both; what it refuses becomes one line with the key, the value and what is expected.

Importing pydantic takes 0.2 s. Commands therefore import their schema where they check a configuration: ``--help`` does
without.
"""

import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails

from agnet.errors import ConfigurationError
from agnet.runtime.command import no_key


def _no_folder(path: str) -> str:
    if Path(path).is_dir():
        raise ValueError("this is a folder; name a file, e.g. table.parquet")
    return path


Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"})]
TablePath = Annotated[
    str, Field(pattern=r".\.parquet$", description="a Parquet file, e.g. table.parquet"), AfterValidator(_no_folder)
]
Section = Annotated[dict[str, Any], Field(description="one of the choices that --help lists")]


class Schema(BaseModel):
    """All keys of a root configuration, or of a section that builds nothing; a description says what is expected."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def check(cls, config: Any, place: str = "") -> None:
        """Refuse a configuration that does not fit.

        Args:
            config: plain dictionaries, lists and values.
            place: key of the section in the whole configuration; empty for the root.

        Raises:
            ConfigurationError: naming key, value and what is expected.
        """
        check_sections(config, place)
        try:  # as JSON, which has lists, but no tuples, and text, but no paths, as a configuration does
            cls.model_validate_json(json.dumps(config))
        except ValidationError as error:
            raise ConfigurationError(_refusal(cls, config, place, error.errors()[0])) from None


def check_sections(config: Any, place: str = "") -> None:
    """Refuse an argument that is missing or does not fit its annotation.

    Args:
        config: plain dictionaries, lists and values.
        place: key of the section in the whole configuration.

    Raises:
        ConfigurationError: naming key, value and what is expected.

    Example:
        >>> check_sections({"executor": {"_target_": "agnet.runtime.executors.LocalExecutor", "workers": "six"}})
        Traceback (most recent call last):
        agnet.errors.ConfigurationError: executor.workers=six should be a whole number
    """
    if isinstance(config, Mapping):
        arguments = _arguments(str(config.get("_target_")))
        for key, value in config.items():
            here = f"{place}.{key}" if place else str(key)
            argument = arguments.get(str(key))
            if value == "???":
                raise ConfigurationError(f"{here} has no default; give {here}=VALUE")
            if argument and not isinstance(value, Mapping) and not _fits(argument, value):
                with suppress(PydanticUserError):  # an annotation that is not of plain values
                    if expected := _words(argument.json_schema()):
                        example = f", e.g. [{value}]" if _fits(argument, [value]) else ""
                        raise ConfigurationError(f"{here}={_shown(value)} should be {expected}{example}")
            check_sections(value, here)
    elif isinstance(config, list):
        for i, value in enumerate(config):
            check_sections(value, f"{place}[{i}]")


@cache
def _arguments(target: str) -> dict[str, TypeAdapter]:
    """Checkable arguments of a class or function; none if it is not found, which instantiation will report."""
    arguments = {}
    with suppress(AttributeError, ImportError, NameError, TypeError, ValueError):
        found = resolve_name(target)
        for name, hint in get_type_hints(found.__init__ if inspect.isclass(found) else found).items():
            with suppress(PydanticUserError):
                arguments[name] = TypeAdapter(hint)
    return arguments


def _fits(argument: TypeAdapter, value: Any) -> bool:
    try:
        argument.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _refusal(schema: type[Schema], config: Mapping[str, Any], place: str, error: ErrorDetails, depth: int = 0) -> str:
    """One line for what pydantic refuses, about the key of the value, which may be a list, not about an item of it."""
    key = str(error["loc"][depth])
    here, value, field = f"{place}.{key}" if place else key, config.get(key), schema.model_fields.get(key)
    if field is None:
        return no_key(here, list(schema.model_fields))
    inner, depth = field.annotation, depth + 1
    if inspect.isclass(inner) and issubclass(inner, Schema) and isinstance(value, Mapping):
        return _refusal(inner, value, here, error, depth)
    expected = _words(schema.model_json_schema()["properties"][key]) or "a section; --help shows its keys"
    if isinstance(value, Mapping) and error["type"] == "dict_type":  # an entry should be a section
        return f"{here}.{error['loc'][depth]}={_shown(error['input'])} should be a section; --help shows its keys"
    if error["type"] == "missing":
        return f"{here} is missing; give {expected}"
    if error["type"] == "value_error":
        return f"{here}={_shown(value)}: {error['msg'].removeprefix('Value error, ')}"
    example = f", e.g. ./{value}" if isinstance(value, int | float) and expected.startswith("a path") else ""
    if isinstance(value, str) and expected.endswith(("each item text", "each item a path")):
        example = f", e.g. [{value}]"
    return f"{here}={_shown(value)} should be {expected}{example}"


def _shown(value: Any) -> Any:
    """As one would type it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else value


_NAMES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
_NAMES |= {"path": "a path", "null": "null"}


def _words(schema: Mapping[str, Any]) -> str:
    """What a JSON schema asks for; empty for what is not plain: numbers, text, and choices and lists of these."""
    if "description" in schema and "properties" not in schema:  # of a class it is the docstring
        return schema["description"]
    if "anyOf" in schema:
        long = ("items", "description")  # these come last
        parts = [_words(part) for part in sorted(schema["anyOf"], key=lambda part: any(key in part for key in long))]
        return " or ".join(parts) if all(parts) else ""
    if "const" in schema or "enum" in schema:
        return f"one of {', '.join(map(str, schema.get('enum', [schema.get('const')])))}"
    if schema.get("type") == "array":
        item = _words(schema.get("items", {}))
        return f"a list, each item {item}" if item else ""
    name = _NAMES.get(schema.get("format", schema.get("type")), "")
    limits = (f" {word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema)
    return name + "".join(limits)
