import pytest
import torch
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator.checkpoints import load_generator
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.optimizers.latent_search.proposal import Proposal, blur, straight_through
from agnet.spaces.graphs import RelaxedGraphs
from agnet.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
CONV = 2 + 1  # type of a 3x3 convolution


@pytest.mark.parametrize(
    "bad",
    [
        {"prior": 0, "elites": 0},
        {"steps": -1},
        {"refinements": -1},
        {"neighbors": -1},
        {"min_noise": 0.5, "max_noise": 0.4},
        {"max_noise": 1.5},
        {"step_size": 0.0},
        {"temperature": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Proposal(**bad)  # pyright: ignore[reportArgumentType]


def test_blurred_latents_keep_the_priors_spread() -> None:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 8, generator=rng)
    assert torch.equal(blur(z, 0.0, 0.0, rng=rng), z)
    mixed = blur(z, 0.2, 0.9, rng=rng)
    assert float(mixed.std()) == pytest.approx(1, abs=0.02)
    fresh = blur(z, 1.0, 1.0, rng=rng)
    assert abs(float((fresh * z).mean())) < 0.02
    assert 0.5 < float((mixed * z).mean()) < 0.95


def test_real_graphs_pass_the_probabilities_gradient() -> None:
    model, _ = load_generator(SPACE)
    z = model.prior(6, rng=torch.Generator().manual_seed(1)).requires_grad_()
    decoded = model(z)
    graphs = likeliest_graphs(decoded)
    hard, soft = straight_through(decoded, graphs, 2.0), decoded._replace(nodes=decoded.nodes / 2).relaxed()
    assert torch.equal(hard.nodes, graphs.relaxed(SPACE.num_types).nodes)
    assert torch.equal(hard.edges, graphs.relaxed(SPACE.num_types).edges)
    wanted = torch.randn(hard.nodes.shape, generator=torch.Generator().manual_seed(2))
    [through] = torch.autograd.grad((hard.nodes * wanted).sum(), [z], retain_graph=True)
    [direct] = torch.autograd.grad((soft.nodes * wanted).sum(), [z])
    torch.testing.assert_close(through, direct)


def convolutions(graphs: RelaxedGraphs) -> Tensor:
    return graphs.nodes[:, :, CONV].sum(dim=1)


def test_ascents_decode_to_what_is_wanted() -> None:
    model, _ = load_generator(SPACE)
    z = model.prior(40, rng=torch.Generator().manual_seed(3))
    way = Proposal(steps=8).ascend(model, z, convolutions, space=SPACE)
    counts = torch.stack([(graphs.node_types == CONV).sum(dim=1) for _, graphs in way]).double()
    assert len(way) == 9
    assert float(counts[-1].mean()) > float(counts[0].mean()) + 2
    start = likeliest_graphs(decode(model, z))
    assert torch.equal(way[0][1].node_types, start.node_types)
    for latent, graphs in way:
        assert torch.equal(likeliest_graphs(decode(model, latent)).node_types, graphs.node_types)
        assert float(latent.norm(dim=1).max()) <= 1.25 * 32**0.5 + 1e-4 or latent is way[0][0]


def test_no_steps_only_decode() -> None:
    model, _ = load_generator(SPACE)
    z = model.prior(5, rng=torch.Generator().manual_seed(4))
    [(latent, _)] = Proposal(steps=0).ascend(model, z, convolutions, space=SPACE)
    assert torch.equal(latent, z)
