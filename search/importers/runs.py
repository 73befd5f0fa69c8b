"""Accuracies from training runs as NAS-Bench-201 and NATS-Bench store them.

One architecture, trained for one number of epochs, is a dictionary. ``arch_str`` is its string, and ``dataset_seed``
holds the seeds of every entry. ``all_results`` has a dictionary per ``(entry, seed)`` with ``epochs``, ``params`` and
``flop`` in millions, ``train_times`` in seconds per epoch (or None), and ``eval_acc1es``, accuracies in percent under
``set@epoch`` with epochs counted from 0.
Source: the benchmarks' API, https://github.com/D-X-Y/NATS-Bench (MIT), class ``ResultsCount``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa

from agnet.errors import ConfigurationError, TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import KEY
from search.importers.base import Importer, entry, number

ACCURACIES = {
    "cifar10_valid": ("cifar10-valid", "x-valid"),  # trained on half of the training images
    "cifar10_test": ("cifar10", "ori-test"),  # trained on all training images
    "cifar100_valid": ("cifar100", "x-valid"),
    "cifar100_test": ("cifar100", "x-test"),
    "imagenet16_valid": ("ImageNet16-120", "x-valid"),
    "imagenet16_test": ("ImageNet16-120", "x-test"),
}
"""Column -> entry and evaluated set. Others exist (``cifar10-valid`` has an ``ori-test``) and mean other numbers."""

ENTRIES = tuple(dict.fromkeys(name for name, _ in ACCURACIES.values()))

COLUMNS = (*ACCURACIES, "n_seeds", "cifar10_train_time_s", "params_m", "flops_m")

COSTS = ("params", "flop")

EPOCHS = (200, 12)


@dataclass(frozen=True, kw_only=True)
class RunImporter(Importer):
    """Settings that the sources of training runs share.

    Attributes:
        epochs: 200 for the trainings that papers report, 12 for the short ones; they are different trainings.
        partial: import a source that lacks architectures instead of refusing it.
    """

    epochs: int = 200
    partial: bool = False

    def __post_init__(self) -> None:
        if self.epochs not in EPOCHS:
            raise ConfigurationError(f"importer.epochs={self.epochs}; the benchmark was trained for 200 or 12 epochs")

    def metadata(self) -> dict[str, str]:
        """The table's metadata: epochs, and the rule that turns seeds into one number."""
        return {
            "epochs": str(self.epochs),
            "seeds": "mean over all seeds of the source; n_seeds is the smallest number of any data set",
        }


