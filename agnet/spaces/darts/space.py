"""Pairs of DARTS cells, searched together or one beside a fixed other."""

import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.errors import ConfigurationError, InvalidArchitecture, quoted
from agnet.spaces.base import AbstractSpace
from agnet.spaces.darts.layout import NODE_TYPES, Layout
from agnet.spaces.darts.notation import CELLS, OPERATIONS, STEPS, parse, parse_cell, to_string
from agnet.spaces.graphs import Graphs


class DARTS(AbstractSpace):
    """Pairs of DARTS cells.

    Args:
        fixed: a cell that all pairs share, ``{"reduce": "|...|+..."}``. The space then consists of the other cells, and
            the generator and the surrogate see only their graphs. A generator of such a space serves for either cell.

    Raises:
        ConfigurationError: if both cells are fixed, or others than ``normal`` and ``reduce``.
        InvalidArchitecture: if the fixed text is not a cell.

    Example:
        >>> space = DARTS()
        >>> [pair] = space.sample(1, rng=torch.Generator().manual_seed(0))
        >>> pair.count("+"), len(space.neighbors(pair))
        (6, 120)
        >>> beside = DARTS(fixed={"normal": pair.split("/")[0]})
        >>> len(beside.neighbors(pair)), beside.max_nodes
        (60, 11)
    """

    node_types = NODE_TYPES
    size = None

    def __init__(self, fixed: Mapping[str, str] | None = None) -> None:
        self.fixed = dict(fixed or {})
        if len(self.fixed) == len(CELLS) or not self.fixed.keys() <= {*CELLS}:
            raise ConfigurationError(f"fixed={self.fixed}; give one cell, {' or '.join(CELLS)}, or none")
        self._fixed_cells = {name: parse_cell(text) for name, text in self.fixed.items()}
        self.searched = tuple(name for name in CELLS if name not in self.fixed)
        """Names of the searched cells."""
        self.name = "darts_cell" if self.fixed else "darts"
        self._layout = Layout(len(self.searched))
        self.max_nodes = self._layout.nodes

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Nodes of each searched cell, with the inputs and the output."""
        return self._layout.parts

    @property
    def generated_as(self) -> str:
        """The space of single cells: its generator makes both."""
        return "darts_cell"

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings; see :class:`AbstractSpace`."""
        pairs = [parse(architecture) for architecture in architectures]
        for cells, architecture in zip(pairs, architectures, strict=True):
            for name, cell in self._fixed_cells.items():
                if cells[name] != cell:
                    raise InvalidArchitecture(
                        f"not with the {name} cell {quoted(self.fixed[name])}: {quoted(architecture)}"
                    )
        return self._layout.graphs(self._layout.choices([[cells[name] for name in self.searched] for cells in pairs]))

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None if an edge or a node does not belong to a cell."""
        chosen, valid = self._layout.read(graphs)
        return [text if fits else None for text, fits in zip(self._pairs(chosen.cells()), valid.tolist(), strict=True)]

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph consists of the cells of a pair."""
        return self._layout.read(graphs)[1]

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Turn graphs into cells; see :meth:`agnet.spaces.darts.layout.Layout.repair`."""
        return self._layout.repair(graphs, nodes=nodes, edges=edges)

    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """Uniform pairs of cells, with repeats."""
        return self._pairs(self._layout.drawn(n, rng=rng).cells())

    def _pairs(self, cells: Sequence[str]) -> list[str]:
        """Strings of pairs from the list of all their searched cells."""
        width = len(self.searched)
        rows = [
            dict(zip(self.searched, cells[i : i + width], strict=True)) | self.fixed
            for i in range(0, len(cells), width)
        ]
        return ["/".join(row[name] for name in CELLS) for row in rows]

    def neighbors(self, architecture: str) -> list[str]:
        """Pairs with one operation or one source changed, 60 for each searched cell."""
        cells = parse(architecture)
        found = []
        for name, step in itertools.product(self.searched, range(STEPS)):
            node = cells[name][step]
            for one in range(2):
                operation, source = node[one]
                (_, other_source) = node[1 - one]
                others = [(other, source) for other in OPERATIONS if other != operation]
                others += [(operation, other) for other in range(2 + step) if other not in (source, other_source)]
                for other in others:
                    changed = tuple(sorted([other, node[1 - one]], key=lambda part: part[1]))
                    cell = (*cells[name][:step], changed, *cells[name][step + 1 :])
                    found.append(to_string({**cells, name: cell}))  # pyright: ignore[reportArgumentType]
        return found

    def recombine(self, mother: str, father: str, *, rng: torch.Generator) -> str:
        """A pair of cells that takes every intermediate node, with its sources, from a random parent."""
        both = parse(mother), parse(father)
        turns = iter((torch.rand(STEPS * len(CELLS), generator=rng, dtype=torch.float32, device="cpu") < 0.5).tolist())
        return to_string({name: tuple(both[next(turns)][name][step] for step in range(STEPS)) for name in CELLS})

    def enumerate(self) -> Sequence[str]:
        """Not possible.

        Raises:
            ConfigurationError: on every call.
        """
        raise ConfigurationError(
            f"space={self.name} has more than 10^9 members and cannot be enumerated; choose an optimizer that does not "
            "look at all of them"
        )
