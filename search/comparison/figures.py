"""Figures of a comparison: one PNG for every problem."""

import io
from collections.abc import Sequence
from pathlib import Path

import moocore
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from agnet.runtime.files import write_bytes
from search.columns import label
from search.comparison.records import Problem, RunRecord

_COLORS = ("#1f5fa8", "#c4501b", "#3b8a4e", "#8a4fa3", "#b08b17", "#4f7f8f", "#a33d5b", "#6b6b6b", "#2f9e9e", "#7a5a3a")
_EXACT = "#222222"

Points = Float[np.ndarray, "points objectives"]
Curves = Float[np.ndarray, "runs queries"]


def plot_problem(path: Path, problem: Problem, records: Sequence[RunRecord], optimizers: Sequence[str]) -> None:
    """Draw one problem: how the best improves and, depending on the goal, hit rates, hypervolumes and fronts.

    Args:
        path: the PNG to write.
        problem: the problem of the runs.
        records: finished runs of the problem, at least one.
        optimizers: labels in the order of the legend.
    """
    groups = {name: [r for r in records if r.cell.optimizer == name] for name in optimizers}
    groups = {name: found for name, found in groups.items() if found}
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(optimizers)}
    panels = 1 if problem.single and problem.optimum is None else 2
    panels += bool(problem.goal.limits)
    figure = Figure(figsize=(5.4 * panels, 4.9), layout=ConstrainedLayoutEngine(w_pad=0.12))
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, panels, squeeze=False).flat)
    if problem.single:
        _draw_best(axes[0], problem, groups, colors)
        if problem.optimum is not None:
            _draw_hits(axes[1], groups, colors)
    else:
        _draw_hypervolume(axes[0], groups, colors)
        _draw_attainment(axes[1], problem, groups, colors)
    if problem.goal.limits:
        _draw_feasible(axes[-1], groups, colors)
    handles, names = axes[0].get_legend_handles_labels()
    widest = 0.6 + 0.07 * max(map(len, names))  # inches: the line, and letters of this size
    columns = max(1, min(len(names), 6, int(figure.get_figwidth() / widest)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)
    figure.suptitle(f"{problem.label}: {problem.describe()}", fontsize=9.5)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    write_bytes(path, drawn.getvalue())


Groups = dict[str, list[RunRecord]]
Colors = dict[str, str]


def _draw_best(axis: Axes, problem: Problem, groups: Groups, colors: Colors) -> None:
    """Draw the mean of the best so far, from where every run has one, and the middle half of the runs."""
    column = problem.goal.names[0]
    shown = []
    for name, records in groups.items():
        curves = _stack([r.trajectories[column] for r in records])
        _band(axis, curves, f"{name} ({len(records)})", colors[name])
        shown.append(curves[:, min(8, curves.shape[1] - 1) :])
    if problem.optimum is not None:
        axis.axhline(problem.optimum, color=_EXACT, lw=0.8, ls=":", label="optimum of the table")
    _crop(axis, shown, up=column in problem.goal.maximize)
    axis.set_title("best so far: mean, and the middle half of the runs", fontsize=9, loc="left")
    axis.set_ylabel(label(column))
    _queries(axis)


def _draw_hits(axis: Axes, groups: Groups, colors: Colors) -> None:
    """Draw the share of runs that have found the optimum."""
    for name, records in groups.items():
        budget = max(len(r.history) for r in records)
        hits = np.sort([r.hit for r in records if r.hit is not None])
        share = [np.searchsorted(hits, n, side="right") / len(records) for n in range(1, budget + 1)]
        axis.step(range(1, budget + 1), share, where="post", color=colors[name])
    axis.set_ylim(-0.02, 1.02)
    axis.set_title("share of runs at the table's optimum", fontsize=9, loc="left")
    _queries(axis)


def _draw_hypervolume(axis: Axes, groups: Groups, colors: Colors) -> None:
    shown = []
    for name, records in groups.items():
        curves = _stack([r.shares for r in records if r.shares is not None])
        _band(axis, curves, f"{name} ({len(records)})", colors[name])
        shown.append(curves[:, min(8, curves.shape[1] - 1) :])
    axis.axhline(1.0, color=_EXACT, lw=0.8, ls=":", label="exact front")
    _crop(axis, shown, up=True)
    axis.set_title("share of the exact hypervolume: mean, and the middle half of the runs", fontsize=9, loc="left")
    _queries(axis)


def _draw_attainment(axis: Axes, problem: Problem, groups: Groups, colors: Colors) -> None:
    """Draw the exact front and every optimizer's median attainment surface: the region that half its runs dominate."""
    goal = problem.goal
    x, y = goal.names[:2]
    up = [column in goal.maximize for column in (x, y)]
    if len(goal.names) > 2:
        axis.set_title("the first two of the objectives: fronts of the first seed", fontsize=9, loc="left")
        for name, records in groups.items():
            axis.scatter(*_points(records[0], (x, y)).T, s=9, color=colors[name])
    else:
        signs = np.where(up, -1.0, 1.0)  # attainment functions are made for minimisation
        for name, records in groups.items():
            fronts = [_points(record, goal.names) * signs for record in records]
            numbers = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
            if not len(numbers):
                continue
            surfaces: Points = moocore.eaf(np.concatenate(fronts), sets=numbers, percentiles=[25, 50, 75])
            for percentile, style in ((25, ":"), (50, "-"), (75, ":")):
                surface: Points = surfaces[surfaces[:, 2] == percentile, :2] * signs
                if len(surface):
                    order = surface[:, 0].argsort()
                    steps, width = ("pre" if up[0] else "post"), (1.4 if percentile == 50 else 0.7)
                    axis.step(*surface[order].T, where=steps, color=colors[name], ls=style, lw=width)
        axis.set_title("attained by half of the runs (dotted: by a quarter, by three quarters)", fontsize=9, loc="left")
        if problem.exact is not None and problem.exact.attainable:
            exact: Points = goal.natural(problem.exact.front).numpy()
            axis.plot(*exact.T, ls="none", marker=".", ms=6, color=_EXACT, zorder=3)
            axis.text(0.01, 0.01, "dots: exact front", transform=axis.transAxes, fontsize=8, color=_EXACT)
            _frame(axis, exact)
    axis.set_xlabel(label(x))
    axis.set_ylabel(label(y))
    axis.grid(alpha=0.25)


def _draw_feasible(axis: Axes, groups: Groups, colors: Colors) -> None:
    """Draw the share of each round's queries that satisfy the limits."""
    for name, records in groups.items():
        rounds = [[q.round for q in r.history.queries] for r in records]
        shares: dict[int, list[float]] = {}
        ends: dict[int, int] = {}
        for numbers, record in zip(rounds, records, strict=True):
            kept, of = np.array(record.history.feasible, dtype=np.float64), np.array(numbers)
            for number in range(of.max() + 1):
                shares.setdefault(number, []).append(float(kept[of == number].mean()))
                ends[number] = int(np.flatnonzero(of == number)[-1]) + 1
        axis.plot(
            [ends[n] for n in shares], [np.mean(v) for v in shares.values()], marker=".", ms=4, lw=1, color=colors[name]
        )
    axis.set_ylim(-0.02, 1.02)
    axis.set_title("feasible share of each round's queries", fontsize=9, loc="left")
    _queries(axis)


def _points(record: RunRecord, names: Sequence[str]) -> Points:
    rows = [[query.values[column] for column in names] for query in record.history.front]
    return np.array(rows, dtype=np.float64).reshape(-1, len(names))


def _stack(trajectories: Sequence[Float[np.ndarray, " queries"]]) -> Curves:
    """Trajectories of equal length; a shorter one repeats its last value."""
    length = max(len(trajectory) for trajectory in trajectories)
    return np.stack([np.pad(trajectory, (0, length - len(trajectory)), mode="edge") for trajectory in trajectories])


def _band(axis: Axes, curves: Curves, name: str, color: str) -> None:
    everywhere = ~np.isnan(curves).any(axis=0)
    numbers = np.arange(1, curves.shape[1] + 1)[everywhere]
    curves = curves[:, everywhere]
    if len(numbers):
        low, high = np.quantile(curves, [0.25, 0.75], axis=0)
        axis.fill_between(numbers, low, high, step="post", color=color, alpha=0.13, lw=0)
        axis.step(numbers, curves.mean(axis=0), where="post", color=color, lw=1.4, label=name)
    else:
        axis.plot([], [], color=color, label=name)


def _crop(axis: Axes, curves: Sequence[Curves], *, up: bool) -> None:
    """Crop an axis so that it leaves out the worst 6 percent of all curves' values."""
    flat = np.concatenate([c.ravel() for c in curves])
    flat = flat[~np.isnan(flat)]
    if not len(flat):
        return
    low, high = (np.quantile(flat, 0.06), flat.max()) if up else (flat.min(), np.quantile(flat, 0.94))
    margin = 0.05 * (high - low) or 1.0
    axis.set_ylim(low - margin, high + margin)


def _frame(axis: Axes, exact: Points) -> None:
    for setter, column in ((axis.set_xlim, exact[:, 0]), (axis.set_ylim, exact[:, 1])):
        margin = 0.12 * (np.ptp(column) or 1.0)
        setter(column.min() - margin, column.max() + margin)


def _queries(axis: Axes) -> None:
    axis.set_xlabel("queries")
    axis.set_xlim(left=0)
    axis.grid(alpha=0.25)
