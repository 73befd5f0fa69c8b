"""The best cell by every criterion."""

import math

import numpy as np

from agnet.columns import CLEAN
from evaluation.report.drawing import draw_cell
from evaluation.report.figures import new_figure
from evaluation.report.measurements import ADVERSARIAL_MEAN, CORRUPTION_MEAN, SPACE, Measurements, Values, words
from evaluation.report.section import Columns, Picture, Section


def best(data: Measurements) -> Section:
    """The best cells, as a table and drawn."""
    table = best_cells(data)
    rows = dict(zip(map(str, table["criterion"]), range(len(table["criterion"])), strict=True))
    shown = [CLEAN, *(f"{words(key)} mean" for key in data.attacks), ADVERSARIAL_MEAN, CORRUPTION_MEAN]
    shown = [name for name in shown if name in rows]
    columns = min(4, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = new_figure(3.3 * columns, 2.9 * lines)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(shown) :]:
        axis.remove()
    for axis, name in zip(axes, shown, strict=False):
        row = rows[name]
        draw_cell(axis, str(table["architecture"][row]))
        axis.set_title(f"{name}: {table['value'][row]:.2f} %\ncell {table['id'][row]}", fontsize=9)
    caption = (
        "The best cell by clean accuracy and by the means over the eps of every attack, over all attacks and eps, and over "
        "all corruptions and severities. Faint edges lie on no path from input to output. The CSV has the best cell for "
        "every attack at every eps and every corruption at every severity."
    )
    facts = {name: {key: table[key][rows[name]] for key in ("id", "architecture", "value", "ties")} for name in shown}
    return Section(
        "best",
        "Best cells",
        "",
        (Picture("best_cells", caption, figure),),
        {"best_cells": table},
        facts,
        tuple((name, int(str(table["id"][rows[name]]))) for name in shown),
    )


def best_row(data: Measurements, values: Values) -> int:
    """Row of the best class; among equals that with the highest clean accuracy, then the lowest id."""
    return int(np.lexsort((data.ids, -data.clean, -values))[0])


def best_cells(data: Measurements) -> Columns:
    """The best cell by every criterion, and how many classes share its value."""
    rows = {name: best_row(data, values) for name, values in data.criteria.items()}
    sizes = np.bincount(SPACE.isomorphs)
    others = {"clean": data.clean} | {k: v for k, v in data.means.items() if k in (ADVERSARIAL_MEAN, CORRUPTION_MEAN)}
    return {
        "criterion": list(rows),
        "value": [float(data.criteria[name][row]) for name, row in rows.items()],
        "ties": [int((data.criteria[name] == data.criteria[name][row]).sum()) - 1 for name, row in rows.items()],
        "id": [int(data.ids[row]) for row in rows.values()],
        "architecture": [data.architectures[row] for row in rows.values()],
        "class_size": [int(sizes[SPACE.isomorphs[data.ids[row]]]) for row in rows.values()],
        **{f"its {name}": [float(values[row]) for row in rows.values()] for name, values in others.items()},
    }
