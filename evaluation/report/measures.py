"""Whether measures that need no attack, or costs, say which cells are robust."""

import numpy as np

from agnet.columns import CLEAN
from evaluation.report.figures import heatmap, new_figure
from evaluation.report.kendall import taus
from evaluation.report.measurements import Measurements, label, words
from evaluation.report.section import Picture, Section


def measures(data: Measurements) -> Section:
    """Tau of Jacobian and Hessian measures and of costs with clean, adversarial and corrupted accuracy."""
    rows = data.measures | {words(name): values for name, values in data.costs.items()}
    columns = {CLEAN: data.clean}
    columns |= {label(c): data.values[c] for group in data.attacks.values() for c in group}
    columns |= {name: values for name, values in data.means.items() if name not in columns}
    matrix = taus(rows, columns)
    figure = new_figure(max(5.0, 0.34 * len(columns) + 2.6), 0.32 * len(rows) + 1.9)
    axis = figure.add_subplot()
    image = heatmap(axis, matrix, rows=list(rows), columns=list(columns), limits=(-1, 1), size=6.5)
    figure.colorbar(image, ax=axis, label="tau", shrink=0.9).outline.set_visible(False)
    text = (
        ""
        if data.measures
        else f"The table has no Jacobian or Hessian measures of {data.dataset}; these are costs only."
    )
    caption = (
        "Kendall's tau-b of measures and costs (rows) with accuracies (columns) over the evaluated classes. Costs are those "
        "of the evaluated cell, dead edges included."
    )
    means = [i for i, name in enumerate(columns) if name == CLEAN or name in data.means]
    names = list(columns)
    facts = {row: {names[i]: float(matrix[r, i]) for i in means} for r, row in enumerate(rows)}
    return Section(
        "measures",
        "Measures and costs against robustness",
        text,
        (Picture("measures", caption, figure),),
        {"measures": {"": list(rows)} | dict(zip(columns, np.asarray(matrix).T.tolist(), strict=True))},
        facts,
    )
