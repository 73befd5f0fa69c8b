"""Correlation of robustness with costs and with measures that need no attack."""

from agnet.tables.columns import CLEAN
from evaluation.report.figures import heatmap, new_figure
from evaluation.report.kendall import taus
from evaluation.report.measurements import (
    ADVERSARIAL_MEAN,
    CORRUPTION_MEAN,
    Measurements,
    label,
    mean_of,
    words,
)
from evaluation.report.section import Picture, Section

_CAPTION = (
    "Kendall's tau-b of accuracies (rows) with measures and costs (columns) over the evaluated classes. Costs are "
    "those of the evaluated cell, dead edges included; where the table has none they are counted for the benchmark's "
    "CIFAR-10 network. The mean of an attack is over its eps, of a corruption over its severities."
)


def measures(data: Measurements) -> Section:
    """Tau of Jacobian and Hessian measures and of costs with clean, adversarial and corrupted accuracy."""
    found = data.measures | {words(name): values for name, values in data.costs.items()}
    means = {CLEAN: data.clean} | data.means
    accuracies = {label(c): data.values[c] for group in data.attacks.values() for c in group}
    accuracies = {CLEAN: data.clean} | accuracies | means
    matrix = taus(accuracies, found)
    figure = new_figure(0.62 * len(found) + 2.6, 0.2 * len(accuracies) + 2.2)
    axis = figure.add_subplot()
    image = heatmap(axis, matrix, rows=list(accuracies), columns=list(found), limits=(-1.0, 1.0), size=7.0)
    figure.colorbar(image, ax=axis, label="tau", aspect=40).outline.set_visible(False)
    names = list(accuracies)
    shown = [CLEAN, *map(mean_of, data.attacks), ADVERSARIAL_MEAN, CORRUPTION_MEAN]
    return Section(
        "measures",
        "Measures and costs against robustness",
        "" if data.measures else f"The table has no Jacobian or Hessian measures of {data.dataset}, only costs.",
        (Picture("measures", _CAPTION, figure),),
        {"measures": {"accuracy": names} | dict(zip(found, matrix.T.tolist(), strict=True))},
        {
            f"tau of {measure}": {name: float(matrix[names.index(name), i]) for name in shown if name in means}
            for i, measure in enumerate(found)
        },
    )
