"""Losses and likelihoods of graphs, given decoded scores."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from agnet.generator.model import Decoded
from agnet.spaces.graphs import Graphs


def reconstruction_loss(decoded: Decoded, graphs: Graphs) -> Float[Tensor, " batch"]:
    """Cross-entropy of node types plus binary cross-entropy of edges, each a mean over the slots of a graph.

    Padding counts: its nodes are outputs, its edges absent. The fixed first node and edge count too, as in the paper's
    code. If latent vectors carry no information, the loss on uniform NAS-Bench-201 targets is therefore at least
    ``6 ln 5 / 8 = 1.207``.

    Args:
        decoded: scores of the graphs.
        graphs: targets, one per set of scores.

    Returns:
        One loss per graph, in nats per slot.
    """
    nodes = F.cross_entropy(decoded.nodes.transpose(1, 2), graphs.node_types, reduction="none").mean(dim=1)
    edges = F.binary_cross_entropy_with_logits(
        decoded.edges, graphs.edges.to(decoded.edges.dtype), reduction="none"
    ).mean(dim=1)
    return nodes + edges


def log_likelihood(decoded: Decoded, graphs: Graphs) -> Float[Tensor, "scores graphs"]:
    """Log-probability of every graph under every set of scores, in nats."""
    targets = graphs.relaxed(decoded.nodes.shape[2])
    present, absent = F.logsigmoid(decoded.edges), F.logsigmoid(-decoded.edges)
    nodes = decoded.nodes.log_softmax(dim=2).flatten(1) @ targets.nodes.flatten(1).T
    return nodes + (present - absent) @ targets.edges.T + absent.sum(dim=1, keepdim=True)
