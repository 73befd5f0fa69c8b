"""Parts that figures share: sizes, layouts, and matrices with their values written in."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, ORANGE, GREEN, PURPLE, GREY = "#1f5fa8", "#c4501b", "#3b8a4e", "#8a4fa3", "#6b6b6b"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#b08b17", "#4f7f8f", "#a33d5b", GREY, "#2f9e9e", "#7a5a3a")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure.

    Args:
        width: width in inches.
        height: height in inches.
    """
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def grid(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels of the same scale, side by side and below each other.

    Args:
        count: number of panels.
        columns: panels in a row, at most.
        width: width of a panel in inches.
        height: height of a panel in inches.
    """
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def heatmap(
    axis: Axes,
    values: Float[np.ndarray, "rows columns"],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    limits: tuple[float, float],
    colors: str = "RdBu",
    form: str = "{:.2f}",
    size: float = 7.0,
) -> AxesImage:
    """Draw a matrix with every value written into its cell; NaN stays grey and empty.

    Args:
        axis: axis to draw on.
        values: the matrix to draw.
        rows: names of the rows.
        columns: names of the columns.
        limits: values of the first and of the last colour.
        colors: name of the colour map.
        form: format of a value.
        size: size of the values and names in points.
    """
    cmap = colormaps[colors].with_extremes(bad="0.85")
    image = axis.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=90 if max(map(len, columns)) > 4 else 0, fontsize=size)
    axis.set_yticks(range(len(rows)), rows, fontsize=size)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue, _ = cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axis.text(
                j, i, form.format(value), ha="center", va="center", fontsize=size, color="white" if dark else "black"
            )
    return image
