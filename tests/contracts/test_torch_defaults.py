"""The library has the same results whatever torch's defaults in the calling process are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from agnet.generator.checkpoints import load_generator
from agnet.generator.inversion import invert
from agnet.generator.model import GraphGenerator
from agnet.generator.pairing import NearestLatent
from agnet.generator.pretrain import Schedule, pretrain
from agnet.generator.sampling import generate, likeliest_graphs
from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces import edge_cells
from agnet.spaces.graphs import slot_index
from agnet.surrogates import features

PROPOSAL = {"prior": 64, "elites": 2, "copies": 2, "ascents": 4, "steps": 1, "refinements": 1}
OPTIMIZERS = {
    "agnet": {"model": {"iterations": 3}, "proposal": PROPOSAL, "retraining": {"steps": 2}},
    "agnet_faithful": {"retraining": {"epochs": 1}, "pool_size": 10, "max_draws": 50},
    "bananas": {"model": {"members": 2, "steps": 5}, "candidates": {"mutated": 20, "drawn": 20}},
}

Build = Callable[..., Any]


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


STATES = {
    "float64": lambda: default_type(torch.float64),
    "device": lambda: torch.device("meta"),  # in place of cuda: tensors there have no numbers
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
}


def numbers(*tensors: Tensor) -> list[Any]:
    return [(tensor.dtype, tensor.device.type, tensor.tolist()) for tensor in tensors]


def library(build: Build, space_name: str) -> list[Any]:
    """What the parts make, one after another."""
    space, rng = build("space", space_name), torch.Generator().manual_seed(0)
    model, _ = load_generator(space)
    cells = space.sample(4, rng=rng)
    graphs = space.encode(cells)
    z = model.prior(4, rng=rng)
    drawn, decoded = generate(model, z, rng=rng)
    found = invert(model, graphs, rng=rng, draws=16, steps=2)
    new = GraphGenerator(space.num_types, len(space.parts[0]), state=4, latent_size=4)
    losses = []
    if new.max_nodes == space.max_nodes:
        losses = pretrain(new, space, Schedule(steps=2, batch_size=4), NearestLatent(), rng=rng)
    return [
        *(cells, space.neighbors(cells[0])[:3], space.recombine(*cells[:2], rng=rng), losses),
        *space.decode(likeliest_graphs(decoded, space)),
        *space.decode(space.repair(drawn, nodes=decoded.nodes, edges=decoded.edges)),
        *numbers(
            graphs.node_types, graphs.edges, z, *decoded, found, features.FeatureMap(space)(cells), *new.parameters()
        ),
    ]


def searched(build: Build, name: str) -> list[Any]:
    """Queries of a small search with two objectives, from its first draw to a resumed proposal."""
    space = build("space", "nasbench201")
    first, second = (build("optimizer", name, space=space, seed=0, initial=2, **OPTIMIZERS[name]) for _ in range(2))
    batch = first.ask(2)
    rows = [[float(cell.count("conv")), -float(cell.count("3x3"))] for cell in batch]
    first.tell(batch, Outcomes.unlimited(torch.tensor(rows, dtype=torch.float64, device="cpu")))
    second.load_state_dict(first.state_dict())
    asked, again = first.ask(1), second.ask(1)
    assert asked == again
    predictions = first.predictions()
    return [batch, asked, first.diagnostics(), [] if predictions is None else numbers(predictions)]


def fresh(make: Callable[..., list[Any]], build: Build, name: str) -> list[Any]:
    """Made with new tables: those of the process may have been made in another state."""
    slot_index.cache_clear()
    edge_cells._line_graph.cache_clear()
    torch.manual_seed(0)
    return make(build, name)


plain = cache(fresh)


@pytest.fixture(autouse=True)
def few_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale of the features needs no precision here."""
    monkeypatch.setattr(features, "REFERENCE", 50)


PARTS = [(library, "nasbench201"), (library, "darts"), *((searched, name) for name in OPTIMIZERS)]
CASES = [(state, *part) for part in PARTS for state in STATES if state != "no_grad" or part[0] is library]


@pytest.mark.sample(3)
@pytest.mark.parametrize(("state", "make", "name"), CASES, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_same_results(state: str, make: Callable[..., list[Any]], name: str, build: Build) -> None:
    expected = plain(make, build, name)
    with STATES[state]():
        found = fresh(make, build, name)
    assert found == expected
