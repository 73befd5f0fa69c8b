"""What a folder holds, read so that two runs of one command can be compared: times and places do not count."""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.reliability.frame import CHANGED, LEFTOVER, Outcome

_TIMES = re.compile(
    r"(^|_)(seconds?|times?|started|finished|updated|eta|elapsed|date|made|sha256|digests?|command|revisions?"
    r"|wall|latency_ms|files|bytes|per_hour|hours)($|_)"
)
_UNREAD = re.compile(r"(^|/)(state\.pt|checkpoint\.pt|status\.json)$|\.(png|pdf)$")
"""Files of which only the presence is compared: pictures and states, which hold times."""


def contents(folder: Path) -> dict[str, Any]:
    """Every file below a folder: its name and what of its content does not depend on time and place."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        name = str(path.relative_to(folder))
        if path.is_dir():
            if not any(path.iterdir()):
                found[f"{name}/"] = "empty folder"
        else:
            try:
                found[name] = None if _UNREAD.search(name) else _read(path, folder)
            except Exception as error:  # half a file: whatever a reader says of it
                found[name] = f"unreadable: {error}"
    return found


def judge_contents(reference: Mapping[str, Any], found: Mapping[str, Any]) -> Outcome | None:
    """How a folder differs from the reference; None if it does not."""
    if missing := sorted(reference.keys() - found.keys()):
        return Outcome(CHANGED, f"missing: {', '.join(missing[:5])}")
    if left := sorted(found.keys() - reference.keys()):
        return Outcome(LEFTOVER, f"left: {', '.join(left[:5])}")
    for name, content in reference.items():
        if found[name] != content:
            return Outcome(CHANGED, f"{name}: {_difference(content, found[name])}")
    return None


def _read(path: Path, folder: Path) -> Any:
    """A file's content."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix == ".parquet":
        columns = pq.read_table(io.BytesIO(data)).to_pydict()
        return {name: repr(values) for name, values in columns.items() if not _TIMES.search(name)}
    if suffix == ".npz":
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: _digest(arrays[name]) for name in arrays.files if not _TIMES.search(name)}
    if suffix not in (".json", ".jsonl", ".csv", ".yaml", ".md", ".html", ".txt"):
        return hashlib.sha256(data).hexdigest()
    text = data.decode().replace(str(folder), "OUT")
    if suffix == ".json":
        return _timeless(json.loads(text))
    if suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in text.splitlines()]
    if suffix == ".csv":
        return [_timeless(row) for row in csv.DictReader(io.StringIO(text))]
    if suffix == ".md":
        return _untimed(text)
    return _timeless(yaml.safe_load(text)) if suffix == ".yaml" else text


def _untimed(text: str) -> list[str]:
    """The lines of a document without how long it took and columns of times."""
    lines, drop = [], -1
    for line in text.splitlines():
        cells = line.split("|")
        if "s / run" in line:
            drop = next(i for i, cell in enumerate(cells) if "s / run" in cell)
        if not line.startswith("|"):
            drop = -1
        if "runs are finished" not in line:  # and how many of them this call did
            lines.append("|".join(cell for i, cell in enumerate(cells) if i != drop))
    return lines


def _digest(array: np.ndarray) -> str:
    if array.dtype.kind in "US":
        try:
            return repr(_timeless(json.loads(str(array))))
        except ValueError:
            return repr(array.tolist())
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _timeless(value: Any) -> Any:
    """A value without the entries that tell times, places and digests of such."""
    if isinstance(value, dict):
        return {key: _timeless(held) for key, held in value.items() if not _TIMES.search(str(key))}
    return [_timeless(held) for held in value] if isinstance(value, list) else value


def _difference(there: Any, here: Any) -> str:
    """The first place where two contents differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *here]:
            if there.get(key) != here.get(key):
                return f"{key}: {_difference(there.get(key), here.get(key))}"
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for i, (a, b) in enumerate(zip(there, here, strict=True)):
            if a != b:
                return f"{i}: {_difference(a, b)}"
    return f"{str(there)[:100]} became {str(here)[:100]}"
