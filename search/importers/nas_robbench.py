"""NAS-RobBench-201: accuracies of adversarially trained NAS-Bench-201 cells, with and without attacks.

Source: Wu et al., 2024, https://openreview.net/forum?id=cdUpf6t6LZ, https://github.com/TT2408/nasrobbench201. Two forms
of the same numbers are read:

* the download: ``meta.json`` as of the robustness dataset, and ``NAS-RobBench-201_all.json``, which nests data set, id
  of the evaluated network, metric and seed;
* the table of the public page: one JSON object, or a script that assigns it. Its key ``""`` lists ``dataset#metric``.
  An id has the list of values in this order, or, if it was not evaluated, the id of its representative. A value is a
  mean or a list by seed.

Values are fractions or percent; the middle one of the file tells which.
"""

import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from agnet.errors import TableError, UnreadableFile
from agnet.runtime.reading import parse_json, read_json, read_text
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import ADVERSARIALLY, ATTACK, CLEAN, Column
from agnet.tables.published_json import META
from agnet.tables.table import KEY
from search.importers.base import Importer, entry, number
from search.importers.robustness_meta import Ids, existing, read_ids

FILE = "NAS-RobBench-201_all.json"
"""Name of the download's file of accuracies."""

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet": "imagenet16"}
"""The benchmark's names of its image sets -> ours."""

METRICS = {
    "val_acc": ("valid", CLEAN, CLEAN, 0.0),
    "val_fgsm_3.0_acc": ("", ATTACK, "fgsm", 3.0),
    "val_pgd_3.0_acc": ("", ATTACK, "pgd", 3.0),
    "val_fgsm_8.0_acc": ("", ATTACK, "fgsm", 8.0),
    "val_pgd_8.0_acc": ("", ATTACK, "pgd", 8.0),
    "autoattack": ("", ATTACK, "autoattack", 8.0),
}
"""The benchmark's metrics -> split, kind, key and level of our columns; others, of training or losses, are left out."""

SEEDS = 3
"""Trainings of every cell. AutoAttack may have been run on one of them only."""

_MOST_BYTES = 2**30  # the published file has about a hundred million
_FROM_PAGE = ""
_MEAN = "mean"
_ASSIGNMENT = re.compile(r"(?:(?:var|let|const)\s+)?[\w.]+\s*=")
_REMEDY = f"give the folder with {META} and {FILE}, or the public page's JSON, or download it again"
_PARTIAL = "download it again, or set importer.partial=true to import what it has"

Runs = dict[tuple[str, str], dict[str, dict[str, float]]]
"""Data set and metric -> id -> seed -> accuracy as it is in the file."""


