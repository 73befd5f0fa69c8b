"""Box plots of the cells' accuracies under every attack and corruption."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agnet.tables.columns import CORRUPTION, Column
from evaluation.report.figures import BLUE, GREY, ORANGE, grid
from evaluation.report.measurements import Measurements, Values, label, mean_of, words
from evaluation.report.section import Columns, Picture, Section

QUANTILES = {"min": 0.0, "whisker_low": 0.01, "quartile_1": 0.25, "median": 0.5, "quartile_3": 0.75,
             "whisker_high": 0.99, "max": 1.0}  # fmt: skip

_BOXES = (
    "The box spans the middle half of the evaluated classes, the line is the median, the whiskers reach from the 1st "
    "to the 99th percentile, the dots are the lowest and the highest class. The first box is clean accuracy."
)


def spread(data: Measurements) -> Section:
    """Quantiles of every accuracy, and box plots for attacks and for corruptions."""
    pictures = []
    for name, groups, title, level in (
        ("accuracy_attacks", data.attacks, "attack against its eps (in units of 1/255)", "eps"),
        ("accuracy_corruptions", data.corruptions, "corruption against its severity", "severity"),
    ):
        if groups:
            caption = f"Accuracy under every {title}. {_BOXES}"
            pictures.append(Picture(name, caption, _draw(data, groups, level)))
    table = quantiles(data)
    medians = {label(c): float(np.median(values)) for c, values in data.accuracies.items() if c.kind != CORRUPTION}
    medians |= {name: float(np.median(data.means[name])) for name in map(mean_of, data.corruptions)}
    return Section(
        "accuracy",
        "Accuracy under attacks and corruptions",
        f"Median clean accuracy over {len(data.ids):,} classes is {np.median(data.clean):.1f} %.",
        tuple(pictures),
        {"accuracy": table},
        {"medians": medians},
    )


def quantiles(data: Measurements) -> Columns:
    """Quantiles of every accuracy over the classes."""
    columns = list(data.accuracies)
    found = np.quantile(np.stack(list(data.accuracies.values())), list(QUANTILES.values()), axis=1)
    return {
        "accuracy": [label(c) for c in columns],
        "kind": [c.kind for c in columns],
        "name": [c.key for c in columns],
        "level": [c.level for c in columns],
        **dict(zip(QUANTILES, found.tolist(), strict=True)),
    }


def _draw(data: Measurements, groups: Mapping[str, Sequence[Column]], level: str) -> Figure:
    wide = level == "eps"
    columns = 2 if wide else 5
    figure, axes = grid(len(groups), columns, 5.2 if wide else 2.5, 2.9 if wide else 2.3)
    for i, (axis, (key, members)) in enumerate(zip(axes, groups.items(), strict=True)):
        boxes = [data.clean, *(data.values[c] for c in members)]
        _boxes(axis, boxes, ["clean" if wide else "0", *(f"{c.level:g}" for c in members)])
        axis.set_title(words(key), fontsize=9, loc="left")
        axis.set_xlabel(level, fontsize=8)
        if i % columns == 0:
            axis.set_ylabel("accuracy in %", fontsize=8)
    return figure


def _boxes(axis: Axes, groups: Sequence[Values], names: Sequence[str]) -> None:
    found = np.quantile(np.stack(groups), list(QUANTILES.values()), axis=1).T
    axis.bxp(
        [
            {"whislo": low, "q1": first, "med": middle, "q3": third, "whishi": high, "fliers": [least, most]}
            for least, low, first, middle, third, high, most in found.tolist()
        ],
        patch_artist=True,
        widths=0.62,
        boxprops={"facecolor": "#dce7f3", "edgecolor": BLUE, "linewidth": 0.9},
        medianprops={"color": ORANGE, "linewidth": 1.4},
        whiskerprops={"color": BLUE, "linewidth": 0.9},
        capprops={"color": BLUE, "linewidth": 0.9},
        flierprops={"marker": ".", "markersize": 3.5, "markerfacecolor": GREY, "markeredgecolor": "none"},
    )
    axis.set_xticks(range(1, len(names) + 1), names, fontsize=8)
    axis.tick_params(axis="y", labelsize=8)
    axis.set_ylim(-3, 103)
    axis.grid(axis="y", alpha=0.25)
