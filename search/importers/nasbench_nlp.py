"""NAS-Bench-NLP: losses of recurrent cells, from the benchmark's logs or from an extract.

Source: Klyuchnikov et al., 2020, https://github.com/fmsnew/nas-bench-nlp-release (Apache-2.0). There is one JSON file
for every training. ``recepie`` is a recipe, again as JSON. ``val_losses`` and ``test_losses`` hold the losses in nats
per word after every epoch, ``wall_times`` the seconds of every epoch. ``epochs`` is the planned number of epochs,
``status`` is ``OK`` or the reason why there are fewer, ``num_params`` is the number of parameters, and ``data`` is the
folder of the text.

An extract can be read too: a folder with ``nasbenchnlp_recipes.json.gz``, recipes by id, and
``nasbenchnlp_ptb.csv.gz``, which has one line for every training on Penn Treebank with the recipe's id, the last test
loss (empty if the training diverged) and the number of parameters.
"""

import csv
import gzip
import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from agnet.errors import InvalidArchitecture, TableError
from agnet.runtime.reading import MOST_BYTES, read_json
from agnet.spaces.nasbench_nlp.recipes import from_recipe
from agnet.spaces.nasbench_nlp.space import NASBenchNLP
from agnet.tables.table import KEY
from search.importers.base import Importer, entry, number

RECIPES, LOSSES = "nasbenchnlp_recipes.json.gz", "nasbenchnlp_ptb.csv.gz"
"""File names of the extract."""

SCORE = 100.0
"""The papers' score is this number minus the loss: higher is better."""

_REMEDY = (
    "give the folder or the .zip of train_logs_single_run or train_logs_multi_runs, or a folder with "
    f"{RECIPES} and {LOSSES}"
)


