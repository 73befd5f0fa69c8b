"""One analysis's result: what is said, drawn and tabulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[object]]
"""A table as columns of equal length; floats that are NaN stand for nothing."""


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: stem of its files.
        caption: what is computed and drawn, in whole sentences.
        figure: as drawn.
    """

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """What one analysis found.

    Attributes:
        name: its key in the summary.
        title: its heading.
        text: what is found or why nothing can be, in whole sentences; may be empty.
        pictures: its figures.
        tables: its CSV files, by the stems of their names.
        facts: headline numbers and texts, for the summary.
        cells: labelled ids of cells that are worth a look.
    """

    name: str
    title: str
    text: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: Mapping[str, Columns] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    cells: tuple[tuple[str, int], ...] = ()
