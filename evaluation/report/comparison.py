"""Numbers of two tables of the same cells: rank correlations, and what the best cells of one are worth in the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from agnet.tables.columns import ATTACK, parse_column
from evaluation.report.costs import count_costs
from evaluation.report.kendall import taus, tied
from evaluation.report.measurements import SPACE, Measurements, Values
from evaluation.report.pair import Pair
from evaluation.report.section import Columns

BAR = "number of parameters"
"""Parameters of the benchmark's CIFAR-10 network, dead edges included: they cost nothing, so they are the bar.

Multiply-accumulates order cells alike: in neither count do the at most six 1x1 convolutions outweigh a 3x3 one.
"""

TIES = 0.1
"""Share of tied pairs above which an accuracy tells too little to stand for robustness."""


@dataclass(frozen=True)
class Comparison:
    """Columns of two tables of the same cells.

    Attributes:
        ids: the benchmark's ids of the cells that the first table evaluated for the common classes, ascending.
        here: columns of the first table over the common classes, and the bar.
        there: columns of the other table over the common classes.
        here_by_string: columns of the first table over the strings that have a row in both, and the bar.
        there_by_string: columns of the other table over the strings that have a row in both.
        best: rows of the best classes by every column of ``here``, from the best.
    """

    ids: Int[np.ndarray, " classes"]
    here: Mapping[str, Values]
    there: Mapping[str, Values]
    here_by_string: Mapping[str, Float[np.ndarray, " strings"]]
    there_by_string: Mapping[str, Float[np.ndarray, " strings"]]
    best: Mapping[str, Int[np.ndarray, " _"]]

    def __repr__(self) -> str:
        return f"Comparison({len(self.ids):,} classes, {len(self.here)} columns against {len(self.there)})"

    @cached_property
    def architectures(self) -> list[str]:
        """The cells of the common classes."""
        cells = SPACE.enumerate()
        return [cells[int(number)] for number in self.ids]

    @property
    def num_strings(self) -> int:
        """Number of strings that have a row in both tables."""
        return len(self.here_by_string[BAR])

    @cached_property
    def main(self) -> str:
        """The other table's column that is drawn and summarised."""
        return main_column(self.there)

    @cached_property
    def taus(self) -> Float[np.ndarray, "here there"]:
        """Kendall's tau-b over the common classes."""
        return taus(self.here, self.there)

    @cached_property
    def taus_by_string(self) -> Float[np.ndarray, "here there"]:
        """Kendall's tau-b over the common strings."""
        return taus(self.here_by_string, self.there_by_string)

    def matrix(self, *, by_string: bool = False) -> Columns:
        """Taus as a table, with the share of tied pairs of every row's column."""
        values = self.here_by_string if by_string else self.here
        found = self.taus_by_string if by_string else self.taus
        return {
            "": list(values),
            "tied_pairs": [tied(v[~np.isnan(v)]) for v in values.values()],
            **dict(zip(self.there, found.T.tolist(), strict=True)),
        }

    def main_taus(self, *, by_string: bool = False) -> dict[str, float]:
        """Tau of every column of the first table with the main column of the other one."""
        found = self.taus_by_string if by_string else self.taus
        return dict(zip(self.here, found[:, list(self.there).index(self.main)].tolist(), strict=True))

    def cells(self) -> Columns:
        """All values over the common classes; those of the other table are named ``against NAME``."""
        other = {f"against {name}": values for name, values in self.there.items()}
        return {
            "id": self.ids.tolist(),
            "architecture": self.architectures,
            **{name: values.tolist() for name, values in (dict(self.here) | other).items()},
        }

    def best_cells(self) -> Columns:
        """Value and rank in every column of the other table of the best cells by every column of the first one."""
        table: dict[str, list[object]] = {
            name: [] for name in ("by", "place", "id", "architecture", "value", "column", "value_there",
                                  "rank_of_classes", "classes", "rank_of_strings", "strings", "highest_there")
        }  # fmt: skip
        for by, rows in self.best.items():
            for place, row in enumerate(rows.tolist(), start=1):
                for column, values in self.there.items():
                    strings, value = self.there_by_string[column], float(values[row])
                    found = (
                        *(by, place, int(self.ids[row]), self.architectures[row], float(self.here[by][row])),
                        *(column, value, rank(value, values), _known(values), rank(value, strings), _known(strings)),
                        highest(values),
                    )
                    for name, item in zip(table, found, strict=True):
                        table[name].append(item)
        return table


def compare(data: Measurements, pair: Pair, top: int) -> Comparison:
    """Compare two tables.

    Args:
        data: the data set of the first table that is reported on.
        pair: this table and the other one, as :func:`~evaluation.report.pair.read_pair` reads them.
        top: number of best cells to keep of every column.
    """
    names = pair.columns_of(data.dataset)
    rows = np.array([data.row_of_class[number] for number in pair.classes])
    cells = [data.architectures[row] for row in rows]
    here, by_string = pair.by_class(pair.table), pair.by_string(pair.table)
    bar = count_costs([*cells, *pair.strings])["parameters"]
    here = {name: here[name] for name in names} | {BAR: bar[: len(cells)]}
    return Comparison(
        data.ids[rows],
        here,
        pair.by_class(pair.other),
        {name: by_string[name] for name in names} | {BAR: bar[len(cells) :]},
        pair.by_string(pair.other),
        {name: _best(data, rows, values)[:top] for name, values in here.items()},
    )


def main_column(columns: Mapping[str, Values]) -> str:
    """The column that stands for robustness: PGD, or else any attack, at the largest eps that tells cells apart.

    Without an attack it is the first column.

    Example:
        >>> few, many = np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
        >>> main_column({"a_pgd_eps2": many, "a_pgd_eps4": many, "a_pgd_eps8": few, "a_square_eps9": many})
        'a_pgd_eps4'
    """
    parsed = {name: c for name in columns if (c := parse_column(name)) is not None and c.kind == ATTACK}
    candidates = [name for name, column in parsed.items() if "pgd" in column.key.split("_")] or list(parsed)
    apart = [name for name in candidates if tied(columns[name][~np.isnan(columns[name])]) <= TIES] or candidates
    return max(apart, key=lambda name: parsed[name].level) if apart else next(iter(columns))


def rank(value: float, values: Float[np.ndarray, " cells"]) -> int | None:
    """One more than the number of higher values; None for NaN.

    Example:
        >>> rank(2.0, np.array([3.0, 2.0, 2.0, np.nan, 1.0]))
        2
    """
    return None if np.isnan(value) else 1 + int((values > value).sum())


def highest(values: Float[np.ndarray, " cells"]) -> float:
    """The highest known value; NaN if none is known."""
    return float(np.nanmax(values)) if _known(values) else float("nan")


def _best(data: Measurements, rows: Int[np.ndarray, " classes"], values: Values) -> Int[np.ndarray, " known"]:
    """Classes with a value from the best on, by the rule of :func:`~evaluation.report.best.best_row`."""
    order = np.lexsort((data.ids[rows], -data.clean[rows], -values, ~data.connected[rows]))
    return order[~np.isnan(values[order])]


def _known(values: Float[np.ndarray, " cells"]) -> int:
    return int((~np.isnan(values)).sum())
