"""Measurements of the evaluated classes of one data set, from a robustness table."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from agnet.spaces.nasbench201 import NASBench201, parse
from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION, MEASURE, Column
from evaluation.networks.nasbench201 import edges_to_output

SPACE = NASBench201()
IDS = {cell: number for number, cell in enumerate(SPACE.enumerate())}
"""The benchmark's id of every cell."""

ADVERSARIAL_MEAN, CORRUPTION_MEAN = "adversarial mean", "corruption mean"

Values = Float[np.ndarray, " classes"]


def words(key: str) -> str:
    """A column's key as it is shown.

    Example:
        >>> words("gaussian_noise")
        'gaussian noise'
    """
    return key.replace("_", " ")


def label(column: Column) -> str:
    """What an accuracy is of.

    Example:
        >>> label(Column("cifar10", "test", "attack", "pgd", 0.5)), label(Column("cifar10", "test", "clean", "clean"))
        ('pgd eps 0.5', 'clean')
    """
    if column.kind == CLEAN:
        return CLEAN
    return f"{words(column.key)} {'eps ' if column.kind == ATTACK else 's'}{column.level:g}"


def mean_of(key: str) -> str:
    """Name of the mean over the levels of an attack or a corruption.

    Example:
        >>> mean_of("apgd_ce")
        'apgd ce mean'
    """
    return f"{words(key)} mean"


@dataclass(frozen=True)
class Measurements:
    """One row for every class of isomorphic cells that was evaluated.

    Attributes:
        dataset: name of the image set.
        split: ``valid``, ``test``, or empty where the table's names have none.
        ids: the benchmark's ids of the evaluated cells, ascending.
        values: accuracies and confidences (of this split) and measures, by what their columns' names say. Accuracies
            are in percent and complete; the others are NaN where nothing was measured.
        costs: parameters, operations, latencies, by their columns' names.
    """

    dataset: str
    split: str
    ids: Int[np.ndarray, " classes"]
    values: Mapping[Column, Values]
    costs: Mapping[str, Values]

    def __repr__(self) -> str:
        where = f"{self.dataset} {self.split}".strip()
        return f"Measurements({where}: {len(self.ids)} classes, {len(self.values)} columns, {len(self.costs)} costs)"

    @cached_property
    def architectures(self) -> list[str]:
        """The evaluated cells, one for each class."""
        cells = SPACE.enumerate()
        return [cells[int(i)] for i in self.ids]

    @cached_property
    def row_of_class(self) -> dict[int, int]:
        """Row of every evaluated class, named by the lowest id of its members."""
        return {SPACE.isomorphs[i]: row for row, i in enumerate(self.ids.tolist())}

    @cached_property
    def connected(self) -> Bool[np.ndarray, " classes"]:
        """Whether the input of a cell reaches its output; a network of other cells answers the same for every image."""
        reached = [edges_to_output(parse(cell)) for cell in self.architectures]
        return np.array([any(source == 0 for _, source, _ in edges) for edges in reached], dtype=bool)

    @property
    def clean(self) -> Values:
        """Clean accuracies."""
        return next(values for column, values in self.accuracies.items() if column.kind == CLEAN)

    @cached_property
    def accuracies(self) -> dict[Column, Values]:
        """All accuracies: clean, then attacks, then corruptions, each in the table's order with rising levels."""
        return {
            column: self.values[column]
            for kind in (CLEAN, ATTACK, CORRUPTION)
            for columns in self._levels(kind, "accuracy").values()
            for column in columns
        }

    @property
    def attacks(self) -> dict[str, list[Column]]:
        """Accuracies under every attack, by rising eps."""
        return self._levels(ATTACK, "accuracy")

    @property
    def corruptions(self) -> dict[str, list[Column]]:
        """Accuracies under every corruption, by rising severity."""
        return self._levels(CORRUPTION, "accuracy")

    @property
    def measures(self) -> dict[str, Values]:
        """Training-free measures of initialised and trained networks."""
        return {f"{words(c.key)}, {c.quantity}": values for c, values in self.values.items() if c.kind == MEASURE}

    def confidences(self, quantity: str) -> dict[str, list[Column]]:
        """Columns of a mean confidence (``confidence_right`` or ``confidence_wrong``), clean and under attacks."""
        return self._levels(CLEAN, quantity) | self._levels(ATTACK, quantity)

    def mean(self, columns: list[Column]) -> Values:
        """Mean of several columns."""
        return np.mean([self.values[column] for column in columns], axis=0)

    @cached_property
    def criteria(self) -> dict[str, Values]:
        """What a cell can be best at: every accuracy, and means over levels, attacks and corruptions."""
        named = {label(column): values for column, values in self.accuracies.items()}
        return named | self.means

    @cached_property
    def means(self) -> dict[str, Values]:
        """Means over the levels of an attack or corruption, and over all columns of attacks or corruptions."""
        named = {}
        for groups, name in ((self.attacks, ADVERSARIAL_MEAN), (self.corruptions, CORRUPTION_MEAN)):
            named |= {mean_of(key): self.mean(columns) for key, columns in groups.items()}
            if groups:
                named[name] = self.mean([column for columns in groups.values() for column in columns])
        return named

    def _levels(self, kind: str, quantity: str) -> dict[str, list[Column]]:
        found: dict[str, list[Column]] = {}
        for column in self.values:
            if (column.kind, column.quantity) == (kind, quantity):
                found.setdefault(column.key, []).append(column)
        return {key: sorted(columns, key=lambda c: c.level) for key, columns in found.items()}
