"""Best places of operations: the cells with exactly two 3x3 convolutions and no 1x1 convolution."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from agnet.spaces.nasbench201 import live_edges, parse
from agnet.tables.columns import CLEAN
from evaluation.report.drawing import EDGE_NAMES, LABELS
from evaluation.report.figures import BLUE, ORANGE, heatmap, new_figure
from evaluation.report.measurements import ADVERSARIAL_MEAN, SPACE, Measurements, Values
from evaluation.report.section import Picture, Section

TOP = 20
TITLE = "Cells with exactly two 3x3 convolutions and no 1x1 convolution"


def two_convolutions(data: Measurements) -> Section:
    """Their mean adversarial accuracy, and the operations of the best."""
    classes = two_convolution_classes()
    found = [data.row_of_class[c] for c in classes if c in data.row_of_class]
    text = (
        f"The space has {len(classes)} such classes, counting convolutions on live edges (on a path of non-zero "
        f"operations from input to output) of the class's cell with the lowest id; {len(found)} of them were evaluated."
    )
    if ADVERSARIAL_MEAN not in data.means or not found:
        return Section("two_convolutions", TITLE, f"{text} The table has no adversarial accuracy of them.")
    values = data.means[ADVERSARIAL_MEAN]
    rows = sorted(found, key=lambda row: (-values[row], row))
    lowest = [SPACE.isomorphs[data.ids[row]] for row in rows]
    counts = {"top": operation_counts(lowest[:TOP]), "all": operation_counts(lowest)}
    ranked = values[rows]
    top = min(TOP, len(rows))
    caption = (
        "Left: mean adversarial accuracy (over all attacks and eps) of these cells, best first. Middle and right: how "
        f"many of the best {top} and of all of them have an operation (column) on an edge (row); a dead edge counts as "
        "zero. Edges are numbered 1 to 6 in the order of the cell's string."
    )
    cells = {
        "rank": list(range(1, len(rows) + 1)),
        "id": lowest,
        "architecture": [SPACE.enumerate()[i] for i in lowest],
        ADVERSARIAL_MEAN: ranked.tolist(),
        CLEAN: data.clean[rows].tolist(),
        **{f"edge_{e + 1}": [live_operations(i)[e] for i in lowest] for e in range(len(EDGE_NAMES))},
    }
    edges = {"edge": list(range(1, len(EDGE_NAMES) + 1))} | {
        f"{group}: {operation}": matrix[:, i].tolist()
        for group, matrix in counts.items()
        for i, operation in enumerate(LABELS)
    }
    facts = {
        "classes": len(classes),
        "evaluated": len(rows),
        "lowest mean adversarial accuracy": float(ranked[-1]),
        "highest mean adversarial accuracy": float(ranked[0]),
        f"on edges 1 to 6 of the best {top}": {
            name: counts["top"][:, i].tolist() for i, name in enumerate(LABELS.values()) if counts["top"][:, i].any()
        },
    }
    return Section(
        "two_convolutions",
        TITLE,
        text,
        (Picture("two_convolutions", caption, _draw(ranked, counts)),),
        {"two_convolutions": cells, "two_convolutions_edges": edges},
        facts,
        tuple((f"number {rank} of these", number) for rank, number in enumerate(lowest[:3], start=1)),
    )


@cache
def two_convolution_classes() -> list[int]:
    """Lowest ids of the classes."""
    return [
        number
        for number in SPACE.representatives
        if (operations := live_operations(number)).count("nor_conv_3x3") == 2 and "nor_conv_1x1" not in operations
    ]


def live_operations(number: int) -> tuple[str, ...]:
    """Operations on the edges of the cell with an id, ``none`` where the edge is dead."""
    cell = SPACE.enumerate()[number]
    return tuple(op if live else "none" for op, live in zip(parse(cell), live_edges(cell), strict=True))


def operation_counts(numbers: Sequence[int]) -> Int[np.ndarray, "edges operations"]:
    """How many cells have an operation (in the order of the labels) on an edge."""
    cells = [live_operations(number) for number in numbers]
    return np.array([[sum(cell[edge] == op for cell in cells) for op in LABELS] for edge in range(len(EDGE_NAMES))])


def _draw(values: Values, counts: Mapping[str, Int[np.ndarray, "edges operations"]]) -> Figure:
    figure = new_figure(12.0, 3.3)
    axes = figure.subplots(1, 3, width_ratios=[1.1, 1, 1])
    top = min(TOP, len(values))
    axes[0].plot(range(top + 1, len(values) + 1), values[top:], color=BLUE, marker=".", ms=3, lw=0, label="others")
    axes[0].plot(range(1, top + 1), values[:top], color=ORANGE, marker=".", ms=5, lw=0, label=f"best {top}")
    axes[0].set_xlabel("rank")
    axes[0].set_ylabel("mean adversarial accuracy in %")
    axes[0].grid(alpha=0.25)
    axes[0].legend(frameon=False, fontsize=8)
    for axis, (group, matrix) in zip(axes[1:], counts.items(), strict=True):
        number = int(matrix[0].sum())
        heatmap(
            axis, matrix.astype(np.float64), rows=[f"edge {n}" for n in EDGE_NAMES], columns=list(LABELS.values()),
            limits=(0.0, float(number)), colors="Blues", form="{:.0f}", size=8.0,
        )  # fmt: skip
        axis.set_title(f"best {top}" if group == "top" else f"all {number}", fontsize=9, loc="left")
    return figure
