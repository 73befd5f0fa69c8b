"""The base of all importers: interface, restricted unpickling, and errors that name file and remedy."""

import abc
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from agnet.errors import TableError
from agnet.runtime.representation import ShortRepr
from agnet.runtime.unpickling import ARRAYS, CONTAINERS, RefusedPickle, RestrictedUnpickler

ALLOWED = {**ARRAYS, **CONTAINERS}
"""Names that the official pickles call: numpy numbers and arrays, ordered dictionaries, sets."""


class Importer(ShortRepr, abc.ABC):
    """Reads one kind of official file into a table of all its architectures.

    Attributes:
        space: name of the architectures' space.
    """

    space: ClassVar[str] = "nasbench201"

    @abc.abstractmethod
    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read a file or folder into a table with the project's column names and units.

        Args:
            path: an existing file or folder.
            progress: show a bar, on a terminal only.

        Returns:
            A table for :func:`agnet.tables.table.write_table`; empty where the source has no value.

        Raises:
            TableError: for another kind of file, a damaged or incomplete one, or a pickle that is not plain data.
        """

    @abc.abstractmethod
    def metadata(self) -> dict[str, str]:
        """The table's metadata: source and settings."""


def unpickle(file: BufferedIOBase, where: str, remedy: str) -> Any:
    """The next pickle of an open file, rebuilt without running its code.

    Raises:
        TableError: if the pickle needs a name beyond :data:`ALLOWED`, is damaged, or does not fit into memory.
    """
    try:
        return RestrictedUnpickler(file, ALLOWED).load()
    except RefusedPickle as error:
        raise TableError(f"{where} is refused: {error}, which results do not need; {remedy}") from error
    except MemoryError as error:
        raise TableError(f"{where} does not fit into memory; docs/import.md says what it needs; {remedy}") from error
    except Exception as error:  # a damaged pickle can raise almost anything
        raise TableError(f"{where} is damaged ({type(error).__name__}: {error}); {remedy}") from error


def entry(content: Any, key: Any, where: str, remedy: str) -> Any:
    """A dictionary's value.

    Raises:
        TableError: if the content is not a dictionary or lacks the key; the message lists its keys.
    """
    if not isinstance(content, Mapping):
        raise TableError(f"{where} holds a {type(content).__name__}, not a dictionary with {key!r}; {remedy}")
    if key not in content:
        keys = [str(k) for k in list(content)[:8]]
        more = f" and {len(content) - 8} more" if len(content) > 8 else ""
        raise TableError(f"{where} has no {key!r}, only {', '.join(keys) or 'nothing'}{more}; {remedy}")
    return content[key]


def number(value: Any, where: str, remedy: str) -> float:
    """A value as float.

    Raises:
        TableError: if the value is not a number, or larger than any.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TableError(f"{where} is {str(value)[:40]!r}, not a number; {remedy}")
    try:
        return float(value)
    except OverflowError as error:
        raise TableError(f"{where} is too large for a number; {remedy}") from error