@dataclass(frozen=True, kw_only=True)
class NASRobBench(Importer):
    """Reads the folder of the download, or the file of the public page.

    Attributes:
        partial: import a file that lacks metrics, networks or seeds instead of refusing it.
    """

    partial: bool = False

    def metadata(self) -> dict[str, str]:
        """The table's metadata: source, training, and the rule that turns seeds into one number."""
        return {
            "source": "NAS-RobBench-201",
            "training": "adversarial: PGD, 7 steps, eps 8/255",
            "seeds": "mean over the file's seeds; one network per isomorphism class",
        }

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read either form; see :class:`~search.importers.base.Importer`."""
        del progress  # reading takes seconds
        file = existing(path / FILE) if path.is_dir() else path
        if file is None:
            raise TableError(f"{path} has no {FILE}; {_REMEDY}")
        content, where = _json(file), str(file)
        if not isinstance(content, dict):
            raise TableError(f"{where} holds a {type(content).__name__}, not accuracies by data set or id; {_REMEDY}")
        if _FROM_PAGE in content:
            found, ids = _of_page(content, where), _page_ids(content, where)
        else:
            meta = existing(file.with_name(META))
            if meta is None:
                raise TableError(f"{file.parent} has no {META}, which belongs to {file.name}; {_REMEDY}")
            ids = read_ids(entry(_json(meta), "ids", str(meta), _REMEDY), str(meta), _REMEDY)
            found = _of_download(content, where)
        runs = _collected(found, ids, where)
        if not runs:
            known = f"{', '.join(DATASETS)} with {', '.join(METRICS)}"
            raise TableError(f"{where} has no data set and metric that are known, of {known}; {_REMEDY}")
        if not self.partial:
            _check_complete(runs, ids, where)
        return _table(runs, ids, where)


def _json(path: Path) -> Any:
    """Content of a JSON file, or of a script that assigns JSON to a variable."""
    try:
        if path.suffix == ".gz":
            return read_json(path, most=_MOST_BYTES)
        text = read_text(path, most=_MOST_BYTES).strip().removesuffix(";")
        assignment = _ASSIGNMENT.match(text)
        return parse_json(text[assignment.end() :] if assignment else text, path)
    except UnreadableFile as error:
        raise TableError(f"{error}; {_REMEDY}") from error


@functools.cache
def _dataset(name: str) -> str | None:
    """Our name of an image set, from one of its spellings; None for others.

    Example:
        >>> _dataset("imagenet"), _dataset("ImageNet16-120"), _dataset("CIFAR-10"), _dataset("svhn")
        ('imagenet16', 'imagenet16', 'cifar10', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return DATASETS.get(re.sub(r"(?<=imagenet)16(?:120)?$", "", plain))


@functools.cache
def _metric(name: str) -> str | None:
    """The benchmark's name of a metric, from one of its spellings; None for what is not imported.

    Example:
        >>> _metric("pgd_8.0_acc"), _metric("PGD@Linf, eps=3"), _metric("val_autoattack_acc"), _metric("train_acc")
        ('val_pgd_8.0_acc', 'val_pgd_3.0_acc', 'autoattack', None)
    """
    words = re.findall(r"[a-z]+|\d+(?:\.\d+)?", name.lower().removesuffix("/255"))
    level = next((float(word) for word in reversed(words) if word[0].isdigit()), None)
    texts = {word for word in words if not word[0].isdigit()} - {"val", "valid", "acc", "accuracy"}
    texts -= {"linf", "eps"} if level is not None else set()
    if texts <= {"clean", "natural"}:
        return "val_acc" if words and level is None else None
    key = {"aa": "autoattack"}.get(text := texts.pop(), text)
    if texts or (key == "autoattack" and level not in (None, 8.0)):
        return None
    found = key if key == "autoattack" else f"val_{key}_{level}_acc"
    return found if found in METRICS else None


def _of_download(content: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str, Any]]:
    """Data set, id, metric and values as they are in the download."""
    for dataset, networks in content.items():
        if _dataset(dataset) is not None:
            if not isinstance(networks, Mapping):
                raise TableError(f"{where}: {dataset} holds a {type(networks).__name__}, not networks by id; {_REMEDY}")
            for name, metrics in networks.items():
                if not isinstance(metrics, Mapping):
                    raise TableError(f"{where}: {dataset}, id {name} has {str(metrics)[:60]}, not metrics; {_REMEDY}")
                for metric, values in metrics.items():
                    yield dataset, name, metric, values


def _of_page(content: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str, Any]]:
    """Data set, id, metric and values as they are in the public page's table."""
    names = content[_FROM_PAGE]
    if not isinstance(names, list) or not all(isinstance(n, str) and n.count("#") == 1 for n in names):
        raise TableError(f"{where}: the key '' holds {str(names)[:60]}, not a list of dataset#metric; {_REMEDY}")
    places = [name.split("#") for name in names]
    for name, row in content.items():
        if name != _FROM_PAGE and not isinstance(row, str | int):
            if not isinstance(row, list) or len(row) != len(places):
                raise TableError(f"{where}: id {name} has {str(row)[:60]}, expected {len(places)} values; {_REMEDY}")
            for (dataset, metric), values in zip(places, row, strict=True):
                yield dataset, name, metric, values


def _page_ids(content: Mapping[str, Any], where: str) -> Ids:
    """Strings and isomorphs by the page's ids."""
    expected = {str(i): architecture for i, architecture in enumerate(NASBench201().enumerate())}
    if strange := [name for name in content if name not in expected and name != _FROM_PAGE]:
        raise TableError(f"{where}: {strange[0][:40]!r} is no id of NAS-Bench-201, 0..{len(expected) - 1}; {_REMEDY}")
    ordered = [name for name in expected if name in content]
    isomorphs = []
    for name in ordered:
        own = content[name]
        isomorph = str(own) if isinstance(own, str | int) else name
        if not isinstance(content.get(isomorph), list):
            raise TableError(f"{where}: id {name} points to {isomorph!r}, which has no values; {_REMEDY}")
        isomorphs.append(int(isomorph))
    return Ids([expected[name] for name in ordered], {n: row for row, n in enumerate(ordered)}, isomorphs)


