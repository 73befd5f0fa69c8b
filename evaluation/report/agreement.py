"""One table against another of the same cells: does an order by one table's column hold in the other?"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from agnet.tables.columns import parse_column
from evaluation.report.comparison import BAR, Comparison, compare, highest, rank
from evaluation.report.figures import BLUE, GREEN, ORANGE, grid, heatmap, new_figure
from evaluation.report.measurements import Measurements
from evaluation.report.pair import Pair
from evaluation.report.section import Picture, Section

SHOWN = 40
"""Rows (beside the bar) and columns of the matrix that are drawn, at most."""

PANELS = 5
"""Scatter plots, at most, beside the bar's."""


def agreement(data: Measurements, pair: Pair, top: int) -> Section:
    """Kendall's tau between the columns of two tables, and what the best cells of one are worth in the other.

    Args:
        data: the data set of the first table that is reported on.
        pair: this table and the other one, as :func:`~evaluation.report.pair.read_pair` reads them.
        top: number of best cells by every column to look up in the other table.
    """
    title = f"Against {pair.other.name}"
    if not pair.columns_of(data.dataset):
        return Section("against", title, f"None of the chosen columns is of {data.dataset}.")
    found = compare(data, pair, top)
    main, values, strings = found.main, found.there[found.main], found.there_by_string[found.main]
    first = {name: int(rows[0]) for name, rows in found.best.items() if len(rows)}
    reached = {name: float(values[row]) for name, row in first.items()}
    return Section(
        "against",
        title,
        _findings(found, pair),
        (
            Picture("against_kendall", _about_matrix(found, pair), _matrix(found, pair)),
            Picture("against_scatter", _about_scatter(found, pair), _scatter(found)),
        ),
        {
            "against_kendall": found.matrix(),
            "against_kendall_strings": found.matrix(by_string=True),
            "against_best": found.best_cells(),
            "against_cells": found.cells(),
        },
        {
            "common classes": len(found.ids),
            "common strings": found.num_strings,
            f"tau with {main}": found.main_taus(),
            f"tau with {main} over strings": found.main_taus(by_string=True),
            f"highest {main}": highest(values),
            f"{main} of the best cell by": reached,
            "its rank among the classes": {name: rank(value, values) for name, value in reached.items()},
            "its rank among the strings": {name: rank(value, strings) for name, value in reached.items()},
        },
        tuple((f"best {name}", int(found.ids[row])) for name, row in first.items()),
    )


def _findings(found: Comparison, pair: Pair) -> str:
    taus = found.main_taus()
    bar = taus.pop(BAR)
    better = [name for name, tau in taus.items() if tau > bar]
    known = {name: tau for name, tau in taus.items() if not np.isnan(tau)}
    most = max(known, key=lambda name: known[name], default=None)
    return (
        f"{pair.table.name} and {pair.other.name} share {len(found.ids):,} classes of isomorphic cells and "
        f"{found.num_strings:,} strings. The bar is the number of parameters, which costs nothing: its tau with "
        f"{found.main} over the classes is {_said(bar)}. {len(better)} of {len(taus)} columns reach more"
        + (f"; the highest is {most} with {_said(known[most])}." if most else ".")
    )


def _said(tau: float) -> str:
    return "undefined" if np.isnan(tau) else f"{tau:.2f}"


def _about_matrix(found: Comparison, pair: Pair) -> str:
    left_out = len(found.here) - 1 > SHOWN or len(found.there) > SHOWN
    return (
        f"Kendall's tau-b of columns of {pair.table.name} (rows) with columns of {pair.other.name} over the "
        f"{len(found.ids):,} classes that both have. The last row is the bar. "
        + (f"The first {SHOWN} are drawn, the CSV has all. " if left_out else "")
        + "The column tied_pairs of the CSV has the share of pairs of equal value; against_kendall_strings.csv has tau "
        f"over the {found.num_strings:,} strings that have a row in both."
    )


def _matrix(found: Comparison, pair: Pair) -> Figure:
    rows = [name for name in found.here if name != BAR][:SHOWN]
    columns, count = list(found.there)[:SHOWN], len(rows)
    values = np.vstack([found.taus[:count], found.taus[-1:]])[:, : len(columns)]
    figure = new_figure(0.42 * len(columns) + 3.6, 0.2 * count + 2.8)
    axis = figure.add_subplot()
    image = heatmap(axis, values, rows=[*rows, f"the bar: {BAR}"], columns=columns, limits=(-1.0, 1.0), size=7.0)
    axis.axhline(count - 0.5, color="black", lw=1.2)
    axis.set_title(f"rows: {pair.table.name}\ncolumns: {pair.other.name}", fontsize=8, loc="left")
    figure.colorbar(image, ax=axis, label="tau", aspect=40).outline.set_visible(False)
    return figure


def _about_scatter(found: Comparison, pair: Pair) -> str:
    return (
        f"The common classes: {found.main} of {pair.other.name} against columns of {pair.table.name} and against the "
        "number of parameters, with tau. Where there are too many columns, that eps of every attack is drawn at which "
        "the classes differ most (interquartile range). Star: the best cell by the panel's column, with its rank "
        f"among the {len(found.ids):,} classes. Diamond: the best of {pair.other.name}."
    )


def _scatter(found: Comparison) -> Figure:
    names, values, taus = _panels(found), found.there[found.main], found.main_taus()
    figure, axes = grid(len(names), 3, 3.2, 2.7)
    for axis, name in zip(axes, names, strict=True):
        x = found.here[name]
        axis.scatter(x, values, s=2, alpha=0.3, lw=0, color=BLUE, rasterized=True)
        top = np.flatnonzero(values == highest(values))
        axis.scatter(x[top], values[top], s=45, color=GREEN, marker="D", ec="white", lw=0.8, zorder=3)
        row = found.best[name][:1]
        axis.scatter(x[row], values[row], s=90, color=ORANGE, marker="*", ec="white", lw=0.6, zorder=4)
        axis.set_title(_heading(found, name, taus[name]), fontsize=9, loc="left")
        axis.set_xlabel(name, fontsize=8)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    axes[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    for axis in axes[::3]:
        axis.set_ylabel(found.main, fontsize=8)
    return figure


def _heading(found: Comparison, name: str, tau: float) -> str:
    """Tau of a panel and the rank of its best cell."""
    values = found.there[found.main]
    places = [rank(float(values[row]), values) for row in found.best[name][:1]]
    return "; ".join([f"tau {_said(tau)}", *(f"best cell: rank {place:,}" for place in places if place)])


def _panels(found: Comparison) -> list[str]:
    """Columns to draw: where they are too many, of every attack the eps at which the classes differ most."""
    names = [name for name in found.here if name != BAR]
    if len(names) > PANELS:
        widest: dict[tuple[str, str], tuple[float, str]] = {}
        for name in names:
            column = parse_column(name)
            key = (column.dataset, column.key) if column else ("", name)
            known = found.here[name][~np.isnan(found.here[name])]
            spread = float(np.subtract(*np.quantile(known, [0.75, 0.25]))) if len(known) else 0.0
            widest[key] = max(widest.get(key, (-1.0, "")), (spread, name), key=lambda item: item[0])
        names = [name for _, name in widest.values()][:PANELS]
    return [*names, BAR]
