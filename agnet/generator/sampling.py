"""From latent vectors to scores to graphs.

The first node is the input and the last the output by definition, so they are never drawn. Every other node type is
drawn from its categorical distribution and every edge from its Bernoulli distribution, or the likeliest are taken. A
graph ends at its first output.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.generator.model import AbstractGenerator, Decoded
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

CHUNK = 512
"""Number of graphs decoded at a time: their states stay in a core's cache."""


@torch.no_grad()
def decode(model: AbstractGenerator, z: Float[Tensor, "batch latent"]) -> Decoded:
    """Scores of any number of latent vectors, without gradients."""
    chunks = [model(part) for part in z.split(CHUNK)]
    return Decoded(torch.cat([c.nodes for c in chunks]), torch.cat([c.edges for c in chunks]))


def sample_graphs(decoded: Decoded, *, rng: torch.Generator | None = None) -> Graphs:
    """Draw one graph from each set of scores.

    Graphs are drawn one after another (types, then edges, each by inverse transform of one uniform number), so the
    first graphs of a batch do not depend on those that follow.

    Args:
        decoded: scores of the graphs.
        rng: CPU source of the draws; None for torch's global one.

    Returns:
        Graphs on the device of the scores.
    """
    batch, max_nodes, _ = decoded.nodes.shape
    slots = decoded.edges.shape[1]
    uniform = torch.rand(batch, max_nodes + slots, generator=rng, dtype=torch.float32, device="cpu").to(decoded.nodes)
    cumulative = decoded.nodes.softmax(dim=2).cumsum(dim=2)
    # rounding may leave the last cumulative value below 1, so the last type takes the remainder
    types = (uniform[:, :max_nodes, None] >= cumulative[:, :, :-1]).sum(dim=2)
    return _ended(types, uniform[:, max_nodes:] < decoded.edges.sigmoid())


def likeliest_graphs(decoded: Decoded, space: AbstractSpace | None = None) -> Graphs:
    """The graphs that scores decode to deterministically: the likeliest type of every node, every likely edge.

    Args:
        decoded: scores of the graphs.
        space: space that repairs the graphs where it can; None to leave them unrepaired.
    """
    graphs = _ended(decoded.nodes.argmax(dim=2), decoded.edges > 0)
    return graphs if space is None else space.repair(graphs, nodes=decoded.nodes.detach(), edges=decoded.edges.detach())


def _ended(types: Int[Tensor, "batch nodes"], edges: Bool[Tensor, "batch slots"]) -> Graphs:
    """Set the fixed nodes and remove everything beyond the first output."""
    types = types.clone()
    types[:, 0], types[:, -1] = INPUT, OUTPUT
    ended = (types == OUTPUT).cumsum(dim=1) > 0
    types = types.masked_fill(ended, OUTPUT)
    absent = torch.cat([ended.new_zeros(len(types), 1), ended[:, :-1]], dim=1)  # beyond the first output
    _, target = slot_index(types.shape[1])
    return Graphs(types, edges & ~absent[:, target])


def generate(
    model: AbstractGenerator, z: Float[Tensor, "batch latent"], *, rng: torch.Generator | None = None
) -> tuple[Graphs, Decoded]:
    """Decode latent vectors and draw a graph from each.

    Args:
        model: the generator to decode with.
        z: latent vectors, one per graph.
        rng: CPU source of the draws; None for torch's global one.

    Returns:
        The graphs and the scores they were drawn from.
    """
    decoded = decode(model, z)
    return sample_graphs(decoded, rng=rng), decoded
