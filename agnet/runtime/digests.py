"""Digests of whatever a result depends on: recorded where it is used, compared when a command comes again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agnet.errors import RunDirectoryError
from agnet.runtime.reading import unreadable

Identity = Mapping[str, Any]
"""What a result depends on: plain values and digests by name, possibly nested."""


def of_bytes(*parts: bytes) -> str:
    """SHA-256 of bytes, one part after another."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UnreadableFile: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def of_json(value: Any) -> str:
    """SHA-256 of a plain value, whatever the order of its keys.

    Example:
        >>> of_json({"a": 1, "b": 2}) == of_json({"b": 2, "a": 1})
        True
    """
    return of_bytes(json.dumps(value, sort_keys=True, default=str).encode())


def without_times(value: Any) -> Any:
    """A plain value without the keys that end in ``seconds``, at any depth: equal runs differ in these alone.

    Example:
        >>> without_times({"best": 1, "wall_seconds": 2.5, "rounds": [{"seconds": 1.0, "queries": 16}]})
        {'best': 1, 'rounds': [{'queries': 16}]}
    """
    if isinstance(value, Mapping):
        return {key: without_times(item) for key, item in value.items() if not str(key).endswith("seconds")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def of_arrays(*arrays: Any) -> str:
    """SHA-256 of numpy arrays or torch tensors: shapes, types and values, in order."""
    sha = hashlib.sha256()
    for array in arrays:
        if hasattr(array, "detach"):  # a tensor
            array = array.detach().cpu().contiguous()
            sha.update(f"{array.dtype}{list(array.shape)}".removeprefix("torch.").encode())
            array = array.view(dtype=_bytes_of(array)).numpy() if array.numel() else array.new_zeros(0).numpy()
        else:
            sha.update(f"{array.dtype}{list(array.shape)}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _bytes_of(tensor: Any) -> Any:
    import torch

    return tensor.dtype if tensor.dtype not in (torch.bfloat16,) else torch.int16  # numpy has no bfloat16


def differences(theirs: Identity, ours: Identity) -> str:
    """What differs, with both values; empty if nothing does.

    Args:
        theirs: recorded values.
        ours: values asked for now.

    Example:
        >>> differences({"seed": 1, "table": {"t": "ab"}}, {"seed": 2, "table": {"t": "ab"}})
        'seed is 1 there and 2 here'
    """
    before, now = flat(theirs), flat(ours)
    return "; ".join(
        f"{key} is {_shown(before, key)} there and {_shown(now, key)} here"
        for key in dict.fromkeys([*before, *now])
        if key not in before or key not in now or before[key] != now[key]
    )


def check_identity(place: Path, theirs: Identity, ours: Identity, remedy: str) -> None:
    """Refuse a file or folder that was made with other settings or inputs.

    Args:
        place: the file or folder, for the message.
        theirs: identity recorded there.
        ours: identity asked for now.
        remedy: advice to the user.

    Raises:
        RunDirectoryError: naming what differs.
    """
    if differing := differences(theirs, json.loads(json.dumps(ours))):  # a file has no tuples
        raise RunDirectoryError(f"{place} was made with other settings or inputs: {differing}; {remedy}")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; an empty section counts as a value.

    Args:
        values: the nested values.
        prefix: beginning of all keys.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "'(absent)'"
    text = repr(values[key])
    digest = text.strip("'")
    is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return f"{digest[:12]}..." if is_digest else text
