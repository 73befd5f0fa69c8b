"""Confidence of right and of wrong predictions against eps."""

import numpy as np

from agnet.tables.columns import CLEAN
from evaluation.report.figures import BLUE, ORANGE, grid
from evaluation.report.measurements import Measurements, words
from evaluation.report.section import Picture, Section

TITLE = "Confidence of right and wrong predictions"
QUANTITIES = {"confidence_right": ("right", BLUE), "confidence_wrong": ("wrong", ORANGE)}


def confidence(data: Measurements) -> Section:
    """Mean confidences over the classes, clean (eps 0) and under attacks."""
    found = {quantity: data.confidences(quantity) for quantity in QUANTITIES}
    attacks = [key for key in data.attacks if any(key in groups for groups in found.values())]
    if not attacks:
        return Section("confidence", TITLE, f"The table has no confidences of {data.dataset} under attacks.")
    table: dict[str, list[object]] = {name: [] for name in ("attack", "eps", "prediction", "mean", "quartile_1",
                                                            "quartile_3", "classes")}  # fmt: skip
    figure, axes = grid(len(attacks), 2, 4.8, 3.2)
    for axis, attack in zip(axes, attacks, strict=True):
        levels = sorted({0.0} | {c.level for groups in found.values() for c in groups.get(attack, [])})
        for quantity, (prediction, color) in QUANTITIES.items():
            columns = found[quantity].get(CLEAN, []) + found[quantity].get(attack, [])
            rows = []
            for column in columns:
                values = data.values[column]
                values = values[~np.isnan(values)]
                if len(values):
                    low, high = np.quantile(values, [0.25, 0.75])
                    rows.append((column.level, prediction, values.mean(), low, high, len(values)))
            for row in rows:
                for name, value in zip(table, (attack, *row), strict=True):
                    table[name].append(value)
            places = [levels.index(row[0]) for row in rows]
            axis.plot(places, [row[2] for row in rows], color=color, marker=".", label=prediction)
            axis.fill_between(places, [r[3] for r in rows], [r[4] for r in rows], color=color, alpha=0.15, lw=0)
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels], fontsize=8)
        axis.set_title(words(attack), fontsize=9, loc="left")
        axis.set_xlabel("eps", fontsize=8)
        axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("mean highest softmax")
    axes[0].legend(frameon=False, fontsize=8)
    caption = (
        "Mean confidence (highest softmax) of right and of wrong predictions against eps, 0 being clean images: the "
        "mean over the classes that have such predictions, and the middle half of them."
    )
    return Section("confidence", TITLE, "", (Picture("confidence", caption, figure),), {"confidence": table})
