"""Files that we read back: sealed with a hash, and with whose they are.

A sealed binary file is one line of text, then the content::

    agnet <SHA-256 of the rest> {"kind": "search state", "identity": {...}}

A sealed JSON file has the key ``sha256``, the hash of all other keys but times, which end in ``seconds``: so files of
equal runs stay comparable. Neither guards against a forger, who can seal
anew; both show that a file is whole and belongs here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agnet.runtime.digests import of_bytes, of_json, without_times
from agnet.runtime.files import write_bytes, write_text
from agnet.runtime.reading import damaged, parse_json, read_bytes, read_json

SEAL = "sha256"
"""Key of the hash in a sealed JSON file."""

_MAGIC = b"agnet "
_LARGEST = 16 * 2**30


@dataclass(frozen=True)
class Sealed:
    """Content of a sealed file.

    Attributes:
        content: the bytes that were sealed.
        identity: whose they are; None for a file of an earlier revision, which has no seal.
    """

    content: bytes = field(repr=False)
    identity: dict[str, Any] | None


def write_sealed(path: Path, content: bytes, *, kind: str, identity: Mapping[str, Any]) -> None:
    """Write a file that :func:`read_sealed` checks, atomically.

    Args:
        path: the file.
        content: bytes to keep.
        kind: kind of content, e.g. ``search state``.
        identity: whose it is: plain values.

    Raises:
        StorageError: if the operating system refuses.
    """
    about = json.dumps({"kind": kind, "identity": identity}, sort_keys=True).encode() + b"\n"
    write_bytes(path, _seal(about, content) + about + content)


def read_sealed(path: Path, *, kind: str, unsealed: bytes | None = None) -> Sealed:
    """Read a file back.

    Args:
        path: the file.
        kind: kind of content that is expected.
        unsealed: first bytes of files of earlier revisions, which have no seal; None if there are none.

    Raises:
        UnreadableFile: if it is damaged, or of another kind.
    """
    data = read_bytes(path, most=_LARGEST)
    if unsealed is not None and data.startswith(unsealed):
        return Sealed(data, None)
    seal, rest = data[: len(_MAGIC) + 65], data[len(_MAGIC) + 65 :]
    if seal != _seal(rest):
        raise damaged(path, "its content does not match its hash")
    header, _, content = rest.partition(b"\n")
    about = parse_json(header, path)
    if not isinstance(about, dict) or about.get("kind") != kind or not isinstance(about.get("identity"), dict):
        raise damaged(path, f"it is no {kind}")
    return Sealed(content, about["identity"])


def _seal(*rest: bytes) -> bytes:
    return _MAGIC + of_bytes(*rest).encode() + b" "


def write_sealed_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write an object as JSON, with its hash under ``sha256``, atomically.

    Raises:
        StorageError: if the operating system refuses.
    """
    plain = json.loads(json.dumps(content, allow_nan=False))
    write_text(path, json.dumps({**plain, SEAL: of_json(without_times(plain))}, indent=indent, allow_nan=False) + "\n")


def read_sealed_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """Read an object back, without the hash.

    Args:
        path: the file.
        required: whether a file without a hash, as earlier revisions wrote it, is refused.

    Raises:
        UnreadableFile: if it is damaged, or was changed after it was written.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise damaged(path, "it holds no object")
    digest = content.pop(SEAL, None)
    if (digest is None and required) or (digest is not None and digest != of_json(without_times(content))):
        raise damaged(path, "its content does not match its hash")
    return content
