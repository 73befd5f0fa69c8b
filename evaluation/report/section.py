"""Result of one analysis: text, figures and tables."""

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
        caption: caption in whole sentences: the quantity and how it is drawn.
        figure: the figure itself.
    """

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """Findings of one analysis.

    Attributes:
        name: its key in the summary.
        title: heading of the section.
        text: findings in whole sentences, or the reason why there are none; may be empty.
        pictures: figures of the section.
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
