"""The micro space of TransNAS-Bench-101: six edges, four operations, 4,096 cells.

Source: Duan et al., 2021, https://arxiv.org/abs/2105.11871.
"""

import re
from collections.abc import Sequence

from agnet.errors import InvalidArchitecture, quoted
from agnet.spaces.edge_cells import EdgeCells

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
"""Operations in the order of their digits in the string."""

_PATTERN = re.compile(r"64-41414-([0-3])_([0-3]{2})_([0-3]{3})")


class TransNASMicro(EdgeCells):
    """Cells as the benchmark writes them: a fixed macro structure, then the operations by target vertex.

    Example:
        >>> TransNASMicro.parse("64-41414-1_02_333")
        ('skip_connect', 'none', 'nor_conv_1x1', 'nor_conv_3x3', 'nor_conv_3x3', 'nor_conv_3x3')
    """

    name = "transnas_micro"
    operations = OPERATIONS
    vertices = 4

    @staticmethod
    def parse(architecture: str) -> tuple[str, ...]:
        """Operations of a string; see :class:`EdgeCells`."""
        match = _PATTERN.fullmatch(architecture) if isinstance(architecture, str) else None
        if match is None:
            raise InvalidArchitecture(
                f"not a cell of TransNAS-Bench-101: {quoted(architecture)}; expected '64-41414-a_bc_def', digits 0 to 3"
            )
        return tuple(OPERATIONS[int(digit)] for digit in "".join(match.groups()))

    @staticmethod
    def to_string(operations: Sequence[str]) -> str:
        """The inverse of :meth:`parse`."""
        d = [OPERATIONS.index(operation) for operation in operations]
        return f"64-41414-{d[0]}_{d[1]}{d[2]}_{d[3]}{d[4]}{d[5]}"
