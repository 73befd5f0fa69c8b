"""How long does it take to generate 10,000 NAS-Bench-201 graphs from the shipped checkpoint?

``python -m benchmarks.generation`` times decoding, drawing and the validity check, then a training step. In the same
run it compares the dense message passing with torch_geometric's on the same generator, with equal results.
"""

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from agnet.generator import model as generator_model
from agnet.generator.checkpoints import load_generator
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import GraphGenerator
from agnet.generator.sampling import generate
from agnet.spaces.nasbench201 import NASBench201
from benchmarks.timing import alternate, line, one_thread

REFERENCE_SECONDS = 11.6
"""Seconds of the 2022 code on another machine, quoted from the project's specification, not run here."""


class SparsePropagation(MessagePassing):
    """One direction of :func:`agnet.generator.model.propagate` on an edge list."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edge_index: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """Half-states after one layer."""
        message_weight, message_bias, update_weight, update_bias = weights
        half = x.shape[1]
        received = self.propagate(edge_index, x=x, weight=message_weight, bias=message_bias)
        mixed = torch.addmm(update_bias[0], torch.cat([received, x], dim=1), update_weight)
        gates, new_input, new_state = mixed.split([2 * half, half, half], dim=1)
        reset, keep = gates.sigmoid().chunk(2, dim=1)
        return torch.lerp(torch.tanh(new_input + reset * new_state), x, keep)

    def message(self, x_i: Tensor, x_j: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """A message that is linear in source and target."""
        from_source, from_target = weight.chunk(2, dim=1)
        return x_j @ from_source + x_i @ from_target + bias


SPACE, SPARSE = NASBench201(), SparsePropagation()


def sparse_propagate(halves: Tensor, adjacency: Tensor, degrees: Tensor, weights: Any) -> Tensor:
    """A drop-in replacement of the dense layer that treats the batch as one disjoint union."""
    _, batch, nodes, half = halves.shape
    out = []
    for direction in range(2):
        graph, target, source = adjacency[direction].nonzero(as_tuple=True)
        edge_index = torch.stack([graph * nodes + source, graph * nodes + target])
        flat = halves[direction].reshape(batch * nodes, half)
        out.append(SPARSE(flat, edge_index, [w[direction] for w in weights]))
    return torch.stack(out).view_as(halves)


def run(model: GraphGenerator, propagate: Any, n: int) -> list[str | None]:
    """Generate ``n`` graphs with a given message passing."""
    rng = torch.Generator().manual_seed(0)
    dense, generator_model.propagate = generator_model.propagate, propagate
    try:
        graphs, _ = generate(model, model.prior(n, rng=rng), rng=rng)
    finally:
        generator_model.propagate = dense
    return SPACE.decode(graphs)


def step(model: GraphGenerator, propagate: Any, batch: int) -> None:
    """Ten forward and backward passes of the reconstruction loss."""
    rng = torch.Generator().manual_seed(0)
    graphs = SPACE.encode(SPACE.sample(batch, rng=rng))
    dense, generator_model.propagate = generator_model.propagate, propagate
    try:
        for _ in range(10):
            reconstruction_loss(model(model.prior(batch, rng=rng)), graphs).mean().backward()
    finally:
        generator_model.propagate = dense


def main() -> None:
    """Print the table."""
    one_thread()
    model, _ = load_generator(SPACE)
    dense = generator_model.propagate
    for n in (100, 1_000, 10_000):
        results: dict[str, list[str | None]] = {}
        seconds = alternate(
            {
                "dense": lambda n=n, results=results: results.update(dense=run(model, dense, n)),
                "torch_geometric": lambda n=n, results=results: results.update(sparse=run(model, sparse_propagate, n)),
            },
            runs=3,
        )
        equal = sum(a == b for a, b in zip(results["dense"], results["sparse"], strict=True)) / n
        valid = [a for a in results["dense"] if a is not None]
        print(line(f"{n} graphs, dense (used)", seconds["dense"]))
        print(line(f"{n} graphs, torch_geometric", seconds["torch_geometric"]))
        ratio = sorted(seconds["torch_geometric"])[1] / sorted(seconds["dense"])[1]
        print(f"  ratio {ratio:.2f}; equal graphs {equal:.2%}; valid {len(valid) / n:.2%}; distinct {len(set(valid))}")
    print(f"  2022 code, quoted: {REFERENCE_SECONDS} CPU-s, {REFERENCE_SECONDS / min(seconds['dense']):.0f}x")
    for batch in (16, 32, 256):
        seconds = alternate(
            {
                "dense": lambda batch=batch: step(model, dense, batch),
                "torch_geometric": lambda batch=batch: step(model, sparse_propagate, batch),
            },
            runs=5,
        )
        ratio = sorted(seconds["torch_geometric"])[2] / sorted(seconds["dense"])[2]
        print(line(f"10 training steps of {batch}, dense (used)", seconds["dense"]))
        print(line(f"10 training steps of {batch}, torch_geometric", seconds["torch_geometric"]), f" ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
