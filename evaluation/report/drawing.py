"""Drawings of NAS-Bench-201 cells: four nodes, six edges coloured and labelled by their operations.

Edges that lie on no path of non-zero operations from input to output are drawn faintly.
"""

from html import escape

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path as Curve

from agnet.spaces.nasbench201 import EDGES, live_edges, parse

LABELS = {
    "nor_conv_3x3": "3x3",
    "nor_conv_1x1": "1x1",
    "avg_pool_3x3": "pool",
    "skip_connect": "skip",
    "none": "zero",
}  # fmt: skip
COLORS = {
    "nor_conv_3x3": "#2f74c0",
    "nor_conv_1x1": "#2f8f5b",
    "avg_pool_3x3": "#c9701c",
    "skip_connect": "#9063b8",
    "none": "#9a9a9a",
}
NODES = ("in", "1", "2", "out")
EDGE_NAMES = tuple(f"{i} ({NODES[s]}→{NODES[t]})" for i, (s, t) in enumerate(EDGES, start=1))
"""Edges as the paper numbers them: 1 to 6 in the order of the string."""

FAINT = 0.35
"""Opacity of an edge that changes nothing."""

_BENDS = (0.0, 1.1, 0.0, 2.3, -1.1, 0.0)
"""Height of the middle control point of every edge; the nodes lie at heights 0 and places 0..3."""

_RADIUS = 0.15
_SCALE, _LEFT, _TOP = 100, 30, 150  # of the SVG: pixels of one unit, of the input's place and of height 0


def draw_cell(axis: Axes, architecture: str, *, size: float = 8.0) -> None:
    """Draw a cell into an axis.

    Args:
        axis: cleared of its frame.
        architecture: the cell's string.
        size: size of the labels in points.
    """
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set_xlim(-0.25, 3.25)
    axis.set_ylim(-0.85, 1.45)
    for operation, live, (start, control, end) in _edges(architecture):
        opacity = 1.0 if live else FAINT
        axis.add_patch(
            FancyArrowPatch(
                path=Curve([start, control, end], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3]),
                arrowstyle="-|>", mutation_scale=size, color=COLORS[operation], alpha=opacity,
                lw=1.6, linestyle=":" if operation == "none" else "-", shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
        x, y = _middle(start, control, end)
        axis.text(
            x, y, LABELS[operation], ha="center", va="center", fontsize=size, color=COLORS[operation],
            alpha=max(opacity, 0.6), bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"},
        )  # fmt: skip
    for place, name in enumerate(NODES):
        axis.add_patch(Circle((place, 0), _RADIUS, fc="white", ec="0.25", lw=1.0, zorder=3))
        axis.text(place, 0, name, ha="center", va="center", fontsize=0.8 * size, color="0.25", zorder=4)


def cell_svg(architecture: str) -> str:
    """A cell as the text of an SVG element.

    Every edge is a group with the attributes ``data-edge`` (0..5), ``data-op`` and ``data-live``; a page may change
    them and recolour.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 16 360 210" class="cell" role="group" '
        f'aria-label="{escape(architecture)}">'
    ]
    for edge, (operation, live, points) in enumerate(_edges(architecture)):
        color, opacity = COLORS[operation], 1.0 if live else FAINT
        (x1, y1), (x2, y2), (x3, y3) = map(_place, points)
        x, y = _place(_middle(*points))
        dashes = ' stroke-dasharray="2 5"' if operation == "none" else ""
        parts.append(
            f'<g class="edge" data-edge="{edge}" data-op="{operation}" data-live="{str(live).lower()}" '
            f'opacity="{opacity}" color="{color}"><title>edge {EDGE_NAMES[edge]}: {LABELS[operation]}</title>'
            f'<path d="M{x1:.1f} {y1:.1f} Q{x2:.1f} {y2:.1f} {x3:.1f} {y3:.1f}" fill="none" stroke="currentColor" '
            f'stroke-width="3"{dashes}/>{_head((x2, y2), (x3, y3))}'
            f'<rect x="{x - 21:.1f}" y="{y - 11:.1f}" width="42" height="22" rx="6" class="plate" fill="white"/>'
            f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-size="15" fill="currentColor">'
            f"{LABELS[operation]}</text></g>"
        )
    for place, name in enumerate(NODES):
        x, y = _place((float(place), 0.0))
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS * _SCALE:.1f}" class="plate" fill="white" stroke="#777" '
            f'stroke-width="1.5"/><text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="12" '
            f'fill="#777">{name}</text>'
        )
    return "".join([*parts, "</svg>"])


Point = tuple[float, float]


def _edges(architecture: str) -> list[tuple[str, bool, tuple[Point, Point, Point]]]:
    """Operation of every edge, whether it is live, and its curve: start, control point, end."""
    found = []
    for (source, target), bend, operation, live in zip(
        EDGES, _BENDS, parse(architecture), live_edges(architecture), strict=True
    ):
        control = ((source + target) / 2, bend)
        start = _towards((float(source), 0.0), control, _RADIUS)
        end = _towards((float(target), 0.0), control, _RADIUS + 0.02)
        found.append((operation, live, (start, control, end)))
    return found


def _towards(origin: Point, goal: Point, distance: float) -> Point:
    dx, dy = goal[0] - origin[0], goal[1] - origin[1]
    length = (dx * dx + dy * dy) ** 0.5
    return origin[0] + dx / length * distance, origin[1] + dy / length * distance


def _middle(start: Point, control: Point, end: Point) -> Point:
    return (start[0] + 2 * control[0] + end[0]) / 4, (start[1] + 2 * control[1] + end[1]) / 4


def _place(point: Point) -> Point:
    return _LEFT + _SCALE * point[0], _TOP - _SCALE * point[1]


def _head(control: Point, end: Point) -> str:
    """A triangle whose tip is the curve's end."""
    back = _towards(end, control, 10.0)
    dx, dy = (end[0] - back[0]) / 2, (end[1] - back[1]) / 2
    return (
        f'<path d="M{end[0]:.1f} {end[1]:.1f} L{back[0] - dy:.1f} {back[1] + dx:.1f} L{back[0] + dy:.1f} '
        f'{back[1] - dx:.1f} Z" fill="currentColor"/>'
    )
