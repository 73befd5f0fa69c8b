"""Neighbours of the best cell: the effect of changing one operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from agnet.spaces.nasbench201 import EDGES, OPERATIONS, parse, to_string
from agnet.tables.columns import CLEAN
from evaluation.report.best import best_row
from evaluation.report.drawing import EDGE_NAMES, LABELS
from evaluation.report.figures import heatmap, new_figure
from evaluation.report.measurements import ADVERSARIAL_MEAN, CORRUPTION_MEAN, IDS, SPACE, Measurements, Values, mean_of
from evaluation.report.section import Columns, Picture, Section


@dataclass(frozen=True)
class Neighbour:
    """A cell that differs from another on one edge.

    Attributes:
        edge: number of the edge, 0..5.
        before: the other cell's operation there.
        after: operation of the neighbour there.
        architecture: string of the neighbour.
        row: row of its class among the evaluated ones; None where its class was not evaluated.
    """

    edge: int
    before: str
    after: str
    architecture: str
    row: int | None

    def change(self, values: Values, row: int) -> float:
        """By how much a value changes from the row of the other cell; NaN where the neighbour was not evaluated."""
        return float("nan") if self.row is None else float(values[self.row] - values[row])


def neighbours(data: Measurements) -> Section:
    """Changes around the cells that are best by clean and by mean adversarial accuracy."""
    shown = {n: data.criteria[n] for n in (CLEAN, ADVERSARIAL_MEAN, CORRUPTION_MEAN) if n in data.criteria}
    pictures, tables, cells, facts = [], {}, [], {}
    for criterion, stem in ((CLEAN, "neighbours_clean"), (ADVERSARIAL_MEAN, "neighbours_adversarial")):
        if criterion not in shown:
            continue
        row = best_row(data, shown[criterion])
        around = neighbours_of(data, data.architectures[row])
        caption = (
            f"The best cell by {criterion}, id {data.ids[row]}, {data.architectures[row]}, with the operation of one "
            "edge (row) replaced by another (column): by how many points accuracies change. A dot marks the operation "
            "that the cell has; a grey field without a dot was not evaluated."
        )
        pictures.append(Picture(stem, caption, _draw(around, row, shown)))
        tables[stem] = changes(data, around, row, shown | {mean_of(k): data.means[mean_of(k)] for k in data.attacks})
        cells.append((f"best by {criterion}", int(data.ids[row])))
        known = [c for n in around if not np.isnan(c := n.change(shown[criterion], row))]
        facts[criterion] = {
            "neighbours evaluated": len(known),
            "median change": float(np.median(known)) if known else float("nan"),
        }
    return Section("neighbours", "Neighbours of the best cells", "", tuple(pictures), tables, facts, tuple(cells))


def neighbours_of(data: Measurements, architecture: str) -> list[Neighbour]:
    """The 24 neighbours of a cell, edge by edge."""
    found = []
    for edge, before in enumerate(operations := parse(architecture)):
        for after in OPERATIONS:
            if after != before:
                other = to_string([*operations[:edge], after, *operations[edge + 1 :]])
                row = data.row_of_class.get(SPACE.isomorphs[IDS[other]])
                found.append(Neighbour(edge, before, after, other, row))
    return found


def changes(data: Measurements, around: Sequence[Neighbour], row: int, criteria: Mapping[str, Values]) -> Columns:
    """Neighbours of the cell in a row, and by how many points they change each criterion."""
    return {
        "edge": [n.edge + 1 for n in around],
        "source": [EDGES[n.edge][0] for n in around],
        "target": [EDGES[n.edge][1] for n in around],
        "from": [n.before for n in around],
        "to": [n.after for n in around],
        "architecture": [n.architecture for n in around],
        "id": [IDS[n.architecture] for n in around],
        "evaluated_id": ["" if n.row is None else int(data.ids[n.row]) for n in around],
        **{f"change of {name}": [n.change(values, row) for n in around] for name, values in criteria.items()},
    }


def _draw(around: Sequence[Neighbour], row: int, shown: Mapping[str, Values]) -> Figure:
    operations = list(LABELS)
    own = {n.edge: n.before for n in around}
    figure = new_figure(3.7 * len(shown), 3.0)
    axes = figure.subplots(1, len(shown), squeeze=False, sharey=True).flat
    for axis, (name, values) in zip(axes, shown.items(), strict=True):
        matrix = np.full((len(EDGES), len(operations)), np.nan)
        for neighbour in around:
            matrix[neighbour.edge, operations.index(neighbour.after)] = neighbour.change(values, row)
        bound = max([1.0, *np.abs(matrix[~np.isnan(matrix)])])
        heatmap(
            axis, matrix, rows=[f"edge {n}" for n in EDGE_NAMES], columns=list(LABELS.values()),
            limits=(-bound, bound), form="{:+.1f}", size=8.0,
        )  # fmt: skip
        for edge, operation in own.items():
            axis.plot(operations.index(operation), edge, marker="o", color="0.25", ms=5)
        axis.set_title(f"{name}: {values[row]:.1f} %", fontsize=9, loc="left")
    return figure
