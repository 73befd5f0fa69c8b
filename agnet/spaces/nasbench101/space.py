"""The space of NAS-Bench-101."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.errors import InvalidArchitecture, quoted
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs
from agnet.spaces.nasbench101.canonical import MAX_EDGES, MAX_VERTICES, OPERATIONS, all_cells, all_keys, strings
from agnet.spaces.nasbench101.cells import Cells, decode, graphs
from agnet.spaces.nasbench101.neighbors import neighbors
from agnet.spaces.nasbench101.notation import TYPES, vertices_of
from agnet.spaces.nasbench101.repair import repaired

NUM_CELLS = 423_624


class NASBench101(AbstractSpace):
    """The NAS-Bench-101 cells, one string for each isomorphism class.

    A graph has a node for every vertex and ends at its first output. Vertices on no path from input to output are
    pruned when a graph is decoded.

    Example:
        >>> space = NASBench101()
        >>> space.enumerate()[:3]
        ('output(0)', 'conv1x1(0)|output(1)', 'conv3x3(0)|output(1)')
    """

    name = "nasbench101"
    node_types = ("output", "input", *OPERATIONS)
    max_nodes = MAX_VERTICES
    size = NUM_CELLS

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings; see :class:`AbstractSpace`."""
        rows = []
        for architecture in architectures:
            vertices = vertices_of(architecture)
            edges = [(u, v) for v, (_, sources) in enumerate(vertices, start=1) for u in sources]
            rows.append(([TYPES[name] for name, _ in vertices[:-1]], edges))
        found = graphs(rows)
        for architecture, own in zip(architectures, decode(found), strict=True):
            if own != architecture:
                raise InvalidArchitecture(
                    f"not a NAS-Bench-101 cell: {quoted(architecture)} has more than {MAX_EDGES} edges"
                    if own is None
                    else f"{quoted(architecture)} is written {own!r} in this space (pruned, and renumbered)"
                )
        return found

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None if the pruned graph is not a cell."""
        return decode(graphs)

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph has a path from input to output and, after pruning, at most nine edges."""
        return torch.tensor([text is not None for text in decode(graphs)], dtype=torch.bool, device="cpu")

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Add a path if there is none, remove edges if there are too many; see :class:`AbstractSpace`."""
        del nodes
        cells = Cells.of(graphs)
        pruned, live = cells.pruned()
        wrong = np.flatnonzero(cells.proper & (~live[:, 0] | (pruned.edges.sum(axis=1) > MAX_EDGES)))
        part = Cells(*(array[wrong] for array in cells))
        changed = graphs.edges.clone()
        changed[torch.from_numpy(wrong)] = torch.from_numpy(repaired(part, edges.double().numpy()[wrong]))
        return Graphs(graphs.node_types, changed)

    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """Uniform draws from the isomorphism classes, with repeats."""
        drawn = torch.randint(NUM_CELLS, (n,), generator=rng, device="cpu").numpy()
        found: list[str] = [""] * n
        begin = 0
        for vertices, keys in all_keys().items():
            rows = np.flatnonzero((drawn >= begin) & (drawn < begin + len(keys)))
            for row, text in zip(rows.tolist(), strings(keys[drawn[rows] - begin], vertices), strict=True):
                found[row] = text
            begin += len(keys)
        return found

    def neighbors(self, architecture: str) -> list[str]:
        """Cells one change away; every change has its reverse.

        A change replaces an operation, adds or removes an edge, or adds or removes a vertex with one source and one
        reader. Such a vertex is added beside or within an edge; it is removed with its edges or replaced by one edge.
        """
        return neighbors(architecture)

    def enumerate(self) -> Sequence[str]:
        """All 423,624 strings, those with fewer vertices first."""
        return all_cells()
