"""The published robustness dataset's folder, as its own reader class expects it: names, nesting, writing.

Source: Jung, Lukasik & Keuper, 2023, https://github.com/steffen-jung/robustness-dataset. A folder holds ``meta.json``
and one folder per image set with files ``<key>_<measure>.json``. ``meta.json`` has ``ids``: for every id the string
(``nb201-string``) and the id of the network that was evaluated in its place (``isomorph``); and ``epsilons``: for
every attack its radii in units of 1/255. A file nests image set, key, measure and id (text); the value is one for
``clean``, one per radius for an attack, and one per severity 1..5 for a corruption. Accuracies are fractions.

What the source leaves open is said in ``meta.json`` under ``agnet``: the confidence is the mean highest softmax of all
reported images, and a confusion matrix (``cm``) has counts with true classes as rows.
"""

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
from agnet.spaces import NASBench201

META = "meta.json"
ATTACKS = {"fgsm@Linf": "fgsm", "pgd@Linf": "pgd", "aa_apgd-ce@Linf": "apgd_ce", "aa_square@Linf": "square"}
"""The files' keys of the dataset's attacks and our names; others are ``name@norm``."""

CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_noise", "glass_blur"),
    *("impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "shot_noise", "snow", "zoom_blur"),
)

_NORMS = {"linf": "Linf", "l2": "L2"}
_MEASURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "accuracy": ("accuracy", lambda percent: percent / 100),
    "confidence": ("confidence", lambda value: value),
    "cm": ("confusion", lambda counts: _square(counts)),
}
"""Measure: our column, and how its values become theirs."""


def file_name(key: str, measure: str) -> str:
    """A file's name in the folder of its image set.

    Example:
        >>> file_name("pgd@Linf", "accuracy")
        'pgd@Linf_accuracy.json'
    """
    return f"{key}_{measure}.json"


def attack_name(key: str) -> str:
    """Our name of an attack.

    Example:
        >>> attack_name("aa_apgd-ce@Linf"), attack_name("apgd_t@Linf")
        ('apgd_ce', 'apgd_t')
    """
    return ATTACKS.get(key, key.split("@")[0])


def attack_key(name: str, norm: str = "linf") -> str:
    """The files' key of an attack.

    Example:
        >>> attack_key("square"), attack_key("apgd_t", "l2")
        ('aa_square@Linf', 'apgd_t@L2')
    """
    return {ours: key for key, ours in ATTACKS.items()}.get(name, f"{name}@{_NORMS.get(norm, norm)}")


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
