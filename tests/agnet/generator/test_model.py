import pytest
import torch
from torch import Tensor, nn

from agnet.generator.model import EDGE_THRESHOLD, FIXED_LOGIT, Decoded, GraphGenerator, Propagation


def build(
    *, num_types: int = 7, max_nodes: int = 8, seed: int = 0, layers: int = 2, scale: float = 3.0
) -> GraphGenerator:
    """A generator whose weights are large enough that edges appear and vanish while graphs grow."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GraphGenerator(num_types, max_nodes, layers=layers).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


def latent(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("num_types", "layers", "count"), [(7, 2, 42_474), (5, 2, 42_344), (11, 4, 56_558), (9, 2, 42_604)]
)
def test_parameter_count_equals_the_published_networks(num_types: int, layers: int, count: int) -> None:
    model = GraphGenerator(num_types, 8, layers=layers)
    assert sum(p.numel() for p in model.parameters()) == count


def test_a_batch_decodes_as_its_members_one_by_one() -> None:
    model, z = build(), latent(33)
    together = model(z)
    alone = [model(row[None]) for row in z]
    assert torch.allclose(together.nodes, torch.cat([d.nodes for d in alone]), atol=1e-10)
    assert torch.allclose(together.edges, torch.cat([d.edges for d in alone]), atol=1e-10)
    # the batch holds different growing graphs, or this test would prove nothing
    assert len((together.edges > EDGE_THRESHOLD).unique(dim=0)) > 3


def test_order_of_the_batch_does_not_matter() -> None:
    model, z = build(), latent(20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(model(z).nodes[order], model(z[order]).nodes, atol=1e-10)


def slow_propagation(layer: Propagation, states: Tensor, edges: list[tuple[int, int]]) -> Tensor:
    """Message passing as the paper states it, edge by edge, for one graph ``[nodes, state]``."""
    half = states.shape[1] // 2
    out = []
    for direction, (message, update) in enumerate(
        ((layer.forward_message, layer.forward_update), (layer.backward_message, layer.backward_update))
    ):
        own = states[:, direction * half : (direction + 1) * half]
        received = torch.zeros(len(states), 2 * half, dtype=states.dtype)
        for u, v in edges:
            source, target = (u, v) if direction == 0 else (v, u)
            received[target] += message(torch.cat([own[source], own[target]]))
        out.append(update(received, own))
    return torch.cat(out, dim=1)


def slow_decode(model: GraphGenerator, z: Tensor) -> Decoded:
    """Algorithm 3 for one latent vector, straight from the description."""

    def perceptron(module: nn.Module, *parts: Tensor) -> Tensor:
        return module(torch.cat(parts))

    one_hot = torch.zeros(model.num_types, dtype=z.dtype)
    one_hot[1] = 1
    states = perceptron(model.start, model.embedding(one_hot), z)[None]
    nodes, edge_scores, edges = [FIXED_LOGIT * one_hot], [], []
    for t in range(1, model.max_nodes):
        if t == 1:
            graph, graph_init = model.readout(states[0]), model.init_readout(states[0])
        else:
            for layer in model.propagations:
                assert isinstance(layer, Propagation)
                states = slow_propagation(layer, states, edges)
            graph = (model.readout(states) * model.readout_gate(states).sigmoid()).sum(0)
            graph_init = (model.init_readout(states) * model.init_readout_gate(states).sigmoid()).sum(0)
        types = perceptron(model.add_node, graph, z)
        new = perceptron(model.init_node, model.embedding(types), graph_init, z)
        for u in range(t):
            score = perceptron(model.add_edge, states[u], new, graph, z)[0] if t > 1 else new.new_tensor(FIXED_LOGIT)
            edge_scores.append(score)
            if score > EDGE_THRESHOLD:
                edges.append((u, t))
        nodes.append(types)
        states = torch.cat([states, new[None]])
    return Decoded(torch.stack(nodes)[None], torch.stack(edge_scores)[None])


@pytest.mark.parametrize("seed", range(3))
def test_equals_algorithm_3_written_out(seed: int) -> None:
    model = build(seed=seed, max_nodes=6, num_types=5)
    for z in latent(4, seed=seed):
        fast, slow = model(z[None]), slow_decode(model, z)
        assert torch.allclose(fast.nodes, slow.nodes, atol=1e-9)
        assert torch.allclose(fast.edges, slow.edges, atol=1e-9)


def test_gradient_reaches_latent_vector_and_every_weight() -> None:
    model, z = build(), latent(8).requires_grad_()
    decoded = model(z)
    (decoded.nodes.sin().sum() + decoded.edges.sin().sum()).backward()
    assert z.grad is not None
    assert bool((z.grad.abs().sum(dim=1) > 0).all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_gradient_of_the_latent_vector_is_right() -> None:
    model = build(max_nodes=4, num_types=4, scale=1.0)
    assert torch.autograd.gradcheck(lambda z: tuple(model(z)), latent(2).requires_grad_(), eps=1e-6, atol=1e-6)


def test_settings_rebuild_the_model() -> None:
    model = GraphGenerator(5, 7, state=16, latent_size=8, layers=3)
    again = GraphGenerator(**model.settings())
    again.load_state_dict(model.state_dict())
    assert again.settings() == model.settings()


@pytest.mark.parametrize(
    "wrong", [{"state": 31}, {"latent_size": 0}, {"layers": 0}, {"max_nodes": 2}, {"num_types": 2}]
)
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        GraphGenerator(**{"num_types": 7, "max_nodes": 8, **wrong})
