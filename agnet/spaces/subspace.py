"""A space restricted to the architectures that have values."""

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs


class Subspace(AbstractSpace):
    """Part of a space: graphs of cells outside the part count as invalid.

    Args:
        space: the whole space.
        allowed: architectures of the part.

    Raises:
        InvalidArchitecture: if an allowed architecture is not in the space.
        ConfigurationError: if no architecture is allowed.
    """

    def __init__(self, space: AbstractSpace, allowed: Collection[str]) -> None:
        if not allowed:
            raise ConfigurationError(f"a subspace of {space.name} needs at least one architecture")
        self._members = sorted(set(allowed))
        space.encode(self._members)
        self.space, self.allowed = space, frozenset(allowed)
        self.name, self.node_types, self.max_nodes = space.name, space.node_types, space.max_nodes
        self.size, self.has_isomorphs = len(self.allowed), space.has_isomorphs

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Parts of the whole space."""
        return self.space.parts

    @property
    def generated_as(self) -> str:
        """The same space as for the whole space."""
        return self.space.generated_as

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings, as in the whole space."""
        return self.space.encode(architectures)

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs; None also for cells outside the part."""
        return [a if a in self.allowed else None for a in self.space.decode(graphs)]

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph is an architecture of the part."""
        return torch.tensor([a is not None for a in self.decode(graphs)], dtype=torch.bool, device="cpu")

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Repair graphs to cells of the whole space, which may lie outside the part."""
        return self.space.repair(graphs, nodes=nodes, edges=edges)

    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """Uniform draws from the part, with repeats."""
        drawn = torch.randint(len(self._members), (n,), generator=rng, device="cpu")
        return [self._members[i] for i in drawn.tolist()]

    def neighbors(self, architecture: str) -> list[str]:
        """Neighbours in the whole space that lie within the part; possibly none."""
        return [a for a in self.space.neighbors(architecture) if a in self.allowed]

    def enumerate(self) -> Sequence[str]:
        """All architectures of the part, in the order of the whole space."""
        return [a for a in self.space.enumerate() if a in self.allowed]

    def canonical(self, architecture: str) -> str:
        """The representative in the whole space, which may lie outside the part."""
        return self.space.canonical(architecture)

    def functional_key(self, architecture: str) -> str:
        """The functional key in the whole space."""
        return self.space.functional_key(architecture)
