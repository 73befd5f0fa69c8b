"""Numeric features of a cell: its operations, and the paths through subsets of them.

Source: Kadlecová et al., 2024, Surprisingly Strong Performance Prediction with Neural Graph Features (GRAF),
https://arxiv.org/abs/2404.08434. Difference: paths and degrees are those of the cell as
:class:`~agnet.spaces.graphs.Graphs` holds it, with operations on nodes.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import INPUT, OUTPUT, RelaxedGraphs, slot_index

MAX_SUBSETS = 127
"""If there are more subsets of operations, only small ones and their complements are used."""

REFERENCE = 2000
"""Number of cells whose spread scales the features of a space."""

CHUNK = 16384
"""Number of cells whose features are computed at a time: more need much memory."""


def operation_subsets(num_operations: int) -> Bool[Tensor, "subsets operations"]:
    """Non-empty subsets of operations; if these are too many, those of one or two, their complements, and the full set.

    Example:
        >>> operation_subsets(2).int()
        tensor([[1, 0],
                [0, 1],
                [1, 1]], dtype=torch.int32)
        >>> len(operation_subsets(5)), len(operation_subsets(9))
        (31, 91)
    """
    every = range(num_operations)
    if 2**num_operations - 1 <= MAX_SUBSETS:
        chosen = [set(c) for size in every for c in itertools.combinations(every, size + 1)]
    else:
        small = [set(c) for size in (1, 2) for c in itertools.combinations(every, size)]
        chosen = [*small, *(set(every) - few for few in small), set(every)]
    return torch.tensor(
        [[operation in subset for operation in every] for subset in chosen], dtype=torch.bool, device="cpu"
    )


def subset_features(graphs: RelaxedGraphs, num_types: int) -> Float[Tensor, "batch features"]:
    """Paths and degrees of cells restricted to every subset of operations.

    A restricted cell keeps the input, the output, and the nodes whose operation is in the subset. Its features are, in
    this order: log(1 + number of paths from input to output), edges on the shortest path (the space's number of nodes
    if there is no path), edges on the longest path (0 if there is none), out-degree of the input, in-degree of the
    output, number of operations, and number of operations on a path. Graphs that are equal up to the numbering of their
    nodes have equal features.

    For values between zero and one the features are interpolated: counts become expected counts of independent nodes
    and edges, and lengths are penalised by the missing part of a path. All features are differentiable, so a gradient
    says how a change of a node or an edge would change them.

    Args:
        graphs: cells, real or decoded.
        num_types: size of the node vocabulary; types above ``INPUT`` are operations.

    Returns:
        ``[batch, subsets * 7]``, float32, subset by subset.
    """
    batch, nodes, _ = graphs.nodes.shape
    subsets = operation_subsets(num_types - 2)
    member = torch.cat([torch.ones(len(subsets), 2, dtype=torch.bool, device="cpu"), subsets], dim=1).to(graphs.nodes)
    kept = (graphs.nodes @ member.T).permute(1, 2, 0).contiguous()  # [node, subset, batch]
    starts, ends = graphs.nodes[:, :, INPUT].T, graphs.nodes[:, :, OUTPUT].T
    edges = _edges(graphs)
    nowhere = kept.new_zeros(len(subsets), batch)
    forward = [start + nowhere for start in starts]  # paths from the input that end at a node
    backward = [end + nowhere for end in ends]  # paths from a node to the output
    shortest = [torch.where(start > 0.5, nowhere, float(nodes)) for start in starts]
    longest = [torch.where(start > 0.5, nowhere, -float(nodes)) for start in starts]
    out_degree = in_degree = nowhere
    for source, target, present in edges:  # in the order of their targets
        passes = kept[target] * present
        forward[target] = forward[target] + passes * forward[source]
        absent = (1 - passes) * 2 * nodes
        shortest[target] = torch.minimum(shortest[target], shortest[source] + 1 + absent)
        longest[target] = torch.maximum(longest[target], longest[source] + 1 - absent)
        both = kept[source] * passes
        out_degree = out_degree + both * starts[source]
        in_degree = in_degree + both * ends[target]
    for source, target, present in sorted(edges, key=lambda edge: -edge[0]):
        backward[source] = backward[source] + kept[source] * kept[target] * present * backward[target]
    operations = kept * ((1 - starts) * (1 - ends)).unsqueeze(1)
    is_end = (ends > 0.5).unsqueeze(1)
    nearest = torch.where(is_end, torch.stack(shortest), float(nodes)).amin(dim=0).clamp(max=nodes)
    farthest = torch.where(is_end, torch.stack(longest), 0.0).amax(dim=0).clamp(min=0.0)
    on_path = (torch.stack(forward) * torch.stack(backward)).clamp(max=1.0)
    columns = [
        (torch.stack(forward) * ends.unsqueeze(1)).sum(dim=0).log1p(),
        nearest,
        farthest,
        out_degree,
        in_degree,
        operations.sum(dim=0),
        (operations * on_path).sum(dim=0),
    ]
    return torch.stack(columns, dim=1).permute(2, 0, 1).reshape(batch, -1)


def graph_features(graphs: RelaxedGraphs, num_types: int) -> Float[Tensor, "batch features"]:
    """Node types and edges, followed by :func:`subset_features`.

    Args:
        graphs: cells, real or decoded.
        num_types: size of the node vocabulary.
    """
    return torch.cat([graphs.flat(), subset_features(graphs, num_types)], dim=1)


def _edges(graphs: RelaxedGraphs) -> list[tuple[int, int, Float[Tensor, " batch"]]]:
    """Source, target and presence of the edge slots that any graph uses, in the order of targets."""
    source, target = slot_index(graphs.nodes.shape[1])
    used = (graphs.edges.detach() > 0).any(dim=0).nonzero()[:, 0].tolist()
    present = graphs.edges.T
    return [(int(source[slot]), int(target[slot]), present[slot]) for slot in used]


class FeatureMap:
    """Features of a space's architectures, scaled by the spread over the space; those of strings are cached.

    Columns that do not vary over the space are left out.

    Args:
        space: the space of the architectures.
    """

    @with_gradients
    def __init__(self, space: AbstractSpace) -> None:
        self.space = space
        self._known: dict[str, int] = {}
        reference = space.sample(REFERENCE, rng=torch.Generator().manual_seed(0))
        plain = graph_features(space.encode(reference).relaxed(space.num_types), space.num_types)
        spread = plain.std(dim=0, correction=0)
        spread[0] = torch.where((spread > 1e-6).any(), spread[0], 1.0)  # a space of one cell still needs a column
        self._columns = (spread > 1e-6).nonzero()[:, 0]
        self._center, self._scale = plain.mean(dim=0)[self._columns], spread[self._columns]
        self._rows = plain.new_zeros(0, len(self._columns))

    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "n features"]:
        """Scaled features, float32: mean 0 and spread 1 over the space."""
        new = list(dict.fromkeys(a for a in architectures if a not in self._known))
        for i in range(0, len(new), CHUNK):
            part = new[i : i + CHUNK]
            rows = self.relaxed(self.space.encode(part).relaxed(self.space.num_types))
            self._known.update(zip(part, range(len(self._rows), len(self._rows) + len(part)), strict=True))
            self._rows = torch.cat([self._rows, rows])
        return self._rows[[self._known[a] for a in architectures]]

    def relaxed(self, graphs: RelaxedGraphs) -> Float[Tensor, "batch features"]:
        """Scaled features of real or decoded graphs; differentiable."""
        plain = graph_features(graphs, self.space.num_types)
        return (plain[:, self._columns] - self._center) / self._scale
