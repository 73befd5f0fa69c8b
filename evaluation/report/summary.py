"""The headline numbers of all analyses, for programs and for people."""

import math
import re
from collections.abc import Mapping, Sequence

from evaluation.report.measurements import Measurements
from evaluation.report.section import Section

Results = Sequence[tuple[Measurements, Sequence[Section]]]


def as_data(results: Results) -> dict[str, object]:
    """Facts of every section of every data set; numbers that are NaN become null."""
    return {
        data.dataset: {
            "split": data.split or None,
            "classes": len(data.ids),
            **{section.name: _plain(section.facts) for section in sections},
        }
        for data, sections in results
    }


def as_markdown(heading: str, results: Results) -> str:
    """The same as a document."""
    lines = [f"# {plain(heading)}"]
    for data, sections in results:
        images = f" {data.split}" if data.split else ""
        lines += ["", f"## {plain(data.dataset)}{images}: {len(data.ids):,} classes"]
        for section in sections:
            lines += ["", f"### {plain(section.title)}", ""]
            lines += [plain(section.text), ""] if section.text else []
            lines += [f"* {plain(name)}: {_said(value)}" for name, value in section.facts.items()]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.6g}")
    return value


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(key))} {_said(item)}" for key, item in value.items())
    if isinstance(value, float):
        return "none" if math.isnan(value) else f"{value:.4g}"
    return f"`{' '.join(value.replace('`', ' ').split())}`" if isinstance(value, str) else str(value)


def plain(text: str) -> str:
    """A text, e.g. a column's name, as Markdown that shows it and does nothing else.

    Example:
        >>> plain("a_b <script>")
        'a_b &lt;script&gt;'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`|\[\]!])", r"\\\1", text)
