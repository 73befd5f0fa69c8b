"""What every pairing in ``conf/pairing`` must keep."""

from collections.abc import Callable

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from agnet.generator.model import GraphGenerator
from agnet.generator.pairing import AbstractPairing
from agnet.generator.pretrain import Schedule, pretrain
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201

PAIRINGS = sorted(p.stem for p in (CONF_DIR / "pairing").glob("*.yaml"))
SPACE = NASBench201()
Make = Callable[[], AbstractPairing]


@pytest.fixture(params=PAIRINGS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(name: str) -> Make:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("pretrain", overrides=[f"pairing={name}", "out=x"])
    return lambda: instantiate(cfg.pairing)


def fresh() -> GraphGenerator:
    torch.manual_seed(0)
    return GraphGenerator(SPACE.num_types, SPACE.max_nodes, state=8, latent_size=16)


def test_its_name_is_its_files(make: Make, name: str) -> None:
    assert make().name == name


def test_every_graph_gets_a_finite_latent_vector_and_the_generator_is_left_alone(make: Make) -> None:
    model, pairing, graphs = fresh(), make(), SPACE.encode(SPACE.enumerate()[:40])
    before = [p.clone() for p in model.parameters()]
    pairing.prepare(SPACE, model.latent_size, rng=torch.Generator().manual_seed(1))
    z = pairing(model, graphs, rng=torch.Generator().manual_seed(2))
    assert z.shape == (40, model.latent_size)
    assert bool(z.isfinite().all())
    assert not z.requires_grad
    assert 0.5 < float(z.square().mean()) < 2
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_draws_decide(make: Make) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        model = fresh()
        pretrain(model, SPACE, Schedule(3, 16), make(), rng=torch.Generator().manual_seed(seed))
        return list(model.parameters())

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
