"""A batch of cells as dense tensors, with conversion to and from torch_geometric.

All spaces share one layout. Nodes are topologically ordered, an edge ``u -> v`` exists only for ``u < v``, and edge
slots are ordered by target, then source: ``slot(u, v) = v (v - 1) / 2 + u``. Node type 0 is the output and also the
padding; type 1 is the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.runtime.gradients import with_gradients

if TYPE_CHECKING:  # torch_geometric takes longer to import than torch: only who converts graphs pays for it
    import torch_geometric.data

OUTPUT, INPUT = 0, 1


@cache
@with_gradients
def slot_index(max_nodes: int) -> tuple[Tensor, Tensor]:
    """Source and target node of every edge slot.

    Args:
        max_nodes: number of nodes ``N`` of the space.

    Returns:
        Two int64 tensors of length ``N (N - 1) / 2``: sources ``u`` and targets ``v`` with ``u < v``.

    Example:
        >>> slot_index(3)
        (tensor([0, 0, 1]), tensor([1, 2, 2]))
    """
    target, source = torch.tril_indices(max_nodes, max_nodes, offset=-1, device="cpu")
    return source, target


class RelaxedGraphs(NamedTuple):
    """A batch of graphs as probabilities, which can be differentiated.

    Attributes:
        nodes: probability of every type at every node.
        edges: probability of every edge slot.
    """

    nodes: Float[Tensor, "batch nodes types"]
    edges: Float[Tensor, "batch slots"]

    def __repr__(self) -> str:
        return f"RelaxedGraphs(graphs: {len(self.nodes)}, nodes: up to {self.nodes.shape[1]})"

    def flat(self) -> Float[Tensor, "batch features"]:
        """Node types followed by edge slots, ``[batch, N * K + N (N - 1) / 2]``."""
        return torch.cat([self.nodes.flatten(1), self.edges], dim=1)


@dataclass(frozen=True)
class Graphs:
    """A batch of directed acyclic graphs with typed nodes.

    Attributes:
        node_types: type of every node; positions after a graph's last node hold ``OUTPUT``.
        edges: presence of every edge slot; slots that touch padding are False.
    """

    node_types: Int[Tensor, "batch nodes"]
    edges: Bool[Tensor, "batch slots"]

    def __len__(self) -> int:
        return self.node_types.shape[0]

    def __repr__(self) -> str:
        return f"Graphs(graphs: {len(self)}, nodes: up to {self.max_nodes})"

    def __getitem__(self, index: Int[Tensor, " chosen"] | Bool[Tensor, " batch"] | slice) -> "Graphs":
        return Graphs(self.node_types[index], self.edges[index])

    def clone(self) -> "Graphs":
        """A copy that shares no memory."""
        return Graphs(self.node_types.clone(), self.edges.clone())

    @property
    def max_nodes(self) -> int:
        """Number of node positions, padding included."""
        return self.node_types.shape[1]

    @property
    def num_nodes(self) -> Int[Tensor, " batch"]:
        """Nodes of each graph: everything up to and including the first ``OUTPUT``."""
        is_output = self.node_types == OUTPUT
        first = is_output.to(torch.int8).argmax(dim=1) + 1
        return torch.where(is_output.any(dim=1), first, self.max_nodes)

    def relaxed(self, num_types: int) -> "RelaxedGraphs":
        """The same graphs as probabilities of zero and one.

        Args:
            num_types: size ``K`` of the space's node vocabulary.
        """
        return RelaxedGraphs(torch.nn.functional.one_hot(self.node_types, num_types).float(), self.edges.float())

    def to_data_list(self) -> "list[torch_geometric.data.Data]":
        """One torch_geometric ``Data`` per graph: ``x`` node types ``[n]``, ``edge_index`` ``[2, e]``."""
        from torch_geometric.data import Data

        source, target = slot_index(self.max_nodes)
        sizes = self.num_nodes.tolist()
        return [
            Data(
                x=types[:size].clone(),
                edge_index=torch.stack([source[present], target[present]]),
                num_nodes=size,
            )
            for types, present, size in zip(self.node_types, self.edges, sizes, strict=True)
        ]

    def to_batch(self) -> "torch_geometric.data.Batch":
        """All graphs as one torch_geometric ``Batch`` (a disjoint union)."""
        from torch_geometric.data import Batch

        return Batch.from_data_list(list(self.to_data_list()))

    @classmethod
    def from_data(
        cls, data: "torch_geometric.data.Batch | Sequence[torch_geometric.data.Data]", *, max_nodes: int
    ) -> "Graphs":
        """Read torch_geometric graphs: the inverse of :meth:`to_batch` and :meth:`to_data_list`.

        Args:
            data: graphs with ``x`` = node types ``[n]`` (or one-hot ``[n, K]``) and ``edge_index``.
            max_nodes: number of node positions of the space.

        Raises:
            ValueError: if a graph has more nodes than ``max_nodes`` or an edge against the node order.
        """
        from torch_geometric.data import Batch

        graphs = data.to_data_list() if isinstance(data, Batch) else list(data)
        node_types = torch.full((len(graphs), max_nodes), OUTPUT, device="cpu")
        edges = torch.zeros(len(graphs), max_nodes * (max_nodes - 1) // 2, dtype=torch.bool, device="cpu")
        for row, graph in enumerate(graphs):
            x, edge_index = graph.x, graph.edge_index
            if x is None or edge_index is None:
                raise ValueError(f"graph {row} lacks x or edge_index; got keys {graph.keys()}")
            types = x.argmax(dim=1) if x.ndim == 2 else x
            if len(types) > max_nodes:
                raise ValueError(f"graph {row} has {len(types)} nodes; the space allows {max_nodes}")
            source, target = edge_index
            if bool((source >= target).any()):
                raise ValueError(f"graph {row} has an edge against the node order: relabel it topologically")
            node_types[row, : len(types)] = types
            edges[row, target * (target - 1) // 2 + source] = True
        return cls(node_types, edges)


def concatenate(parts: Sequence[Graphs]) -> Graphs:
    """Join batches into one."""
    return Graphs(torch.cat([part.node_types for part in parts]), torch.cat([part.edges for part in parts]))
