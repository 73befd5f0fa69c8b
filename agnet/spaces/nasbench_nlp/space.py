"""The space of NAS-Bench-NLP."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.spaces.base import RECOMBINATIONS, AbstractSpace
from agnet.spaces.graphs import OUTPUT, Graphs
from agnet.spaces.nasbench_nlp.cells import Cells, build, decode, dense
from agnet.spaces.nasbench_nlp.growth import grown
from agnet.spaces.nasbench_nlp.neighbors import neighbors
from agnet.spaces.nasbench_nlp.notation import INPUTS, OPERATIONS, invalid, parse
from agnet.spaces.nasbench_nlp.repair import repaired

MAX_NODES = 25
"""Nodes of the largest graphs: the input, three hidden states, twenty operations, the output."""


class NASBenchNLP(AbstractSpace):
    """Recurrent cells; see :mod:`agnet.spaces.nasbench_nlp`.

    Args:
        max_nodes: largest number of nodes, with inputs, hidden states and output. The largest of the 4,322 recipes at
            hand have 21, and all but 51 have 17 at most.

    Raises:
        ConfigurationError: if there is no room for an operation.

    Example:
        >>> space = NASBenchNLP()
        >>> space.decode(space.encode(["linear(0,1)|tanh(4)|output(*5)"]))
        ['linear(0,1)|tanh(4)|output(*5)']
    """

    name = "nasbench_nlp"
    node_types = ("output", "input", "h_prev_0", "h_prev", *OPERATIONS)
    size = None

    def __init__(self, max_nodes: int = MAX_NODES) -> None:
        if type(max_nodes) is not int or max_nodes < INPUTS + 3:
            raise ConfigurationError(f"space.max_nodes={max_nodes}; give a whole number from {INPUTS + 3}")
        self.max_nodes = max_nodes

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings; see :class:`AbstractSpace`."""
        rows = [parse(architecture) for architecture in architectures]
        for architecture, parts in zip(architectures, rows, strict=True):
            if INPUTS + len(parts) > self.max_nodes:
                raise invalid(architecture, f"{INPUTS + len(parts)} nodes; space.max_nodes is {self.max_nodes}")
        cells = build(rows, self.max_nodes)
        for row in np.flatnonzero(~cells.valid()).tolist():
            raise invalid(architectures[row], "too few or too many sources, or something that nothing reads")
        return cells.graphs()

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None if an operation has a wrong number of sources or a node is not read."""
        return decode(Cells.of(graphs))

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph is a cell."""
        return torch.from_numpy(Cells.of(graphs).valid())

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Turn graphs into cells by :func:`~agnet.spaces.nasbench_nlp.repair.repaired`; see :class:`AbstractSpace`."""
        cells = Cells.of(graphs)
        wrong = np.flatnonzero(~cells.valid())
        tried = repaired(cells.take(wrong), nodes.double().numpy()[wrong], dense(edges.double().numpy()[wrong]))
        done = tried.valid()
        types, slots = graphs.node_types.clone(), graphs.edges.clone()
        new, rows = tried.take(np.flatnonzero(done)).graphs(), torch.from_numpy(wrong[done])
        types[rows], slots[rows] = new.node_types, new.edges
        return Graphs(types, slots)

    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """Cells grown at random by :func:`~agnet.spaces.nasbench_nlp.growth.grown`; not uniform, as no count exists."""
        found: list[str] = []
        while len(found) < n:
            tried = grown(2 * (n - len(found)) + 8, self.max_nodes, rng=rng)
            found += [text for text in decode(tried) if text is not None]
        return found[:n]

    def neighbors(self, architecture: str) -> list[str]:
        """Cells one change away; every change has its reverse.

        There are four kinds of changes. An operation becomes another one with as many sources or one more or less. A
        source becomes another one. The output reads another node, one more or one less, or another of its nodes becomes
        ``h_new_0``. An operation with one source is inserted into or removed from an edge, just before its reader.
        """
        self.encode([architecture])
        return neighbors(architecture, self.max_nodes)

    def recombine(self, mother: str, father: str, *, rng: torch.Generator) -> str:
        """A cell that takes every node, with its sources, from a random parent and is then repaired.

        Returns:
            The child, or the mother if no draw of :data:`~agnet.spaces.base.RECOMBINATIONS` gives a cell that has only
            the parents' node types.
        """
        cells = Cells.of(self.encode([mother, father]))
        both = {int(kind) for kind in cells.types.flatten()}
        nodes = np.stack([cells.types == kind for kind in range(self.num_types)], axis=2).mean(axis=0, dtype=float)
        scores = cells.edges.mean(axis=0)
        for _ in range(RECOMBINATIONS):
            chosen = torch.randint(2, (self.max_nodes,), generator=rng, device="cpu").numpy()
            size = int(cells.size[chosen[-1]])
            chosen = np.where(np.arange(self.max_nodes) < cells.size[chosen] - 1, chosen, 1 - chosen)
            chosen[size - 1 :] = np.argmax(cells.size == size)
            types = cells.types[chosen, np.arange(self.max_nodes)]
            types[size - 1 :] = OUTPUT
            edges = cells.edges[chosen, :, np.arange(self.max_nodes)].T
            child = Cells(types[None], edges[None], np.array([size]))
            if not child.valid().all():
                child = repaired(child, nodes[None], scores[None])
            [architecture] = decode(child)
            if architecture is not None and both.issuperset(child.types.flatten().tolist()):
                return architecture
        return mother

    def enumerate(self) -> Sequence[str]:
        """Not possible.

        Raises:
            ConfigurationError: on every call.
        """
        raise ConfigurationError(
            "space=nasbench_nlp has more cells than can be enumerated; choose an optimizer that does not look at all "
            "of them"
        )
