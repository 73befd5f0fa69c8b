"""The accuracies of the robustness dataset, or of a folder that :mod:`evaluation.export` has written in its layout.

:mod:`agnet.tables.published_json` describes the files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from agnet.errors import TableError, UnreadableFile
from agnet.runtime.digests import of_json, without_times
from agnet.runtime.reading import read_json
from agnet.runtime.sealed import SEAL
from agnet.tables.columns import CLEAN, PUBLISHED_NAMES
from agnet.tables.published_json import ATTACKS, CORRUPTIONS, META, TreeFile, attack_of
from agnet.tables.table import KEY
from search.importers.base import Importer, entry
from search.importers.robustness_meta import Ids, existing, read_ids

_MOST_BYTES = 2**31  # the confusion matrices of one attack take some hundred megabytes
_REMEDY = "give the folder of the robustness dataset that holds meta.json, or extract it again"


@dataclass(frozen=True, kw_only=True)
class RobustnessDataset(Importer):
    """Reads all accuracies in the folder; confusion matrices are ignored.

    Attributes:
        confidence: whether to read the confidences, too.
    """

    confidence: bool = False

    def metadata(self) -> dict[str, str]:
        """The table's metadata: the source."""
        return {"source": "robustness dataset", "seeds": "one network per isomorphism class"}

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read the files; see :class:`~search.importers.base.Importer`.

        Files may be compressed (``.json.gz``) or missing.
        """
        meta_file = existing(path / META)
        if meta_file is None:
            raise TableError(f"{path} has no {META}; {_REMEDY}")
        meta, digests = _checked_meta(meta_file)
        ids = read_ids(entry(meta, "ids", str(meta_file), _REMEDY), str(meta_file), _REMEDY)
        epsilons = meta.get("epsilons")
        others = [k for k in epsilons if k not in ATTACKS and attack_of(k)] if isinstance(epsilons, dict) else []
        folders = [
            *PUBLISHED_NAMES,
            *sorted({file.parent.name for file in path.glob("*/*.json*")} - set(PUBLISHED_NAMES)),
        ]
        measures = ("accuracy", "confidence") if self.confidence else ("accuracy",)
        jobs = [
            (file, place)
            for folder in folders
            for key in (CLEAN, *ATTACKS, *others, *CORRUPTIONS)
            for place in (TreeFile(folder, key, measure) for measure in measures)
            if (file := existing(path / place.path)) is not None
        ]
        for name in digests:
            if existing(path / name) is None and (self.confidence or name.endswith("_accuracy.json")):
                raise TableError(f"{path} lacks {name}, which was exported with it; {_REMEDY}")
        if not jobs:
            known = ", ".join(PUBLISHED_NAMES)
            raise TableError(f"{path} has no file such as cifar10/clean_accuracy.json in {known}; {_REMEDY}")
        columns: dict[str, Any] = {KEY: ids.architectures, "isomorph": pa.array(ids.isomorphs, pa.int16())}
        for file, place in tqdm(jobs, unit="file", disable=None if progress else True):
            if "_" in place.folder:
                raise TableError(
                    f"{file}: data sets have no '_' in names of columns; rename this one, and in its files"
                )
            names = [column.name for column in place.columns(_radii(meta, place.key, str(meta_file)))]
            if repeated := columns.keys() & names:
                raise TableError(f"{file}: another file has {min(repeated)}, too; remove one of them")
            content = _json(file)
            known = digests.get(str(place.path))
            if known is not None and known != of_json(content):
                raise TableError(f"{file} was changed after it was exported; {_REMEDY}")
            for step in place.steps:
                content = entry(content, step, str(file), _REMEDY)
            values = _fractions(content, ids, len(names), str(file)) * (100 if place.measure == "accuracy" else 1)
            columns |= {name: pa.array(values[:, i], from_pandas=True) for i, name in enumerate(names)}
        return pa.table(columns)


def _checked_meta(path: Path) -> tuple[Any, dict[str, str]]:
    """The content of ``meta.json``, and the digests of the other files; none in a tree that was not exported here."""
    meta = _json(path)
    about = meta.get("agnet") if isinstance(meta, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("files"), dict):
        return meta, {}
    seal = meta.pop(SEAL, None)
    if seal != of_json(without_times(meta)):
        raise TableError(f"{path} was changed after it was exported; {_REMEDY}")
    return meta, about["files"]


def _json(path: Path) -> Any:
    try:
        return read_json(path, most=_MOST_BYTES)
    except UnreadableFile as error:
        raise TableError(f"{error}; {_REMEDY}") from error


def _radii(meta: Any, key: str, where: str) -> list[float]:
    """Radii of an attack in units of 1/255; none for other keys."""
    if attack_of(key) is None:
        return []
    radii = entry(entry(meta, "epsilons", where, _REMEDY), key, f"{where}: epsilons", _REMEDY)
    if not isinstance(radii, list) or not all(isinstance(r, int | float) and r > 0 for r in radii):
        raise TableError(f"{where}: the epsilons of {key} are {radii!r}, not radii in units of 1/255; {_REMEDY}")
    return [float(radius) for radius in radii]


def _fractions(content: Any, ids: Ids, width: int, where: str) -> np.ndarray:
    """Fractions ``[ids, width]``: every id has its representative's values, NaN if the file has none."""
    if not isinstance(content, dict):
        raise TableError(f"{where} holds a {type(content).__name__}, not accuracies by id; {_REMEDY}")
    values = np.full((len(ids.rows), width), np.nan)
    for name, value in content.items():
        row = [value] if isinstance(value, int | float) else value
        if not isinstance(row, list) or len(row) != width or not all(isinstance(v, int | float) for v in row):
            raise TableError(f"{where}: id {name} has {str(value)[:60]}, expected {width} numbers; {_REMEDY}")
        if name not in ids.rows:
            raise TableError(f"{where}: id {name!r} is not in meta.json; {_REMEDY}")
        values[ids.rows[name]] = row
    if (values < 0).any() or (values > 1).any():
        raise TableError(
            f"{where} has values outside 0..1; accuracies are fractions there, as confidences are; {_REMEDY}"
        )
    return values[[ids.rows[str(i)] for i in ids.isomorphs]]
