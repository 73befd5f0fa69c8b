from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from agnet.errors import InvalidArchitecture
from agnet.spaces.nasbench201 import live_edges, parse
from evaluation.report.drawing import LABELS, cell_svg, draw_cell

CELL = "|none~0|+|nor_conv_3x3~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
"""Its first node is dead, and so are the edges out of it."""

SVG = "{http://www.w3.org/2000/svg}"


def test_svg_tells_every_edge() -> None:
    root = ElementTree.fromstring(cell_svg(CELL))
    edges = root.findall(f"{SVG}g")
    assert [e.get("data-edge") for e in edges] == list("012345")
    assert tuple(e.get("data-op") for e in edges) == parse(CELL)
    assert (
        [e.get("data-live") == "true" for e in edges]
        == list(live_edges(CELL))
        == [False, True, False, True, False, True]
    )
    assert [e.findtext(f"{SVG}text") for e in edges] == [LABELS[op] for op in parse(CELL)]
    assert [t.text for t in root.findall(f"{SVG}text")] == ["in", "1", "2", "out"]


def test_svg_stays_in_its_frame() -> None:
    root = ElementTree.fromstring(cell_svg(CELL))
    x0, y0, width, height = map(float, root.attrib["viewBox"].split())
    for plate in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(plate.attrib[k]) for k in ("x", "y", "width", "height"))
        assert x0 <= x <= x + w <= x0 + width
        assert y0 <= y <= y + h <= y0 + height


def test_matplotlib_draws_the_same() -> None:
    axis = Figure().add_subplot()
    draw_cell(axis, CELL)
    assert [t.get_text() for t in axis.texts] == [*(LABELS[op] for op in parse(CELL)), "in", "1", "2", "out"]
    arrows = [p for p in axis.patches if isinstance(p, FancyArrowPatch)]
    assert [p.get_alpha() == 1 for p in arrows] == list(live_edges(CELL))


def test_other_text_is_no_cell() -> None:
    with pytest.raises(InvalidArchitecture):
        cell_svg("<script>")
