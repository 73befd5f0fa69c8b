"""The report as one self-contained HTML file with all figures and an explorer of the cells."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from agnet.spaces.nasbench201 import EDGES, OPERATIONS, parse
from evaluation.report.drawing import COLORS, EDGE_NAMES, FAINT, LABELS, cell_svg
from evaluation.report.measurements import SPACE, Measurements, Values, label, words
from evaluation.report.section import Section
from evaluation.report.summary import Results

_PRECISIONS = (1, 10, 100)
"""Units of a point that numbers are rounded to; the coarsest that keeps a column is taken."""

_CLOSE = 1e-4
"""Points by which the table's own rounding (float32) may be off."""


def page(heading: str, results: Results, images: Mapping[tuple[str, str], bytes]) -> str:
    """The document.

    Args:
        heading: title of the page.
        results: measurements and sections of every data set.
        images: the PNG of every figure, by data set and name.
    """
    here = files("evaluation.report")
    parts = {
        "HEADING": escape(heading),
        "STYLE": (here / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": (here / "explorer.js").read_text(encoding="utf-8"),
        "DATA": _inline(explorer_data([data for data, _ in results])),
        "CELL": cell_svg(SPACE.enumerate()[0]),
        "SECTIONS": "\n".join(_dataset(data, sections, images) for data, sections in results),
        "CONTENTS": "".join(
            f'<li><a href="#{_anchor(data, section)}">{escape(_prefix(data, results) + section.title)}</a></li>'
            for data, sections in results
            for section in sections
        ),
    }
    text = (here / "page.html").read_text(encoding="utf-8")
    pieces = text.split("%%")  # names stand between the marks, so what is filled in is never searched
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def explorer_data(found: Sequence[Measurements]) -> dict[str, object]:
    """All the explorer reads: the space, and every number of every evaluated class."""
    codes = {operation: i for i, operation in enumerate(OPERATIONS)}
    cells = [int("".join(str(codes[op]) for op in parse(cell)), 5) for cell in SPACE.enumerate()]
    return {
        "operations": list(OPERATIONS),
        "labels": LABELS,
        "colors": COLORS,
        "faint": FAINT,
        "edges": EDGES,
        "edgeNames": EDGE_NAMES,
        "cells": cells,
        "classes": SPACE.isomorphs,
        "datasets": [_numbers(data) for data in found],
    }


def _numbers(data: Measurements) -> dict[str, object]:
    columns = [
        {"label": label(c), "kind": c.kind, "key": words(c.key), "level": c.level, **packed(values)}
        for c, values in data.accuracies.items()
    ]
    columns += [{"label": name, "kind": "mean", **packed(values)} for name, values in data.means.items()]
    others = {words(name): values for name, values in data.costs.items()} | data.measures
    return {
        "name": data.dataset,
        "split": data.split,
        "ids": data.ids.tolist(),
        "columns": columns,
        "others": {
            name: [None if np.isnan(v) else float(f"{v:.6g}") for v in values.tolist()]
            for name, values in others.items()
        },
    }


def packed(values: Values) -> dict[str, object]:
    """Accuracies as whole numbers, and how many of them make a point.

    Example:
        >>> packed(np.array([50.0, 99.5]))
        {'unit': 10, 'values': [500, 995]}
    """
    fits = (unit for unit in _PRECISIONS if np.abs(np.rint(values * unit) / unit - values).max() < _CLOSE)
    unit = next(fits, _PRECISIONS[-1])
    return {"unit": unit, "values": np.rint(values * unit).astype(np.int64).tolist()}


def _dataset(data: Measurements, sections: Sequence[Section], images: Mapping[tuple[str, str], bytes]) -> str:
    split = f", {data.split} images" if data.split else ""
    inner = "\n".join(_section(data, section, images) for section in sections)
    return f"<h2>{escape(data.dataset)}{split}: {len(data.ids):,} evaluated classes</h2>\n{inner}"


def _section(data: Measurements, section: Section, images: Mapping[tuple[str, str], bytes]) -> str:
    lines = [f'<section id="{_anchor(data, section)}"><h3>{escape(section.title)}</h3>']
    if section.text:
        lines.append(f"<p>{escape(section.text)}</p>")
    for picture in section.pictures:
        name = escape(words(picture.name))
        encoded = base64.b64encode(images[data.dataset, picture.name]).decode()
        place = f"{_anchor(data, section)}-{escape(picture.name)}"
        lines.append(
            f'<figure id="{place}"><div class="picture" tabindex="0" role="group" '
            f'aria-label="{name}"><img alt="{name}" src="data:image/png;base64,{encoded}"></div>'
            f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        )
    if section.cells:
        links = (
            f'<a href="#dataset={escape(data.dataset)}&amp;cell={number}">{escape(name)}: {number}</a>'
            for name, number in section.cells
        )
        lines.append(f"<p>Open in the explorer: {', '.join(links)}.</p>")
    if section.tables:
        names = ", ".join(f"<code>{escape(data.dataset)}/{escape(stem)}.csv</code>" for stem in section.tables)
        lines.append(f"<p>Numbers: {names}</p>")
    return "\n".join([*lines, "</section>"])


def _prefix(data: Measurements, results: Results) -> str:
    return f"{data.dataset}: " if len(results) > 1 else ""


def _anchor(data: Measurements, section: Section) -> str:
    return escape(f"{data.dataset}-{section.name}")


def _inline(data: object) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