@dataclass
class _Runs:
    """All trainings of one cell.

    Attributes:
        losses: losses of every training that did not diverge, by split.
        seconds: durations of the same trainings.
        diverged: number of trainings that diverged.
        parameters: number of the network's parameters.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    diverged: int = 0
    parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class NASBenchNLPRuns(Importer):
    """Reads the losses after the last epoch; they are means over the trainings that did not diverge.

    Attributes:
        partial: leave out recipes that are not cells of the space instead of refusing them.
    """

    partial: bool = False

    space: ClassVar[str] = NASBenchNLP.name

    def metadata(self) -> dict[str, str]:
        """The table's metadata: the rule that turns trainings into one number."""
        return {
            "source": "NAS-Bench-NLP",
            "seeds": "mean over the trainings that did not diverge, n_seeds; n_diverged did; recipes that are one cell "
            "of this space are taken together",
        }

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read logs or an extract; see :class:`~search.importers.base.Importer`.

        Columns are ``{dataset}_{valid,test}_loss`` in nats per word, ``_perplexity``, its exponential, and ``_score``,
        100 minus the loss; ``n_seeds``, ``n_diverged``, ``parameters`` and, from logs, ``train_time_s``. Losses are
        empty if all trainings of a cell diverged.
        """
        if (path / RECIPES).is_file() and (path / LOSSES).is_file():
            dataset, splits = "ptb", ("test",)
            found = _extract(path)
        else:
            splits = ("valid", "test")
            dataset, found = _logs(path, progress=progress)
        cells = self._cells(found, path)
        columns: dict[str, Any] = {KEY: list(cells)}
        for split in splits:
            losses = np.array([np.mean(runs.losses.get(split) or [np.nan]) for runs in cells.values()])
            columns[f"{dataset}_{split}_loss"] = pa.array(losses, from_pandas=True)
            columns[f"{dataset}_{split}_perplexity"] = pa.array(np.exp(losses), from_pandas=True)
            columns[f"{dataset}_{split}_score"] = pa.array(SCORE - losses, from_pandas=True)
        finished = [len(runs.losses.get("test", ())) for runs in cells.values()]
        columns["n_seeds"] = pa.array(finished, pa.int16())
        columns["n_diverged"] = pa.array([runs.diverged for runs in cells.values()], pa.int16())
        columns["parameters"] = pa.array([runs.parameters for runs in cells.values()], pa.int64())
        if any(runs.seconds for runs in cells.values()):
            seconds = np.array([np.mean(runs.seconds or [np.nan]) for runs in cells.values()])
            columns["train_time_s"] = pa.array(seconds, from_pandas=True)
        return pa.table(columns)

    def _cells(self, found: list[tuple[Any, _Runs]], path: Path) -> dict[str, _Runs]:
        """Runs by cell; recipes with the same string are one cell."""
        space, cells, refused = NASBenchNLP(), {}, []
        for recipe, runs in found:
            try:
                architecture = from_recipe(recipe)
                space.encode([architecture])
            except InvalidArchitecture as error:
                refused.append(str(error))
                continue
            known = cells.setdefault(architecture, _Runs())
            for split, losses in runs.losses.items():
                known.losses.setdefault(split, []).extend(losses)
            known.seconds += runs.seconds
            known.diverged += runs.diverged
            known.parameters = runs.parameters
        if refused and not self.partial:
            raise TableError(
                f"{path}: {len(refused)} of {len(found)} recipes are no cells of space=nasbench_nlp: {refused[0]}; "
                "set importer.partial=true to leave them out"
            )
        if not cells:
            raise TableError(f"{path} has no recipe that is a cell of space=nasbench_nlp; {_REMEDY}")
        return cells


def _extract(folder: Path) -> list[tuple[Any, _Runs]]:
    """Recipes and runs of the extract, in the order of its ids."""
    where = str(folder / RECIPES)
    try:
        recipes = read_json(folder / RECIPES)
        with gzip.open(folder / LOSSES) as file:
            lines = file.read(MOST_BYTES).decode().splitlines()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise TableError(f"{folder} is damaged ({type(error).__name__}: {error}); {_REMEDY}") from error
    found: dict[str, _Runs] = {}
    for row, line in enumerate(csv.DictReader(lines), start=2):
        at = f"{folder / LOSSES}: line {row}"
        name, loss = entry(line, "arch_id", at, _REMEDY), entry(line, "test_loss_final", at, _REMEDY)
        runs = found.setdefault(name, _Runs())
        try:
            runs.parameters = int(entry(line, "params", at, _REMEDY))
            _add(runs, {"test": float(loss) if loss else math.nan})
        except (TypeError, ValueError) as error:
            raise TableError(f"{at} is damaged ({error}); {_REMEDY}") from error
    return [(entry(entry(recipes, name, where, _REMEDY), "recipe", where, _REMEDY), found[name]) for name in found]


def _logs(path: Path, *, progress: bool) -> tuple[str, list[tuple[Any, _Runs]]]:
    """Name of the text, and recipes and runs of the logs."""
    found: dict[str, tuple[Any, _Runs]] = {}
    datasets: dict[str, str] = {}
    for where, content in tqdm(_files(path), unit="file", disable=None if progress else True):
        try:
            log = json.loads(content)
            recipe = json.loads(entry(log, "recepie", where, _REMEDY))
        except (ValueError, TypeError, RecursionError) as error:
            raise TableError(f"{where} is damaged ({type(error).__name__}: {error}); {_REMEDY}") from error
        name = str(entry(log, "data", where, _REMEDY)).rstrip("/").rsplit("/", maxsplit=1)[-1]
        datasets.setdefault(name.replace("-", "").lower(), where)
        if len(datasets) > 1:
            raise TableError(f"{path} has trainings on {' and on '.join(datasets)} ({where}); give one's folder")
        runs = found.setdefault(json.dumps(recipe, sort_keys=False), (recipe, _Runs()))[1]
        runs.parameters = int(number(entry(log, "num_params", where, _REMEDY), f"{where}: num_params", _REMEDY))
        if _add(runs, {split: _last(log, split, where) for split in ("valid", "test")}):
            runs.seconds.append(sum(_numbers(log, "wall_times", where)))
    if not found:
        raise TableError(f"{path} has no .json file of a training; {_REMEDY}")
    return next(iter(datasets)), list(found.values())


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every log, each once, since the benchmark's two folders share some files."""
    seen: set[str] = set()
    paths = sorted(p for p in path.rglob("*") if p.suffix in (".json", ".zip")) if path.is_dir() else [path]
    for file in paths:
        if file.suffix == ".json":
            if file.name not in seen:
                seen.add(file.name)
                yield str(file), file.read_bytes()
            continue
        try:
            with zipfile.ZipFile(file) as archive:
                for name in sorted(archive.namelist()):
                    base = name.rsplit("/", maxsplit=1)[-1]
                    if base.endswith(".json") and not base.startswith(".") and base not in seen:
                        seen.add(base)
                        yield f"{file}: {name}", archive.read(name)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise TableError(f"{file} is no .zip, or damaged ({error}); {_REMEDY}") from error


def _last(log: dict[str, Any], split: str, where: str) -> float:
    """The loss after the last epoch; NaN if the training stopped earlier."""
    losses = _numbers(log, "val_losses" if split == "valid" else "test_losses", where)
    complete = log.get("status", "OK") == "OK" and len(losses) == log.get("epochs", len(losses))
    return losses[-1] if losses and complete else math.nan


def _numbers(log: dict[str, Any], key: str, where: str) -> list[float]:
    values = entry(log, key, where, _REMEDY)
    if not isinstance(values, list):
        raise TableError(f"{where}: {key} is no list; {_REMEDY}")
    return [number(value, f"{where}: {key}", _REMEDY) for value in values]


def _add(runs: _Runs, losses: dict[str, float]) -> bool:
    """Add a training; returns whether it did not diverge."""
    finite = all(map(math.isfinite, losses.values()))
    if finite:
        for split, loss in losses.items():
            runs.losses.setdefault(split, []).append(loss)
    else:
        runs.diverged += 1
    return finite
