"""Rank correlations between accuracies: is a cell that resists one attack robust to the others?"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from agnet.tables.columns import CLEAN
from evaluation.report.figures import CYCLE, heatmap, new_figure
from evaluation.report.kendall import tau, tau_matrix, tied
from evaluation.report.measurements import Measurements, Values, label, words
from evaluation.report.section import Columns, Picture, Section

SEVERITY = 3
"""The middle of the five."""

_TAU = "Kendall's tau-b over the evaluated classes (1: the same order, 0: none, -1: the opposite)"
_TIES = (
    "At large eps most classes have accuracies near 0 % and pairs of equal accuracy say nothing: the column tied_pairs "
    "of the CSV has their share."
)


def correlation(data: Measurements) -> Section:
    """Tau between attacks, between corruptions, between their means, and of everything with clean accuracy."""
    clean = {CLEAN: data.clean}
    attacks = clean | {label(c): data.values[c] for columns in data.attacks.values() for c in columns}
    middle = clean | {
        words(key): data.values[c] for key, columns in data.corruptions.items() for c in columns if c.level == SEVERITY
    }
    means = clean | data.means
    pictures, tables = [], {}
    for name, columns, caption in (
        ("kendall_attacks", attacks, f"{_TAU} between attacks at every eps. {_TIES}"),
        ("kendall_corruptions", middle, f"{_TAU} between corruptions at severity {SEVERITY} of 5."),
        ("kendall_means", means, f"{_TAU} between means over the levels of attacks and of corruptions."),
    ):
        if len(columns) > 1:
            matrix = tau_matrix(columns)
            pictures.append(Picture(name, caption, _draw(columns, matrix)))
            tables[name] = {"": list(columns)} | dict(zip(columns, matrix.T.tolist(), strict=True))
    if data.attacks or data.corruptions:
        tables["kendall_clean"] = against = against_clean(data)
        caption = f"{_TAU} of clean accuracy with accuracy at every level. {_TIES}"
        pictures.append(Picture("kendall_clean", caption, _draw_levels(data, against)))
    facts = {"tau with clean": {name: tau(data.clean, values) for name, values in data.means.items()}}
    text = "" if pictures else "The table has clean accuracies only: there is nothing to correlate."
    return Section("correlation", "Rank correlations", text, tuple(pictures), tables, facts if data.means else {})


def against_clean(data: Measurements) -> Columns:
    """Tau of every other accuracy with clean accuracy."""
    columns = [c for c in data.accuracies if c.kind != CLEAN]
    return {
        "accuracy": [label(c) for c in columns],
        "kind": [c.kind for c in columns],
        "name": [c.key for c in columns],
        "level": [c.level for c in columns],
        "tau": [tau(data.clean, data.values[c]) for c in columns],
        "tied_pairs": [tied(data.values[c]) for c in columns],
    }


def _draw(columns: Mapping[str, Values], matrix: Float[np.ndarray, "columns columns"]) -> Figure:
    side = max(4.0, 0.36 * len(columns) + 1.2)
    figure = new_figure(side + 0.6, side)
    axis = figure.add_subplot()
    image = heatmap(
        axis, matrix, rows=list(columns), columns=list(columns), limits=(-1.0, 1.0), form="{:.2f}", size=6.5
    )
    figure.colorbar(image, ax=axis, shrink=0.6, label="tau").outline.set_visible(False)
    return figure


def _draw_levels(data: Measurements, against: Columns) -> Figure:
    """One panel for attacks, one for corruptions: tau with clean accuracy against the level."""
    groups = [(g, unit) for g, unit in ((data.attacks, "eps"), (data.corruptions, "severity")) if g]
    known = dict(zip(zip(against["name"], against["level"], strict=True), against["tau"], strict=True))
    figure = new_figure(7.4 * len(groups), 4.6)
    for axis, (group, unit) in zip(figure.subplots(1, len(groups), squeeze=False).flat, groups, strict=True):
        levels = sorted({c.level for columns in group.values() for c in columns})
        for i, (key, columns) in enumerate(group.items()):
            style = "-" if i < len(CYCLE) else "--"
            axis.plot(
                [levels.index(c.level) for c in columns], [known[c.key, c.level] for c in columns],
                marker=".", ls=style, lw=1.3, color=CYCLE[i % len(CYCLE)], label=words(key),
            )  # fmt: skip
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        axis.set_xlabel(unit)
        axis.set_ylabel("tau with clean accuracy")
        axis.set_ylim(min(axis.get_ylim()[0], 0), 1)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
