"""What each pairing ties to what; every yaml of ``conf/pairing`` is in ``tests/contracts``."""

import itertools

import pytest
import torch

from agnet.errors import ConfigurationError
from agnet.generator.loss import log_likelihood, reconstruction_loss
from agnet.generator.model import Decoded, GraphGenerator
from agnet.generator.pairing import FreshNoise, NearestLatent, OptimalTransport, WhitenedProjection
from agnet.generator.sampling import decode
from agnet.spaces.graphs import Graphs
from agnet.spaces.nasbench201 import NASBench201

SPACE = NASBench201()


def model(latent_size: int = 16) -> GraphGenerator:
    torch.manual_seed(0)
    generator = GraphGenerator(SPACE.num_types, SPACE.max_nodes, state=8, latent_size=latent_size)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(3)
    return generator


def targets(n: int) -> Graphs:
    return SPACE.encode(SPACE.sample(n, rng=torch.Generator().manual_seed(5)))


def test_likelihoods_are_the_losses_slot_by_slot() -> None:
    decoded = decode(model(), torch.randn(7, 16))
    graphs = targets(7)
    found = log_likelihood(decoded, graphs)
    nodes = torch.stack([decoded.nodes[i].log_softmax(dim=1)[range(8), graphs.node_types[i]].sum() for i in range(7)])
    edges = torch.where(graphs.edges, decoded.edges, -decoded.edges)
    torch.testing.assert_close(found.diagonal(), nodes + torch.nn.functional.logsigmoid(edges).sum(dim=1))
    alone = Decoded(decoded.nodes[2:3].expand(7, -1, -1), decoded.edges[2:3].expand(7, -1))
    assert torch.equal(found[2].argsort(), log_likelihood(alone, graphs)[0].argsort())
    assert reconstruction_loss(decoded, graphs).shape == (7,)


def test_noise_does_not_look() -> None:
    first = FreshNoise()(model(), targets(4), rng=torch.Generator().manual_seed(1))
    other = FreshNoise()(model(), targets(8)[torch.arange(4, 8)], rng=torch.Generator().manual_seed(1))
    assert torch.equal(first, other)


def test_the_nearest_is_the_likeliest_of_all_draws() -> None:
    generator, graphs = model(), targets(5)
    found = NearestLatent(3)(generator, graphs, rng=torch.Generator().manual_seed(2))
    z = generator.prior(15, rng=torch.Generator().manual_seed(2))
    likelihood = log_likelihood(decode(generator, z), graphs)
    assert torch.equal(found, z[likelihood.argmax(dim=0)])


def test_transport_is_the_best_permutation() -> None:
    generator, graphs = model(), targets(5)
    found = OptimalTransport()(generator, graphs, rng=torch.Generator().manual_seed(2))
    z = generator.prior(5, rng=torch.Generator().manual_seed(2))
    likelihood = log_likelihood(decode(generator, z), graphs)
    best = max(itertools.permutations(range(5)), key=lambda p: float(likelihood[list(p), range(5)].sum()))
    assert torch.equal(found, z[list(best)])


@pytest.mark.parametrize("latent_size", [8, 24, 40])
def test_addresses_look_like_the_prior(latent_size: int) -> None:
    """24 directions of NAS-Bench-201 fit into more, and are projected into fewer."""
    address = WhitenedProjection()
    address.prepare(SPACE, latent_size, rng=torch.Generator().manual_seed(3))
    places = address.addresses(SPACE.encode(SPACE.enumerate()), SPACE.num_types)
    assert float(places.mean(dim=0).abs().max()) < 0.1
    covariance = torch.cov(places.T)
    assert float(covariance.trace()) / min(latent_size, 24) == pytest.approx(1, abs=0.05)
    assert len(places.unique(dim=0)) == SPACE.size


def test_neighbours_have_near_addresses() -> None:
    address = WhitenedProjection()
    address.prepare(SPACE, 32, rng=torch.Generator().manual_seed(3))
    [cell] = SPACE.sample(1, rng=torch.Generator().manual_seed(4))
    near = address.addresses(SPACE.encode([cell, *SPACE.neighbors(cell)]), SPACE.num_types)
    far = address.addresses(SPACE.encode(SPACE.sample(500, rng=torch.Generator().manual_seed(5))), SPACE.num_types)
    assert float((near[1:] - near[0]).norm(dim=1).mean()) < 0.6 * float((far - near[0]).norm(dim=1).mean())


def test_noise_around_addresses_keeps_the_spread() -> None:
    address = WhitenedProjection(0.3, 0.7)
    generator, graphs = model(32), targets(3000)
    address.prepare(SPACE, 32, rng=torch.Generator().manual_seed(3))
    z = address(generator, graphs, rng=torch.Generator().manual_seed(4))
    assert float(z.square().mean()) == pytest.approx((24 * 1 + 8 * 0.27) / 32, abs=0.08)
    exact = WhitenedProjection(0.0, 0.0)
    exact.prepare(SPACE, 32, rng=torch.Generator().manual_seed(3))
    assert torch.equal(exact(generator, graphs, rng=torch.Generator()), exact.addresses(graphs, SPACE.num_types))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="candidates"):
        NearestLatent(0)
    with pytest.raises(ConfigurationError, match="min_noise"):
        WhitenedProjection(0.5, 0.2)
    with pytest.raises(RuntimeError, match="prepare"):
        WhitenedProjection().addresses(targets(1), SPACE.num_types)
