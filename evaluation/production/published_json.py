"""Write details of a table as files in the layout of the published robustness dataset.

:mod:`agnet.tables.published_json` describes the layout. It has one number for each network, so a split and a seed
are chosen.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int32, Int64
from tqdm import tqdm

from agnet.errors import RunDirectoryError, TableError
from agnet.runtime.digests import of_json
from agnet.runtime.files import locked, write_text
from agnet.runtime.names import file_name, inside
from agnet.runtime.sealed import write_sealed_json
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION
from agnet.tables.published_json import CORRUPTIONS, MEASURES, META, SEVERITIES, TreeFile, folder_of, ids, key_of

MARK = "export.json"
"""Written first: what is exported into a folder."""

IDENTITY = ("content_sha256", "split", "seed")
"""What two exports have to share to be the same."""

DEFINITIONS = {
    "confidence": "mean highest softmax over all reported images, 0..1",
    "cm": "counts of reported images; rows = true classes, columns = predicted classes",
}


@dataclass(frozen=True)
class PublishedMeasurements:
    """All networks' measurements of one data set and one key.

    Attributes:
        dataset: our name of the data set.
        kind: ``clean``, ``attack`` or ``corruption``.
        name: ``clean``, or our name of the attack or corruption.
        ids: ids of the networks, ascending.
        levels: levels of every network, ascending.
        accuracy: accuracies as fractions.
        confidence: mean highest softmax; NaN where it is not known.
        confusion: counts, rows = true classes.
        norm: norm of an attack's ball.
    """

    dataset: str
    kind: str
    name: str
    ids: Int64[np.ndarray, " networks"]
    levels: tuple[float, ...]
    accuracy: Float64[np.ndarray, "networks levels"]
    confidence: Float64[np.ndarray, "networks levels"]
    confusion: Int32[np.ndarray, "networks levels classes classes"]
    norm: str = "linf"

    def __repr__(self) -> str:
        return f"PublishedMeasurements({self.dataset}, {self.name}: {len(self.ids)} networks, levels {self.levels})"

    @property
    def key(self) -> str:
        """The authors' key."""
        return key_of(self.kind, self.name, self.norm)

    @property
    def fits(self) -> bool:
        """Whether the layout has a place for it: it takes its own corruptions, at all severities."""
        return self.kind != CORRUPTION or (self.name in CORRUPTIONS and self.levels == SEVERITIES)

    def files(self) -> Iterator[tuple[TreeFile, str]]:
        """Every file and its content; the confidence's only where all are known."""
        for measure, values in zip(MEASURES, (self.accuracy, self.confidence, self.confusion), strict=True):
            if np.isnan(values).any():
                continue
            file = TreeFile(folder_of(self.dataset), self.key, measure)
            leaves = (values[:, 0] if self.kind == CLEAN else values).tolist()
            yield file, json.dumps(file.nest(dict(zip(map(str, self.ids), leaves, strict=True))))


def chosen_rows(details: pa.Table, split: str, seed: int | None) -> tuple[pa.Table, int]:
    """The rows of one split and one seed, and the seed.

    Args:
        details: details of a table, from :func:`agnet.tables.conditions.read_details`.
        split: ``valid`` or ``test``.
        seed: None for the lowest.

    Raises:
        TableError: if there are no such rows; it lists what there is.
    """
    splits = sorted(pc.unique(details["split"]).to_pylist())  # pyright: ignore[reportAttributeAccessIssue]
    if split not in splits:
        raise TableError(f"split={split}: the details have {', '.join(splits) or 'no rows'}")
    rows = details.filter(pc.field("split") == split)
    seeds = sorted(pc.unique(rows["seed"]).to_pylist())  # pyright: ignore[reportAttributeAccessIssue]
    number = seeds[0] if seed is None else seed
    if number not in seeds:
        raise TableError(f"seed={seed}: the details of {split} have {', '.join(map(str, seeds))}")
    return rows.filter(pc.field("seed") == number), number


def measurements(rows: pa.Table, space: NASBench201, norms: Mapping[str, str]) -> list[PublishedMeasurements]:
    """Details of one split and seed by data set and key, in the order of their first rows.

    Args:
        rows: details of one split and seed; see :func:`chosen_rows`.
        space: space of the architectures.
        norms: norms of attacks by name; an attack that is missing has ``linf``.

    Raises:
        TableError: for a network that stands for no class, or levels or classes that differ between networks.
    """
    cells = space.enumerate()
    place = {cells[i]: i for i in space.representatives}
    encoded = rows["architecture"].combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    if (strange := next((name for name in names if name not in place), None)) is not None:
        raise TableError(f"{strange!r} stands for no class of {space.name}; details have representatives only")
    numbers = np.array([place[name] for name in names], np.int64)[encoded.indices.to_numpy()]
    numbered = rows.append_column("id", pa.array(numbers))
    columns = ["dataset", "kind", "key"]
    found = []
    for group in rows.select(columns).group_by(columns, use_threads=False).aggregate([]).to_pylist():
        dataset, kind, name = (group[column] for column in columns)
        mask = (pc.field("dataset") == dataset) & (pc.field("kind") == kind) & (pc.field("key") == name)
        part = numbered.filter(mask).sort_by([("id", "ascending"), ("level", "ascending")])
        found.append(replace(_measured(dataset, kind, name, part, cells), norm=norms.get(name, "linf")))
    return found


