"""The headline numbers of all analyses, for programs and for people."""

import math
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
    lines = [f"# {heading}"]
    for data, sections in results:
        images = f" {data.split}" if data.split else ""
        lines += ["", f"## {data.dataset}{images}: {len(data.ids):,} classes"]
        for section in sections:
            lines += ["", f"### {section.title}", ""]
            lines += [section.text, ""] if section.text else []
            lines += [f"* {name}: {_said(value)}" for name, value in section.facts.items()]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items())
    if isinstance(value, float):
        return "none" if math.isnan(value) else f"{value:.4g}"
    return f"`{value}`" if isinstance(value, str) else str(value)
