"""From latent vectors to scores to graphs.

The first node is the input and the last the output by definition, so they are never drawn; every other node type is
drawn from its categorical and every edge from its Bernoulli distribution, or the likeliest are taken; a graph ends at
its first output.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.generator.model import AbstractGenerator, Decoded
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

CHUNK = 512
"""Graphs decoded at a time: their states stay in a core's cache."""


@torch.no_grad()
def decode(model: AbstractGenerator, z: Float[Tensor, "batch latent"]) -> Decoded:
    """Scores of any number of latent vectors, without gradients."""
    chunks = [model(part) for part in z.split(CHUNK)]
    return Decoded(torch.cat([c.nodes for c in chunks]), torch.cat([c.edges for c in chunks]))


def sample_graphs(decoded: Decoded, *, rng: torch.Generator | None = None) -> Graphs:
    """Draw one graph from each set of scores.

    The draws are made graph by graph in order (types, then edges, each by inverse transform of one uniform), so the
    first graphs of a batch are the same whatever follows them.

    Args:
        decoded: scores.
        rng: CPU source of the draws; None for torch's global one.

    Returns:
        Graphs on the device of the scores.
    """
    batch, max_nodes, _ = decoded.nodes.shape
    slots = decoded.edges.shape[1]
    uniform = torch.rand(batch, max_nodes + slots, generator=rng).to(decoded.nodes)
    cumulative = decoded.nodes.softmax(dim=2).cumsum(dim=2)
    # rounding may leave the last cumulative value below 1: the last type takes what is left
    types = (uniform[:, :max_nodes, None] >= cumulative[:, :, :-1]).sum(dim=2)
    return _ended(types, uniform[:, max_nodes:] < decoded.edges.sigmoid())


def likeliest_graphs(decoded: Decoded, space: AbstractSpace | None = None) -> Graphs:
    """The likeliest type of every node and presence of every edge: what a latent vector decodes to without chance.

    Args:
        decoded: scores.
        space: repairs what it can; None for graphs as they are.
    """
    graphs = _ended(decoded.nodes.argmax(dim=2), decoded.edges > 0)
    return graphs if space is None else space.repair(graphs, nodes=decoded.nodes.detach(), edges=decoded.edges.detach())


def _ended(types: Int[Tensor, "batch nodes"], edges: Bool[Tensor, "batch slots"]) -> Graphs:
    """Set what is fixed, and leave nothing beyond the first output."""
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
        model: the generator.
        z: latent vectors.
        rng: CPU source of the draws; None for torch's global one.

    Returns:
        The graphs and the scores they were drawn from.
    """
    decoded = decode(model, z)
    return sample_graphs(decoded, rng=rng), decoded