def _measured(dataset: str, kind: str, name: str, rows: pa.Table, cells: Sequence[str]) -> PublishedMeasurements:
    """Rows in the order of ids and levels, as arrays."""
    where = f"{dataset}, {name}"
    ids, counts = np.unique(rows["id"].to_numpy(), return_counts=True)
    levels = np.unique(rows["level"].to_numpy())
    if kind == CLEAN and len(levels) > 1:
        raise TableError(f"{where}: clean images have no levels, but these have {_listed(levels)}")
    complete = counts == len(levels)
    if complete.all():
        complete = (rows["level"].to_numpy().reshape(len(ids), -1) == levels).all(axis=1)
    if not complete.all():
        raise TableError(
            f"{where}: {cells[ids[np.argmin(complete)]]!r} does not have each of the levels {_listed(levels)} once, as "
            "others do; evaluate it again"
        )
    shape = (len(ids), len(levels))
    confusion = rows["confusion"].combine_chunks()
    lengths = pc.list_value_length(confusion).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    if (lengths != lengths[0]).any():
        raise TableError(f"{where}: networks have different numbers of classes; evaluate them again")
    classes = round(lengths[0] ** 0.5)
    return PublishedMeasurements(
        dataset,
        kind,
        name,
        ids,
        tuple(levels.tolist()),
        rows["accuracy"].to_numpy().reshape(shape) / 100,
        rows["confidence"].to_numpy().reshape(shape),
        confusion.flatten().to_numpy().reshape(*shape, classes, classes),
    )


def epsilons(found: Sequence[PublishedMeasurements]) -> dict[str, list[float]]:
    """Radii of every attack.

    Raises:
        TableError: if they differ between data sets: the layout has one list for all.
    """
    radii: dict[str, list[float]] = {}
    for part in found:
        if part.kind == ATTACK:
            levels = list(part.levels)
            if radii.setdefault(part.key, levels) != levels:
                raise TableError(f"{part.name} has other radii on {part.dataset} than on another data set")
    return radii


def write_tree(
    out: Path,
    found: Sequence[PublishedMeasurements],
    space: NASBench201,
    about: Mapping[str, object],
    *,
    force: bool,
    progress: bool,
) -> tuple[int, list[str]]:
    """Write the files, then ``meta.json``; a folder without it is not complete.

    Args:
        out: the folder, new or of the same export; what the same export has written is written again.
        found: measurements to write.
        space: whose strings have the ids.
        about: :data:`IDENTITY` and where it comes from, for the entry ``agnet`` of ``meta.json``.
        force: replace another export; what no export has made is refused in any case.
        progress: show a bar, on a terminal only.

    Returns:
        Number of files for measurements; and what the layout has no place for.

    Raises:
        RunDirectoryError: if the folder holds something else, or is in use.
        TableError: if radii differ between data sets.
        ConfigurationError: if a data set, an attack or a corruption has a name that is a path.
    """
    meta = {"ids": ids(space.enumerate(), space.isomorphs), "epsilons": epsilons(found)}
    left_out = [f"{part.dataset}, {part.name} at {_listed(part.levels)}" for part in found if not part.fits]
    kept = [part for part in found if part.fits]
    for part in kept:
        file_name(part.dataset, "data set")
        file_name(part.name, part.kind)
    with locked(out):
        _claim(out, json.dumps({key: about[key] for key in IDENTITY}), force=force)
        written, digests = set(), {}
        for part in tqdm(kept, unit="key", disable=None if progress else True):
            for file, content in part.files():
                path = inside(out, file.path)
                write_text(path, content)
                written.add(path)
                digests[str(file.path)] = of_json(json.loads(content))
        for stale in {path for measure in MEASURES for path in out.glob(f"*/*_{measure}.json")} - written:
            inside(out, stale.relative_to(out)).unlink()
        whole = {**meta, "agnet": {**about, **DEFINITIONS, "left_out": left_out, "files": digests}}
        write_sealed_json(out / META, whole, indent=None)
    return len(written), left_out


def _claim(out: Path, mark: str, *, force: bool) -> None:
    """Mark a new folder; refuse one that is marked otherwise, and in any case one that no export has made."""
    path = out / MARK
    if any(out.iterdir()) and not path.is_file():
        held = "a dataset that was not exported here" if (out / META).is_file() else "something else"
        raise RunDirectoryError(f"{out} holds {held}; choose another out=...")
    if path.is_file() and path.read_text() != mark:
        if not force:
            raise RunDirectoryError(
                f"{out} holds another export; choose another out=..., or replace it with force=true"
            )
        (out / META).unlink(missing_ok=True)
    write_text(path, mark)


def _listed(levels: Sequence[float] | np.ndarray) -> str:
    return ", ".join(f"{level:g}" for level in levels)
