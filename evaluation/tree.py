"""Writing details in the layout of the published robustness dataset, see :mod:`agnet.robustness_tree`."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from agnet.atomic import write_text
from agnet.columns import ATTACK, PUBLISHED_NAMES
from agnet.errors import ConfigurationError, RunDirectoryError, TableError
from agnet.robustness_tree import META, attack_key, file_name
from agnet.spaces import NASBench201

_MEASURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "accuracy": ("accuracy", lambda percent: percent / 100),
    "confidence": ("confidence", lambda value: value),
    "cm": ("confusion", lambda counts: _square(counts)),
}
"""Measure: our column, and how its values become theirs."""


def write_tree(
    folder: Path,
    details: pa.Table,
    metadata: Mapping[str, str],
    *,
    split: str = "test",
    seed: int | None = None,
    force: bool = False,
    progress: bool = False,
) -> list[Path]:
    """Write details in the published layout.

    Args:
        folder: where ``meta.json`` will lie; it is written last.
        details: see :mod:`agnet.details`.
        metadata: of the details, for ``meta.json``.
        split: ``valid`` or ``test``: the layout holds one.
        seed: of the networks, one for each cell in this layout; None for the lowest there is.
        force: replace what lies in the folder.
        progress: show a bar on a terminal.

    Returns:
        The files.

    Raises:
        TableError: if the details have no such split or seed.
        RunDirectoryError: if the folder holds a dataset already.
    """
    meta = folder / META
    if meta.exists() and not force:
        raise RunDirectoryError(f"{folder} holds a dataset already; choose another out=..., or replace it: force=true")
    seeds = sorted(details["seed"].unique().to_pylist())
    seed = seeds[0] if seed is None and seeds else seed
    for name, value in (("split", split), ("seed", seed)):
        there = sorted(details[name].unique().to_pylist())
        if value not in there:
            raise TableError(f"the details have no {name}={value}; there is {', '.join(map(str, there)) or 'nothing'}")
    chosen = details.filter(pc.field("split").isin([split]) & pc.field("seed").isin([seed]))
    meta.unlink(missing_ok=True)
    norms = {name: attack["norm"] for name, attack in _protocol(metadata).get("attacks", {}).items()}
    epsilons: dict[str, list[float]] = {}
    written: list[Path] = []
    for dataset in map(str, chosen["dataset"].unique().to_pylist()):
        published = {ours: theirs for theirs, ours in PUBLISHED_NAMES.items()}.get(dataset, dataset)
        part = chosen.filter(pc.field("dataset") == dataset)
        pairs = part.group_by(["kind", "key"], use_threads=False).aggregate([])
        for kind, name in tqdm(zip(*pairs.to_pydict().values(), strict=True), disable=None if progress else True):
            key = attack_key(name, norms.get(name, "linf")) if kind == ATTACK else name
            rows = part.filter(pc.field("key") == name).sort_by([("architecture", "ascending"), ("level", "ascending")])
            levels = sorted(rows["level"].unique().to_pylist())
            if kind == ATTACK:
                epsilons[key] = levels
            for measure, (column, convert) in _MEASURES.items():
                values = dict(_by_id(rows, column, convert, len(levels), scalar=kind == "clean"))
                path = folder / published / file_name(key, measure)
                write_text(path, json.dumps({published: {key: {measure: values}}}))
                written.append(path)
    write_text(meta, json.dumps({"ids": _ids(), "epsilons": epsilons, "agnet": _about(metadata, split, seed)}))
    return [*written, meta]


def _by_id(
    rows: pa.Table, column: str, convert: Callable[[Any], Any], levels: int, *, scalar: bool
) -> Iterator[tuple[str, Any]]:
    """Values of every evaluated cell; rows come cell by cell, level by level."""
    ids = {architecture: str(i) for i, architecture in enumerate(NASBench201().enumerate())}
    names, values = rows["architecture"].to_pylist(), rows[column].to_pylist()
    for first in range(0, len(names), levels):
        cell = names[first : first + levels]
        if set(cell) != {cell[0]} or len(cell) != levels:
            raise TableError(f"{cell[0]} has not the same {levels} levels as the others; make the details again")
        if cell[0] not in ids:
            raise ConfigurationError(f"{cell[0]!r} is no architecture of NAS-Bench-201, whose layout this is")
        converted = [convert(value) for value in values[first : first + levels]]
        yield ids[cell[0]], converted[0] if scalar else converted


def _square(counts: list[int]) -> list[list[int]]:
    """A confusion matrix, row by row."""
    side = round(len(counts) ** 0.5)
    return [counts[row * side : (row + 1) * side] for row in range(side)]


def _ids() -> dict[str, dict[str, str]]:
    space = NASBench201()
    pairs = zip(space.enumerate(), space.isomorphs, strict=True)
    return {str(i): {"nb201-string": cell, "isomorph": str(isomorph)} for i, (cell, isomorph) in enumerate(pairs)}


def _protocol(metadata: Mapping[str, str]) -> dict[str, Any]:
    return json.loads(metadata.get("protocol", "{}"))


def _about(metadata: Mapping[str, str], split: str, seed: int | None) -> dict[str, Any]:
    return {
        **{key: value for key, value in metadata.items() if key != "protocol"},
        "protocol": _protocol(metadata),
        "split": split,
        "seed": seed,
        "confidence": "mean highest softmax of all reported images",
        "cm": "counts; rows are true classes, columns predicted ones",
    }
