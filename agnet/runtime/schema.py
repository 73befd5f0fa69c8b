"""What the values of a configuration have to be: a model for each root file, annotations for all that it builds.

A root, such as ``conf/search.yaml``, has a :class:`Schema` with all of its keys. A section with the key ``_target_``
names a class or function by its import path; its other keys are arguments, which have to fit its annotations. Pydantic
validates both; what it refuses becomes one line with the key, the value and what is expected.

Importing pydantic takes 0.2 s. Commands therefore import their schema where they check a configuration: ``--help`` does
without.
"""

import inspect
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agnet.errors import ConfigurationError
from agnet.runtime.command import no_key
from agnet.runtime.executors import most_workers
from agnet.runtime.sections import Builds, check_given, check_section, shown, words

_LARGEST = 2**31 - 1
_LONGEST_NAME = 255  # bytes, on the usual file systems


def short_names(path: str) -> str:
    """A path whose parts can be names of files."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in Path(path).parts):
        raise ValueError(f"a part of it is longer than {_LONGEST_NAME} bytes; choose a shorter name")
    return path


def writable_file(path: str) -> str:
    """A path where a file can be written; nothing is left there."""
    if Path(path).is_dir():
        raise ValueError("this is a folder; name a file in it")
    _probe(Path(short_names(path)).parent)
    return path


def _writable_folder(path: str) -> str:
    if not Path(short_names(path)).is_dir():  # one that exists may be read only, if there is nothing to do in it
        _probe(Path(path))
    return path


def _probe(folder: Path) -> None:
    """Refuse a folder that cannot be made or written."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists() or p.is_symlink())
    if not there.is_dir():
        raise ValueError(f"{'this' if there == folder else there} is no folder; choose another path")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise ValueError(f"cannot write into {there} ({error.strerror}); choose another path") from None


def _countable(count: int) -> int:
    if count > _LARGEST:
        raise ValueError(f"give at most {_LARGEST}")
    return count


def _few(threads: int) -> int:
    if threads > most_workers():
        raise ValueError(f"this machine has {os.cpu_count()} processors; give at most {most_workers()}")
    return threads


Count = Annotated[int, Field(ge=1), AfterValidator(_countable)]
Seed = Annotated[int, Field(ge=0, le=_LARGEST)]
Threads = Annotated[int, Field(ge=1), AfterValidator(_few)]
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"}), AfterValidator(short_names)]
OutFolder = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"}), AfterValidator(_writable_folder)]
TablePath = Annotated[
    str, Field(pattern=r".\.parquet$", description="a Parquet file, e.g. table.parquet"), AfterValidator(writable_file)
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
        check_given(config, place)
        try:  # as JSON, which has lists, but no tuples, and text, but no paths, as a configuration does
            cls.model_validate_json(json.dumps(config))
        except ValidationError as error:
            raise ConfigurationError(_refusal(cls, config, place, error.errors()[0])) from None
        for key, field in cls.model_fields.items():
            for made in field.metadata:
                if isinstance(made, Builds) and key in config:
                    made.check(config[key], f"{place}.{key}" if place else key)
        check_section(config, place)


def _refusal(schema: type[Schema], config: Mapping[str, Any], place: str, error: ErrorDetails, depth: int = 0) -> str:
    """One line for what pydantic refuses, about the key of the value, which may be a list, not about an item of it."""
    key = str(error["loc"][depth])
    here, value, field = f"{place}.{key}" if place else key, config.get(key), schema.model_fields.get(key)
    if field is None:
        return no_key(here, list(schema.model_fields))
    inner, depth = field.annotation, depth + 1
    if inspect.isclass(inner) and issubclass(inner, Schema) and isinstance(value, Mapping):
        return _refusal(inner, value, here, error, depth)
    expected = words(schema.model_json_schema()["properties"][key]) or "a section; --help shows its keys"
    if isinstance(value, Mapping) and error["type"] == "dict_type":  # an entry should be a section
        return f"{here}.{error['loc'][depth]}={shown(error['input'])} should be a section; --help shows its keys"
    if error["type"] == "missing" and key not in config:
        return f"{here} is missing; give {expected}"
    if error["type"] == "value_error":
        return f"{here}={shown(value)}: {error['msg'].removeprefix('Value error, ')}"
    example = f", e.g. ./{value}" if isinstance(value, int | float) and expected.startswith("a path") else ""
    if isinstance(value, str) and expected.endswith(("each item text", "each item a path")):
        example = f", e.g. [{value}]"
    return f"{here}={shown(value)} should be {expected}{example}"
