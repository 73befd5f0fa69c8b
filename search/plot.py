"""The course of a search as a figure."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from agnet.atomic import replacing
from search.columns import label, quantity
from search.history import History

_QUERIED, _BEST, _FRONT = "#9aa5b1", "#1f5fa8", "#c4501b"


def plot_history(path: Path, history: History, *, heading: str) -> None:
    """Draw what was queried and the incumbent after each query.

    With one objective that is one panel. With several there is one for each, all following the same incumbent (first of
    :func:`agnet.pareto.rank`), and the Pareto front over the first two.

    Args:
        path: the PNG to write.
        history: at least one query.
        heading: what the search was, e.g. optimizer and seed.
    """
    count = len(history.columns) + (len(history.columns) > 1)
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(
        figsize=(7.2 if count == 1 else 4.6 * columns, 3.8 * rows + 0.9), layout=ConstrainedLayoutEngine(w_pad=0.12)
    )
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.remove()
    for axis, column in zip(axes, history.columns, strict=False):
        _draw_course(axis, history, column)
    if count > 1:
        _draw_front(axes[count - 1], history)
    best = ", ".join(quantity(column, value) for column, value in history.best.values.items())
    figure.suptitle(f"{heading}\nbest: {best}\n{history.best.architecture}", fontsize=9.5)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=140)


def _draw_course(axis: Axes, history: History, column: str) -> None:
    """One objective against the number of queries, cropped where only bad values lie."""
    numbers = range(1, len(history) + 1)
    values = np.array([query.values[column] for query in history.queries])
    incumbent = values[history.incumbents]
    low, high = _window(history, column)
    outside = int(((values < low) | (values > high)).sum())
    name = f"queried ({outside} off scale)" if outside else "queried"
    axis.scatter(numbers, values, s=9, color=_QUERIED, alpha=0.6, linewidths=0, label=name)
    axis.step(numbers, incumbent, where="post", color=_BEST, label="incumbent")
    up = history.maximized[history.columns.index(column)]
    axis.set_title("higher is better" if up else "lower is better", fontsize=9, loc="left")
    axis.set_xlabel("queries")
    axis.set_ylabel(label(column))
    axis.set_xlim(0, len(history) + 1)
    axis.set_ylim(low, high)
    axis.grid(alpha=0.25)
    _legend(axis)


def _window(history: History, column: str) -> tuple[float, float]:
    """Range of a column without its worst tenth, but with every incumbent and the whole front."""
    values = np.array([query.values[column] for query in history.queries])
    up = history.maximized[history.columns.index(column)]
    ends = [values.max(), np.quantile(values, 0.1)] if up else [values.min(), np.quantile(values, 0.9)]
    front = [query.values[column] for query in history.front]
    shown = np.concatenate([values[history.incumbents], front, ends])
    margin = 0.06 * np.ptp(shown) or 1.0
    return shown.min() - margin, shown.max() + margin


def _draw_front(axis: Axes, history: History) -> None:
    """The first two objectives against each other."""
    x, y = history.columns[:2]
    front = sorted((query.values[x], query.values[y]) for query in history.front)
    queried = [(query.values[x], query.values[y]) for query in history.queries]
    axis.scatter(*zip(*queried, strict=True), s=9, color=_QUERIED, alpha=0.6, linewidths=0, label="queried")
    # the region that the front dominates ends in steps; with more objectives it is no line in this plane
    style = "none" if len(history.columns) > 2 else "-"
    steps = "steps-pre" if history.maximized[0] else "steps-post"
    name = f"Pareto front ({len(front)})"
    axis.plot(*zip(*front, strict=True), ls=style, drawstyle=steps, marker="o", ms=4, lw=1, color=_FRONT, label=name)
    best = history.best.values
    axis.plot(best[x], best[y], ls="none", marker="*", ms=12, color=_BEST, label="incumbent", zorder=3)
    axis.set_title(
        "the first two objectives" if len(history.columns) > 2 else "both objectives", fontsize=9, loc="left"
    )
    axis.set_xlabel(label(x))
    axis.set_ylabel(label(y))
    axis.set_xlim(_window(history, x))
    axis.set_ylim(_window(history, y))
    axis.grid(alpha=0.25)
    _legend(axis)


def _legend(axis: Axes) -> None:
    """Below the panel, where no point lies."""
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=8, frameon=False)
