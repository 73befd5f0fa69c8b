"""Read files that may be damaged or hostile: bounded in size and nesting, every failure in one line."""

import errno
import gzip
import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

from agnet.errors import UnreadableFile

MOST_BYTES = 256 * 2**20
"""Largest text or JSON file that is read, decompressed; ours are a thousandth of it."""


def read_bytes(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """A file's content.

    Args:
        path: the file.
        most: refuse a larger one.

    Raises:
        UnreadableFile: if it is missing, no plain file, or too large.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise OSError(errno.EINVAL, "it is no plain file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, most) + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if len(data) > most:
        raise UnreadableFile(f"{path} holds {size} bytes, more than the {most} of such a file; is it another file?")
    return data


def read_text(path: Path, *, most: int = MOST_BYTES) -> str:
    """A file's text.

    Args:
        path: the file, UTF-8.
        most: refuse a larger one, in bytes.

    Raises:
        UnreadableFile: if it cannot be read.
    """
    try:
        return read_bytes(path, most=most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, f"no UTF-8 text at byte {error.start}") from error


def read_json(path: Path, *, most: int = MOST_BYTES) -> Any:
    """The value in a JSON file, which may be gzipped.

    Args:
        path: the file.
        most: refuse a larger one, in bytes, decompressed.

    Raises:
        UnreadableFile: if it cannot be read or is no JSON.
    """
    data = read_bytes(path, most=most)
    if path.suffix == ".gz":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(path, str(error)) from error
        if len(data) > most:
            raise UnreadableFile(f"{path} unpacks to more than {most} bytes; is it another file?")
    return parse_json(data, path)


def parse_json(data: bytes | str, path: Path) -> Any:
    """The value of JSON text.

    Args:
        data: the text.
        path: the file it comes from, for the message.

    Raises:
        UnreadableFile: if it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise damaged(path, f"no JSON: {_brief(error)}") from error


def unreadable(path: Path, error: Exception) -> UnreadableFile:
    """The error for a file that cannot be opened.

    Args:
        path: the file.
        error: why not.
    """
    return UnreadableFile(f"cannot read {path} ({getattr(error, 'strerror', None) or error}); check the path")


def damaged(path: Path, reason: str, remedy: str = "restore it, or make it again") -> UnreadableFile:
    """The error for a file that is not what was written.

    Args:
        path: the file.
        reason: the fault, in a few words.
        remedy: advice to the user.
    """
    return UnreadableFile(f"{path} is damaged ({reason}); {remedy}")


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
