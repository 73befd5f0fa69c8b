"""Drawings of pairs of DARTS cells: nodes in a row, operations as coloured, labelled arcs."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve

from agnet.spaces.darts.notation import STEPS, Cell, parse
from evaluation.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, grid

LABELS = {
    "max_pool_3x3": "max 3x3",
    "avg_pool_3x3": "avg 3x3",
    "skip_connect": "skip",
    "sep_conv_3x3": "sep 3x3",
    "sep_conv_5x5": "sep 5x5",
    "dil_conv_3x3": "dil 3x3",
    "dil_conv_5x5": "dil 5x5",
}
COLORS = {
    "max_pool_3x3": ORANGE,
    "avg_pool_3x3": "#b08b17",
    "skip_connect": PURPLE,
    "sep_conv_3x3": BLUE,
    "sep_conv_5x5": "#16365c",
    "dil_conv_3x3": GREEN,
    "dil_conv_5x5": "#1d5a3a",
}
NAMES = ("$c_{k-2}$", "$c_{k-1}$", *map(str, range(STEPS)), "$c_k$")
"""Nodes: the outputs of the two cells before, the intermediate nodes, the output."""

_GAP, _WIDTH, _HEIGHT = 1.5, 0.62, 0.42  # between two nodes, of a node
_RISE = 0.5  # of an arrow, for every node that it passes on


def draw_pair(architecture: str) -> Figure:
    """A figure of both cells, one below the other.

    Args:
        architecture: the pair's string.

    Raises:
        InvalidArchitecture: if the string is no pair of cells.
    """
    cells = parse(architecture)
    figure, axes = grid(len(cells), 1, 8.0, 4.4)
    for axis, (name, cell) in zip(axes, cells.items(), strict=True):
        draw_cell(axis, cell)
        axis.set_title({"normal": "normal cell", "reduce": "reduction cell"}[name], loc="left", fontsize=11)
    return figure


def draw_cell(axis: Axes, cell: Cell) -> None:
    """Draw one cell into an axis: the nodes in a row, the first operation of each above, the second below.

    Args:
        axis: cleared of its frame.
        cell: nodes of the cell.
    """
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set_xlim(-0.5, _GAP * (len(NAMES) - 1) + 0.5)
    axis.set_ylim(-2.6, 3.1)
    for target, node in enumerate(cell, start=2):
        for (operation, source), side in zip(node, (1, -1), strict=True):
            _arrow(axis, source, target, side, operation)
    first, last = _GAP * 2 - 0.55, _GAP * (len(NAMES) - 2) + 0.55
    box = FancyBboxPatch(
        (first, -0.4), last - first, 0.8, boxstyle="round,pad=0,rounding_size=0.2", fc="0.94", ec="none", zorder=0
    )
    axis.add_patch(box)  # what is concatenated
    end = _GAP * (len(NAMES) - 1) - _WIDTH / 2
    axis.add_patch(
        FancyArrowPatch((last, 0), (end, 0), arrowstyle="-|>", mutation_scale=9, color="0.6", shrinkA=0, shrinkB=0)
    )
    for place, name in enumerate(NAMES):
        corner = (_GAP * place - _WIDTH / 2, -_HEIGHT / 2)
        style = "round,pad=0,rounding_size=0.12"
        axis.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle=style, fc="white", ec=GREY, lw=1.0, zorder=3))
        axis.text(_GAP * place, 0, name, ha="center", va="center", fontsize=9, zorder=4)


def _arrow(axis: Axes, source: int, target: int, side: int, operation: str) -> None:
    """An arc above (side 1) or below (-1) the row; ends of several arcs at one node stand side by side."""
    start, end = _GAP * source + 0.12, _GAP * target - 0.12
    height = side * (0.35 + _RISE * (target - source))
    shoulder = 0.2 * (end - start)
    points = [
        (start, side * _HEIGHT / 2),
        (start + shoulder, height / 0.75),
        (end - shoulder, height / 0.75),
        (end, side * _HEIGHT / 2),
    ]
    color = COLORS[operation]
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    axis.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=9, color=color, lw=1.5, fc="none"))
    y = height + side * _HEIGHT / 8  # of the curve half way
    plate = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"}
    axis.text(
        (start + end) / 2, y, LABELS[operation], ha="center", va="center", fontsize=8, color=color, bbox=plate, zorder=5
    )