def _collected(found: Iterable[tuple[str, str, str, Any]], ids: Ids, where: str) -> Runs:
    """All accuracies of the metrics that are imported."""
    runs: Runs = {}
    evaluated = set(map(str, ids.isomorphs))
    for theirs, name, spelling, values in found:
        dataset, metric = _dataset(theirs), _metric(spelling)
        if dataset is None or metric is None:
            continue
        if name not in ids.rows:
            raise TableError(f"{where}: {theirs}, id {name!r} is not in {META}; {_REMEDY}")
        if name not in evaluated:
            continue  # its representative's values stand for it
        networks = runs.setdefault((dataset, metric), {})
        if name in networks:
            raise TableError(f"{where}: {theirs}, id {name}: {metric} is there twice, once as {spelling}; {_REMEDY}")
        networks[name] = _by_seed(values, f"{where}: {theirs}, id {name}: {spelling}")
    return runs


def _by_seed(values: Any, where: str) -> dict[str, float]:
    """Accuracies by seed, from a dictionary, a list, or one number (the mean); without those that are null."""
    while isinstance(values, Mapping) and len(values) == 1:
        inner = next(iter(values.values()))
        if not isinstance(inner, Mapping):
            break
        values = inner  # such as a radius above the seeds
    if isinstance(values, list):
        values = {str(seed): value for seed, value in enumerate(values, start=1)}
    elif not isinstance(values, Mapping):
        values = {_MEAN: values}
    return {seed: number(value, f"{where}, {seed}", _REMEDY) for seed, value in values.items() if value is not None}


def _check_complete(runs: Runs, ids: Ids, where: str) -> None:
    """Refuse a file that lacks a metric, a network or a seed; the message names the first."""
    evaluated = sorted(set(ids.isomorphs))
    for dataset in dict.fromkeys(dataset for dataset, _ in runs):
        for metric in METRICS:
            place = f"{where}: {dataset}"
            networks = runs.get((dataset, metric))
            if networks is None:
                raise TableError(f"{place} has no {metric}; {_PARTIAL}")
            seeds = sorted({seed for values in networks.values() for seed in values})
            if len(seeds) < SEEDS and _MEAN not in seeds and metric != "autoattack":
                raise TableError(
                    f"{place}, {metric} has the seeds {', '.join(seeds) or 'none'} only, not {SEEDS}; {_PARTIAL}"
                )
            for name in map(str, evaluated):
                if name not in networks:
                    raise TableError(f"{place}, id {name} has no {metric}; {_PARTIAL}")
                if missing := [seed for seed in seeds if seed not in networks[name]]:
                    raise TableError(f"{place}, id {name}, {metric} has no seed {missing[0]}; {_PARTIAL}")


def _table(runs: Runs, ids: Ids, where: str) -> pa.Table:
    """The table of all strings: every one has its representative's means, in percent."""
    every = [value for networks in runs.values() for values in networks.values() for value in values.values()]
    unit = 1.0 if every and float(np.nanmedian(every)) > 1 else 100.0
    rows = [ids.rows[str(isomorph)] for isomorph in ids.isomorphs]
    columns: dict[str, Any] = {KEY: ids.architectures, "isomorph": pa.array(ids.isomorphs, pa.int16())}
    for dataset in dict.fromkeys(DATASETS.values()):
        for metric, part in METRICS.items():
            if (dataset, metric) not in runs:
                continue
            means = np.full(len(ids.rows), np.nan)
            for name, values in runs[dataset, metric].items():
                for seed, value in values.items():
                    if not (math.isfinite(value) and 0 <= value * unit <= 100):
                        kind = "a fraction" if unit > 1 else "percent"
                        at = f"{where}: {dataset}, id {name}, {metric}, {seed}"
                        raise TableError(f"{at} is {value}, not {kind} as the file's others; {_REMEDY}")
                if values:
                    means[ids.rows[name]] = unit * sum(values.values()) / len(values)
            columns[Column(f"{dataset}_{ADVERSARIALLY}", *part).name] = pa.array(means[rows], from_pandas=True)
    return pa.table(columns)
