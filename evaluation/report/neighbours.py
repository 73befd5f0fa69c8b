"""What changes when one operation of the best cell is changed."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from agnet.columns import CLEAN
from agnet.spaces.nasbench201 import EDGES, OPERATIONS, parse, to_string
from evaluation.report.best import best_row
from evaluation.report.drawing import EDGE_NAMES, LABELS
from evaluation.report.figures import heatmap, new_figure
from evaluation.report.measurements import ADVERSARIAL_MEAN, CORRUPTION_MEAN, SPACE, Measurements, Values, words
from evaluation.report.section import Columns, Picture, Section


def neighbours(data: Measurements) -> Section:
    """Changes around the cells that are best by clean and by mean adversarial accuracy."""
    shown = {CLEAN: data.clean} | {k: v for k, v in data.means.items() if k in (ADVERSARIAL_MEAN, CORRUPTION_MEAN)}
    attacks = {f"{words(key)} mean": data.means[f"{words(key)} mean"] for key in data.attacks}
    pictures, tables, cells, facts = [], {}, [], {}
    for criterion, stem in ((CLEAN, "clean"), (ADVERSARIAL_MEAN, "adversarial")):
        if criterion in shown:
            row = best_row(data, shown[criterion])
            name = f"neighbours_{stem}"
            tables[name] = changes(data, row, shown | attacks)
            pictures.append(
                Picture(
                    name,
                    f"The best cell by {'mean adversarial' if stem != 'clean' else 'clean'} accuracy, id {data.ids[row]}, "
                    f"{data.architectures[row]}, with the operation of one edge (row) replaced by another (column): by "
                    "how many points accuracies change. A dot marks the operation the cell has; grey was not evaluated.",
                    _draw(data, row, shown),
                )
            )
            cells.append((f"best by {criterion}", int(data.ids[row])))
            worse = np.array([v for v in tables[name][f"change of {criterion}"] if not np.isnan(v)])
            facts[criterion] = {
                "evaluated": len(worse),
                "median change": float(np.median(worse)) if len(worse) else None,
            }
    return Section("neighbours", "Neighbours of the best cells", "", tuple(pictures), tables, facts, tuple(cells))


def changes(data: Measurements, row: int, criteria: dict[str, Values]) -> Columns:
    """By how many points each criterion changes from a cell to its 24 neighbours; NaN where none was evaluated."""
    operations = parse(data.architectures[row])
    cells = SPACE.enumerate()
    ids = {cell: i for i, cell in enumerate(cells)}
    table: dict[str, list[object]] = {}
    for edge, own in enumerate(operations):
        for operation in OPERATIONS:
            if operation == own:
                continue
            neighbour = to_string([*operations[:edge], operation, *operations[edge + 1 :]])
            other = data.row_of_class.get(SPACE.isomorphs[ids[neighbour]])
            entry: dict[str, object] = {
                "edge": edge + 1,
                "source": EDGES[edge][0],
                "target": EDGES[edge][1],
                "from": own,
                "to": operation,
                "architecture": neighbour,
                "id": ids[neighbour],
                "evaluated_id": "" if other is None else int(data.ids[other]),
            }
            for name, values in criteria.items():
                entry[f"change of {name}"] = float("nan") if other is None else float(values[other] - values[row])
            for name, value in entry.items():
                table.setdefault(name, []).append(value)
    return table


def _draw(data: Measurements, row: int, shown: dict[str, Values]) -> Figure:
    table = changes(data, row, shown)
    operations = parse(data.architectures[row])
    figure = new_figure(3.7 * len(shown), 3.0)
    for axis, name in zip(figure.subplots(1, len(shown), squeeze=False, sharey=True).flat, shown, strict=True):
        matrix: Float[np.ndarray, "edges operations"] = np.full((len(EDGES), len(LABELS)), np.nan)
        for edge, operation, change in zip(table["edge"], table["to"], table[f"change of {name}"], strict=True):
            matrix[int(str(edge)) - 1, list(LABELS).index(str(operation))] = change
        bound = max(1.0, float(np.nanmax(np.abs(matrix)))) if not np.isnan(matrix).all() else 1.0
        heatmap(
            axis, matrix, rows=[f"edge {n}" for n in EDGE_NAMES], columns=list(LABELS.values()), limits=(-bound, bound),
            form="{:+.1f}", size=8,
        )  # fmt: skip
        axis.tick_params(axis="x", rotation=0)
        for edge, operation in enumerate(operations):
            axis.plot(list(LABELS).index(operation), edge, marker="o", color="0.25", ms=5)
        axis.set_title(f"{name}, now {shown[name][row]:.1f} %", fontsize=9, loc="left")
    return figure
