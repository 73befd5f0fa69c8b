"""The interface of a cell space."""

import abc
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.spaces.graphs import Graphs

RECOMBINATIONS = 20
"""Number of draws after which two parents count as impossible to recombine."""

_DRAWS = 256  # smallest number of draws of sample_new at a time: nearly exhausted spaces reject most of them


class AbstractSpace(abc.ABC):
    """A set of cells, each with one string (the benchmark's own notation) and one graph.

    Code outside a space handles architectures as strings. Generators and surrogates handle them as
    :class:`~agnet.spaces.graphs.Graphs`. A space converts batches between the two.
    """

    name: str
    node_types: tuple[str, ...]
    """Vocabulary of node types; index 0 is the output, index 1 the input."""
    max_nodes: int
    size: int | None
    """Number of architecture strings, or None if they cannot be counted."""
    has_isomorphs: bool = False
    """Whether :meth:`canonical` may return another string than its argument."""

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
        """Nodes of every part that a generator makes separately; by default the graph is the only part.

        Parts are alike: the pretrained generator of the space :attr:`generated_as` makes each of them
        (:class:`~agnet.generator.joint.JointGenerator`). They may share nodes, but no edge joins others of their nodes.
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
            InvalidArchitecture: if a string is not in the space; the message names the first.
        """

    @abc.abstractmethod
    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None for a graph that is not a cell of the space."""

    @abc.abstractmethod
    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph is a cell of the space."""

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Turn graphs into nearby cells by changes that are likely under their scores; cells stay unchanged.

        Args:
            graphs: graphs drawn from the scores, or the likeliest ones.
            nodes: unnormalised log-probabilities of the node types.
            edges: log-odds of the edge slots.

        Returns:
            The repaired graphs; by default, a space returns them unchanged.
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
            n: number of architectures.
            known: architectures of the space to exclude.
            rng: source of the draws.

        Returns:
            The architectures; fewer than ``n`` only if the space holds no more.
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
        """An architecture that takes every node type and every edge from a random parent.

        Returns:
            The child, or the mother if :data:`RECOMBINATIONS` draws give no architecture of the space.
        """
        parents = self.encode([mother, father])
        for _ in range(RECOMBINATIONS):
            types = torch.rand(self.max_nodes, generator=rng, dtype=torch.float32, device="cpu") < 0.5
            edges = torch.rand(self.num_slots, generator=rng, dtype=torch.float32, device="cpu") < 0.5
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

        By default every string is its own representative, for benchmarks that distinguish all strings.

        Raises:
            InvalidArchitecture: if the string is not in the space.
        """
        self.encode([architecture])
        return architecture

    def functional_key(self, architecture: str) -> str:
        """A text that is equal for two architectures only if they compute the same family of functions.

        By default it is the string itself.

        Raises:
            InvalidArchitecture: if the string is not in the space.
        """
        self.encode([architecture])
        return architecture
