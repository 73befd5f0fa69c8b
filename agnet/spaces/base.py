"""What a cell space must know about itself."""

import abc
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.spaces.graphs import Graphs

RECOMBINATIONS = 20
"""Draws after which two parents count as not to be recombined."""

_DRAWS = 256  # of sample_new, at least so many at a time: nearly exhausted spaces reject most of them


class AbstractSpace(abc.ABC):
    """A set of cells, each with one string (the benchmark's own notation) and one graph.

    Everything outside a space handles architectures as strings; everything inside the generator and the surrogate
    handles them as :class:`~agnet.spaces.graphs.Graphs`. A space converts between the two, batch-wise.
    """

    name: str
    node_types: tuple[str, ...]
    """Vocabulary of node types; index 0 is the output, index 1 the input."""
    max_nodes: int
    size: int | None
    """Number of architecture strings, or None where they cannot be counted."""
    has_isomorphs: bool = False
    """Whether :meth:`canonical` may name another string than the one it is given."""

    def __repr__(self) -> str:
        size = "not counted" if self.size is None else f"{self.size:,}"
        return f"{type(self).__name__}(architectures: {size}, nodes: up to {self.max_nodes})"

    @property
    def num_types(self) -> int:
        """Size ``K`` of the node vocabulary."""
        return len(self.node_types)

    @property
    def num_slots(self) -> int:
        """Number of edge slots, ``N (N - 1) / 2``."""
        return self.max_nodes * (self.max_nodes - 1) // 2

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Nodes of every part that a generator makes by itself; by default one part, which is the graph.

        Parts are alike: one pretrained generator, that of the space :attr:`generated_as`, makes each
        (:class:`~agnet.generator.JointGenerator`). They may share nodes, but have no edges between others.
        """
        return (tuple(range(self.max_nodes)),)

    @property
    def generated_as(self) -> str:
        """Name of the space whose pretrained generator makes each of the :attr:`parts`; by default this one's."""
        return self.name

    @abc.abstractmethod
    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of architecture strings.

        Raises:
            InvalidArchitecture: naming the first string that is not in the space.
        """

    @abc.abstractmethod
    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None where a graph is no cell of the space."""

    @abc.abstractmethod
    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Which graphs are cells of the space."""

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Cells close to graphs that may be none, by changes that their scores make likely; cells stay as they are.

        Args:
            graphs: drawn from the scores, or their likeliest.
            nodes: unnormalised log-probabilities of the node types.
            edges: log-odds of the edge slots.

        Returns:
            The graphs as they are where a space does not say how.
        """
        del nodes, edges
        return graphs

    @abc.abstractmethod
    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """``n`` architectures drawn uniformly and independently (repeats are possible).

        Args:
            n: number of draws.
            rng: source of the draws; None for torch's global one.
        """

    def sample_new(self, n: int, *, known: Collection[str], rng: torch.Generator) -> list[str]:
        """``n`` distinct architectures drawn uniformly from those that are not known.

        Args:
            n: how many.
            known: architectures of the space that are not to be drawn.
            rng: source of the draws.

        Returns:
            Fewer than ``n`` only if the space holds no more.
        """
        if self.size is not None:
            n = min(n, self.size - len(known))
        chosen: dict[str, None] = {}
        while len(chosen) < n:
            for architecture in self.sample(max(n - len(chosen), _DRAWS), rng=rng):
                if architecture not in known and len(chosen) < n:
                    chosen.setdefault(architecture)
        return list(chosen)

    @abc.abstractmethod
    def neighbors(self, architecture: str) -> list[str]:
        """Architectures one elementary change away, in a fixed order; without the architecture itself."""

    def recombine(self, mother: str, father: str, *, rng: torch.Generator) -> str:
        """An architecture that takes every node type and every edge from either parent, by chance.

        Returns:
            The mother where :data:`RECOMBINATIONS` draws give no architecture of the space.
        """
        parents = self.encode([mother, father])
        for _ in range(RECOMBINATIONS):
            types = torch.rand(self.max_nodes, generator=rng) < 0.5
            edges = torch.rand(self.num_slots, generator=rng) < 0.5
            child = Graphs(
                torch.where(types, parents.node_types[0], parents.node_types[1])[None],
                torch.where(edges, parents.edges[0], parents.edges[1])[None],
            )
            [architecture] = self.decode(child)
            if architecture is not None:
                return architecture
        return mother

    @abc.abstractmethod
    def enumerate(self) -> Sequence[str]:
        """All architectures in the benchmark's order.

        Raises:
            ConfigurationError: if the space cannot be enumerated.
        """

    def canonical(self, architecture: str) -> str:
        """The representative of an architecture's isomorphism class, by the benchmark's own rule.

        The string itself where a benchmark tells all strings apart, which is the default.

        Raises:
            InvalidArchitecture: if the string is not in the space.
        """
        self.encode([architecture])
        return architecture

    def functional_key(self, architecture: str) -> str:
        """A text equal for two architectures only if they compute the same family of functions; the string, if need be.

        Raises:
            InvalidArchitecture: if the string is not in the space.
        """
        self.encode([architecture])
        return architecture
