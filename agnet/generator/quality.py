"""Quality of a generator: its samples, the information in its latent vectors, and the smoothness of their space."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.generator.inversion import invert
from agnet.generator.model import AbstractGenerator
from agnet.generator.sampling import decode, likeliest_graphs, sample_graphs
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs

SEGMENTS, POINTS = 200, 33
"""Number of segments between latent vectors, and of points on each, along which smoothness is measured."""

TARGETS = 200
"""Number of graphs for which latent vectors are sought."""

VARIES = 1e-3
"""Entropy of a node's type, in nats, above which the node counts as free."""


def latent_information(node_logits: Float[Tensor, "batch nodes types"]) -> Float[Tensor, " nodes"]:
    r"""Mutual information between the latent vector and each node's type, in nats.

    .. math:: I(z; x_v) = H\big(E_z\, p(x_v | z)\big) - E_z\, H\big(p(x_v | z)\big)

    estimated from the scores of a batch of latent vectors. Since entropy is concave, the estimate is biased downwards,
    by about ``(types - 1) / (2 batch)`` at most. It is 0 for a generator that ignores z and at most ``ln types``, for
    one that decodes deterministically.
    """
    p = node_logits.double().softmax(dim=2)
    conditional = torch.special.entr(p).sum(dim=2).mean(dim=0)
    return (torch.special.entr(p.mean(dim=0)).sum(dim=1) - conditional).clamp(min=0)


def free_nodes(space: AbstractSpace, *, rng: torch.Generator, draws: int = 2000) -> Int[Tensor, " free"]:
    """Indices of nodes whose type varies over a space."""
    types = space.encode(space.sample(draws, rng=rng)).node_types
    counts = torch.nn.functional.one_hot(types, space.num_types).double().mean(dim=0)
    return (torch.special.entr(counts).sum(dim=1) > VARIES).nonzero()[:, 0]


def edit_distance(first: Graphs, second: Graphs) -> Int[Tensor, " batch"]:
    """Number of node types and edges in which graphs differ, position by position."""
    return (first.node_types != second.node_types).sum(dim=1) + (first.edges != second.edges).sum(dim=1)


def assess(
    model: AbstractGenerator, space: AbstractSpace, *, draws: int = 10_000, rng: torch.Generator
) -> dict[str, int | float]:
    """Validity, uniqueness, latent information, reconstruction and smoothness of a generator.

    Args:
        model: the generator to assess.
        space: the generator's space.
        draws: latent vectors to draw from the prior.
        rng: source of latent vectors and draws.

    Returns:
        * ``validity`` and ``uniqueness`` (distinct among valid) as fractions, ``distinct`` as a count, for graphs drawn
          from the scores;
        * ``likeliest_validity``, ``likeliest_distinct``: the same for the likeliest graph of every latent vector;
        * ``repaired_validity``, ``repaired_distinct``: the same for the drawn graphs after repair by the space;
        * ``latent_information_mean``, ``_min``, ``_max``: nats, over the nodes that vary in the space;
        * ``reconstruction``: share of random cells for which :func:`~agnet.generator.inversion.invert` finds a latent
          vector whose likeliest graph they are;
        * ``segment_validity``, ``segment_step``, ``segment_changes``: along straight lines between two draws from the
          prior, the share of valid graphs, the largest edit distance between neighbouring points (mean over lines), and
          the number of changes of the graph.
    """
    decoded = decode(model, model.prior(draws, rng=rng))
    drawn = sample_graphs(decoded, rng=rng)
    valid = [a for a in space.decode(drawn) if a is not None]
    repaired = [a for a in space.decode(space.repair(drawn, nodes=decoded.nodes, edges=decoded.edges)) if a is not None]
    likeliest = [a for a in space.decode(likeliest_graphs(decoded)) if a is not None]
    information = latent_information(decoded.nodes)[free_nodes(space, rng=rng)]
    return {
        "draws": draws,
        "validity": len(valid) / draws,
        "distinct": len(set(valid)),
        "uniqueness": len(set(valid)) / max(len(valid), 1),
        "likeliest_validity": len(likeliest) / draws,
        "likeliest_distinct": len(set(likeliest)),
        "repaired_validity": len(repaired) / draws,
        "repaired_distinct": len(set(repaired)),
        "latent_information_mean": float(information.mean()),
        "latent_information_min": float(information.min()),
        "latent_information_max": float(information.max()),
        "reconstruction": _reconstruction(model, space, rng=rng),
        **_smoothness(model, space, rng=rng),
    }


def _reconstruction(model: AbstractGenerator, space: AbstractSpace, *, rng: torch.Generator) -> float:
    targets = space.encode(space.sample(TARGETS, rng=rng))
    found = likeliest_graphs(decode(model, invert(model, targets, rng=rng)))
    return float((edit_distance(found, targets) == 0).double().mean())


def _smoothness(model: AbstractGenerator, space: AbstractSpace, *, rng: torch.Generator) -> dict[str, float]:
    ends = model.prior(2 * SEGMENTS, rng=rng).unflatten(0, (2, SEGMENTS))
    position = torch.linspace(0, 1, POINTS, dtype=torch.float32, device="cpu")[:, None, None]
    z = (1 - position) * ends[0] + position * ends[1]  # [point, segment, latent]
    graphs = likeliest_graphs(decode(model, z.flatten(0, 1)))
    valid = space.is_valid(graphs)
    steps = edit_distance(graphs[slice(None, -SEGMENTS)], graphs[slice(SEGMENTS, None)]).view(POINTS - 1, SEGMENTS)
    return {
        "segment_validity": float(valid.double().mean()),
        "segment_step": float(steps.amax(dim=0).double().mean()),
        "segment_changes": float((steps > 0).sum(dim=0).double().mean()),
    }
