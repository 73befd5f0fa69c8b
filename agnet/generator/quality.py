"""How good a generator is: what it draws, and whether its latent vector says anything."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.generator.model import GraphGenerator
from agnet.generator.sampling import generate
from agnet.spaces.base import AbstractSpace


def latent_information(node_logits: Float[Tensor, "batch nodes types"]) -> Float[Tensor, " nodes"]:
    r"""Mutual information between the latent vector and each node's type, in nats.

    .. math:: I(z; x_v) = H\big(E_z\, p(x_v | z)\big) - E_z\, H\big(p(x_v | z)\big)

    estimated from the scores of a batch of latent vectors; biased downwards, since entropy is concave, by about
    ``(types - 1) / (2 batch)`` at most. 0 for a generator that ignores z, up to ``ln types`` for one that decodes
    without chance.
    """
    p = node_logits.double().softmax(dim=2)
    conditional = torch.special.entr(p).sum(dim=2).mean(dim=0)
    return (torch.special.entr(p.mean(dim=0)).sum(dim=1) - conditional).clamp(min=0)


def expected_distinct(draws: int, size: int) -> float:
    """Distinct cells that ``draws`` uniform draws from ``size`` cells give on average.

    Example:
        >>> round(expected_distinct(10_000, 15_625))
        7386
    """
    return size * -math.expm1(draws * math.log1p(-1 / size))


def assess(
    model: GraphGenerator, space: AbstractSpace, *, draws: int = 10_000, generator: torch.Generator
) -> dict[str, int | float]:
    """Validity, uniqueness and latent information of a generator.

    Args:
        model: the generator.
        space: its space.
        draws: graphs to draw.
        generator: source of latent vectors and draws.

    Returns:
        ``validity`` and ``uniqueness`` (distinct among valid) as fractions, ``distinct`` as a count, and
        ``latent_information_max``/``_mean`` in nats over the nodes that vary.
    """
    graphs, decoded = generate(model, model.prior(draws, generator=generator), generator=generator)
    valid = [a for a in space.decode(graphs) if a is not None]
    information = latent_information(decoded.nodes)[1:-1]
    return {
        "draws": draws,
        "validity": len(valid) / draws,
        "distinct": len(set(valid)),
        "uniqueness": len(set(valid)) / max(len(valid), 1),
        "latent_information_max": float(information.max()),
        "latent_information_mean": float(information.mean()),
    }
