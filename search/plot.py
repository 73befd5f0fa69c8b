"""The trajectory of a search as a figure."""

import io
import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from agnet.runtime.files import write_bytes
from search.columns import label, quantity
from search.history import History, Query

_QUERIED, _BEST, _FRONT, _MISSED = "#9aa5b1", "#1f5fa8", "#c4501b", "#b9a7a0"

FARTHEST = 1e100
"""Numbers beyond are drawn here, since axes need room for differences."""


def plot_history(path: Path, history: History, *, heading: str) -> None:
    """Draw all queries and the incumbent after each query.

    The incumbent is the best feasible architecture so far, first by :func:`agnet.multiobjective.pareto.rank`. There is
    one panel for each column that the search sees, all with the same incumbent. With several objectives, a further
    panel shows the Pareto front over the first two.

    Args:
        path: the PNG to write.
        history: a history with at least one query.
        heading: description of the search, e.g. optimizer and seed.
    """
    seen = history.goal.columns
    count = len(seen) + (len(history.goal.names) > 1)
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(
        figsize=(7.2 if count == 1 else 4.6 * columns, 3.8 * rows + 0.9), layout=ConstrainedLayoutEngine(w_pad=0.12)
    )
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.remove()
    for axis, column in zip(axes, seen, strict=False):
        _draw_course(axis, history, column)
    if len(history.goal.names) > 1:
        _draw_front(axes[count - 1], history)
    shown, said = (history.closest, "nothing feasible; closest") if history.best is None else (history.best, "best")
    values = ", ".join(quantity(column, value) for column, value in shown.values.items())
    figure.suptitle(f"{heading}\n{said}: {values}\n{shown.architecture}", fontsize=9.5)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=140)
    write_bytes(path, drawn.getvalue())


def _draw_course(axis: Axes, history: History, column: str) -> None:
    """Draw one column against the number of queries, cropped to leave out bad values."""
    numbers = range(1, len(history) + 1)
    values = np.array([_shown(query, column) for query in history.queries])
    incumbent = _incumbent(history, values)
    low, high = _window(history, column)
    outside = int(((values < low) | (values > high)).sum())
    name = f"queried ({outside} off scale)" if outside else "queried"
    kept = np.array(history.feasible)
    axis.scatter(np.array(numbers)[kept], values[kept], s=9, color=_QUERIED, alpha=0.6, linewidths=0, label=name)
    if not kept.all():
        axis.scatter(
            np.array(numbers)[~kept], values[~kept], s=12, marker="x", color=_MISSED, lw=0.7, label="infeasible"
        )
    axis.step(numbers, incumbent, where="post", color=_BEST, label="incumbent")
    for limit in history.goal.limits:
        if limit.column == column:
            axis.axhline(float(np.clip(limit.bound, -FARTHEST, FARTHEST)), color=_MISSED, lw=0.8, ls=":")
    axis.set_title(_direction(history, column), fontsize=9, loc="left")
    axis.set_xlabel("queries")
    axis.set_ylabel(label(column))
    axis.set_xlim(0, len(history) + 1)
    axis.set_ylim(low, high)
    axis.grid(alpha=0.25)
    _legend(axis)


def _window(history: History, column: str) -> tuple[float, float]:
    """Range of a column without its worst tenth, but with every incumbent and the whole front."""
    values = np.array([_shown(query, column) for query in history.queries])
    low, high = np.quantile(values, [0.1, 0.9])
    if column in history.goal.maximize:
        high = values.max()
    elif column in history.goal.minimize:
        low = values.min()
    front = [_shown(query, column) for query in history.front]
    bounds = [
        float(np.clip(limit.bound, -FARTHEST, FARTHEST)) for limit in history.goal.limits if limit.column == column
    ]
    incumbent = _incumbent(history, values)
    shown = np.concatenate([incumbent[np.isfinite(incumbent)], front, bounds, [low, high]])
    margin = 0.06 * np.ptp(shown) or max(1.0, 1e-9 * float(np.abs(shown).max()))
    return shown.min() - margin, shown.max() + margin


def _incumbent(history: History, values: np.ndarray) -> np.ndarray:
    """A column of the incumbent after each query; NaN until a query is feasible."""
    return np.array([np.nan if index is None else values[index] for index in history.incumbents])


def _direction(history: History, column: str) -> str:
    """A column's direction and limits in words."""
    words = ["higher is better"] if column in history.goal.maximize else []
    words += ["lower is better"] if column in history.goal.minimize else []
    words += [
        f"{'at most' if limit.upper else 'at least'} {limit.bound:g}"
        for limit in history.goal.limits
        if limit.column == column
    ]
    return ", ".join(words)


def _draw_front(axis: Axes, history: History) -> None:
    """Draw the first two objectives against each other."""
    x, y = history.goal.names[:2]
    front = sorted((_shown(query, x), _shown(query, y)) for query in history.front)
    for feasible, style in (
        (True, {"s": 9, "lw": 0, "color": _QUERIED}),
        (False, {"s": 12, "lw": 0.7, "marker": "x", "color": _MISSED}),
    ):
        points = [
            (_shown(q, x), _shown(q, y))
            for q, kept in zip(history.queries, history.feasible, strict=True)
            if kept == feasible
        ]
        if points:
            axis.scatter(*zip(*points, strict=True), alpha=0.6, label="queried" if feasible else "infeasible", **style)
    # steps bound the region that the front dominates; with more objectives its bound is no line in this plane
    style = "none" if len(history.goal.names) > 2 else "-"
    steps = "steps-pre" if x in history.goal.maximize else "steps-post"
    if history.best is not None:
        name, best = f"Pareto front ({len(front)})", history.best
        xs, ys = zip(*front, strict=True)
        axis.plot(xs, ys, ls=style, drawstyle=steps, marker="o", ms=4, lw=1, color=_FRONT, label=name)
        axis.plot(
            _shown(best, x), _shown(best, y), ls="none", marker="*", ms=12, color=_BEST, label="incumbent", zorder=3
        )
    axis.set_title(
        "the first two objectives" if len(history.goal.names) > 2 else "both objectives", fontsize=9, loc="left"
    )
    axis.set_xlabel(label(x))
    axis.set_ylabel(label(y))
    axis.set_xlim(_window(history, x))
    axis.set_ylim(_window(history, y))
    axis.grid(alpha=0.25)
    _legend(axis)


def _legend(axis: Axes) -> None:
    """Draw the legend below the panel, where it covers no points."""
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=8, frameon=False)


def _shown(query: Query, column: str) -> float:
    """A query's value where it is drawn."""
    return min(max(query.values[column], -FARTHEST), FARTHEST)
