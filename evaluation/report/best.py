"""The best cell by every criterion."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from agnet.tables.columns import CLEAN
from evaluation.report.drawing import draw_cell
from evaluation.report.figures import new_figure
from evaluation.report.measurements import ADVERSARIAL_MEAN, CORRUPTION_MEAN, SPACE, Measurements, Values, mean_of
from evaluation.report.section import Columns, Picture, Section

_CAPTION = (
    "The best cell by clean accuracy and by the means over the eps of every attack, over all attacks and eps, and over "
    "all corruptions and severities. Faint edges lie on no path from input to output. Cells without such a path, which "
    "no attack takes below chance, are left out. The CSV has the best cell under every attack at every eps and every "
    "corruption at every severity."
)


def best(data: Measurements) -> Section:
    """The best cells, as a table and drawn."""
    rows = {name: best_row(data, values) for name, values in data.criteria.items()}
    shown = [CLEAN, *map(mean_of, data.attacks), ADVERSARIAL_MEAN, CORRUPTION_MEAN]
    shown = [name for name in shown if name in rows]
    facts = {
        name: {
            "cell": int(data.ids[rows[name]]),
            "architecture": data.architectures[rows[name]],
            "accuracy": float(data.criteria[name][rows[name]]),
        }
        for name in shown
    }
    return Section(
        "best",
        "Best cells",
        pictures=(Picture("best_cells", _CAPTION, _draw(data, {name: rows[name] for name in shown})),),
        tables={"best_cells": best_cells(data, rows)},
        facts=facts,
        cells=tuple((name, int(data.ids[rows[name]])) for name in shown),
    )


def best_row(data: Measurements, values: Values) -> int:
    """Row of the best class; among equals that with the highest clean accuracy, then the lowest id.

    Cells whose input does not reach their output come last: no attack changes their chance accuracy, so that they would
    be the best wherever all others fall below it.
    """
    return int(np.lexsort((data.ids, -data.clean, -values, ~data.connected))[0])


def best_cells(data: Measurements, rows: Mapping[str, int]) -> Columns:
    """The best cell by every criterion, and how many other classes share its value."""
    sizes = np.bincount(SPACE.isomorphs)
    others = [name for name in (CLEAN, ADVERSARIAL_MEAN, CORRUPTION_MEAN) if name in data.criteria]
    return {
        "criterion": list(rows),
        "accuracy": [float(data.criteria[name][row]) for name, row in rows.items()],
        "ties": [_ties(data, data.criteria[name], row) for name, row in rows.items()],
        "id": [int(data.ids[row]) for row in rows.values()],
        "architecture": [data.architectures[row] for row in rows.values()],
        "class_size": [int(sizes[SPACE.isomorphs[data.ids[row]]]) for row in rows.values()],
        **{f"its {name}": data.criteria[name][list(rows.values())].tolist() for name in others},
    }


def _ties(data: Measurements, values: Values, row: int) -> int:
    return int(((values == values[row]) & (data.connected == data.connected[row])).sum()) - 1


def _draw(data: Measurements, rows: Mapping[str, int]) -> Figure:
    columns = min(4, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = new_figure(3.3 * columns, 2.6 * lines)
    axes: Sequence = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(rows) :]:
        axis.remove()
    for axis, (name, row) in zip(axes, rows.items(), strict=False):
        draw_cell(axis, data.architectures[row])
        axis.set_title(f"{name}: {data.criteria[name][row]:.2f} %\ncell {data.ids[row]}", fontsize=9)
    return figure