class Runs:
    """Rows of architectures, filled in any order.

    Args:
        epochs: number of epochs of the trainings.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._names = NASBench201().enumerate()
        self._values = np.full((len(self._names), len(COLUMNS)), np.nan)
        self._filled = np.zeros(len(self._names), dtype=bool)

    def __len__(self) -> int:
        """Number of architectures of the benchmark."""
        return len(self._names)

    def add(self, index: int, runs: Any, where: str, remedy: str) -> None:
        """Add one architecture's runs.

        Args:
            index: the benchmark's id.
            runs: the dictionary that the module's docstring describes.
            where: name of the file, for errors.
            remedy: advice for the user, for errors.

        Raises:
            TableError: for another architecture than the id's, a missing entry, or values that are not accuracies.
        """
        name = entry(runs, "arch_str", where, remedy)
        if not 0 <= index < len(self) or name != self._names[index]:
            raise TableError(f"{where} is {name!r}, which is not NAS-Bench-201's architecture {index}; {remedy}")
        self._values[index] = _row(runs, self._epochs, where, remedy)
        self._filled[index] = True

    def table(self, where: str, *, partial: bool) -> pa.Table:
        """All filled rows, in the order of ids.

        Raises:
            TableError: if no row is filled, or if any is missing without ``partial``.
        """
        missing = np.flatnonzero(~self._filled)
        if len(missing) == len(self):
            raise TableError(f"{where} has no architecture; is it the benchmark's file?")
        if len(missing) and not partial:
            raise TableError(
                f"{where} lacks {len(missing)} of {len(self)} architectures, the first with id {missing[0]}; "
                "extract or download it again, or set importer.partial=true to import the others"
            )
        suffix = "" if self._epochs == 200 else f"_{self._epochs}epochs"
        values = self._values[self._filled]
        columns: dict[str, Any] = {KEY: [self._names[i] for i in np.flatnonzero(self._filled).tolist()]}
        for position, column in enumerate(COLUMNS):
            kind = pa.int8() if column == "n_seeds" else pa.float64()
            columns[column + suffix] = pa.array(values[:, position], from_pandas=True).cast(kind)
        return pa.table(columns)


def _row(runs: Any, epochs: int, where: str, remedy: str) -> list[float]:
    """Values in the order of :data:`COLUMNS`."""
    results = {name: _results(runs, name, epochs, where, remedy) for name in ENTRIES}
    row = []
    for name, split in ACCURACIES.values():
        key, inside = f"{split}@{epochs - 1}", f"{where}, {name}, eval_acc1es"
        accuracies = [
            number(entry(entry(r, "eval_acc1es", where, remedy), key, inside, remedy), f"{inside}, {key}", remedy)
            for r in results[name]
        ]
        if not all(0 <= a <= 100 for a in accuracies):
            raise TableError(f"{inside}: {key} is {accuracies}; accuracies are in percent; {remedy}")
        row.append(fmean(accuracies))
    row.append(float(min(map(len, results.values()))))
    row.append(fmean(_train_time(r, f"{where}, cifar10-valid, train_times", remedy) for r in results["cifar10-valid"]))
    return [*row, *_costs(runs, results["cifar10"], where, remedy)]


def _costs(runs: Any, results: list[Mapping[str, Any]], where: str, remedy: str) -> tuple[float, float]:
    """Parameters and operations in millions: of every seed, or of those seeds that have the string's own network.

    Official files hold another network's numbers for some seeds (NATS-Bench's issue 36).
    """
    at = f"{where}, cifar10"
    found = {tuple(number(entry(r, cost, at, remedy), f"{at}, {cost}", remedy) for cost in COSTS) for r in results}
    if len(found) > 1:
        right = _parameters(entry(runs, "arch_str", where, remedy)) / 1e6
        own = {costs for costs in found if abs(costs[0] - right) < 5e-7}
        if len(own) != 1:
            raise TableError(
                f"{at}: (params, flop) is {' and '.join(map(str, sorted(found)))} for its seeds, and the "
                f"string has {right} million parameters; {remedy}"
            )
        found = own
    [(parameters, operations)] = found
    return parameters, operations


def _parameters(architecture: str) -> int:
    """Parameters of a cell's network for CIFAR-10: three stages of five cells, of 16, 32 and 64 channels."""
    count = 73_306  # of the network without cells
    for channels in (16, 32, 64):
        count += 5 * architecture.count("nor_conv_3x3") * (9 * channels**2 + 2 * channels)
        count += 5 * architecture.count("nor_conv_1x1") * (channels**2 + 2 * channels)
    return count


def _results(runs: Any, name: str, epochs: int, where: str, remedy: str) -> list[Mapping[str, Any]]:
    """One dictionary per seed of an entry."""
    seeds = entry(entry(runs, "dataset_seed", where, remedy), name, f"{where}, {epochs} epochs", remedy)
    if not isinstance(seeds, list | tuple) or not seeds:
        raise TableError(f"{where}: the seeds of {name} are {seeds!r}; {remedy}")
    stored = entry(runs, "all_results", where, remedy)
    results = [entry(stored, (name, seed), f"{where}, all_results", remedy) for seed in seeds]
    for result in results:
        trained = entry(result, "epochs", f"{where}, {name}", remedy)
        if trained != epochs:
            raise TableError(f"{where}, {name} was trained for {trained} epochs, not {epochs}; {remedy}")
    return results


def _train_time(result: Any, where: str, remedy: str) -> float:
    """Total seconds of all epochs; NaN if they were not recorded."""
    times = entry(result, "train_times", where, remedy)
    if times is None:
        return float("nan")
    if not isinstance(times, Mapping):
        raise TableError(f"{where} holds a {type(times).__name__}, not seconds per epoch; {remedy}")
    return float(sum(number(t, where, remedy) for t in times.values()))
