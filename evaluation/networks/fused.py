"""One network, run with less traffic: what :class:`~evaluation.networks.nasbench201.CellNetwork` computes, without
what it wastes.

A wide network keeps a processor busy on its own, but most of its time goes into moving features through memory. Here
features lie channels-last, edges that cannot reach the cell's output are left out, a node is rectified once for all its
convolutions, sums are formed in place and the pool is a depthwise convolution. None of it changes a logit by more than
rounding. The parameters stay in a plain network, so there is nothing to convert after training.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.spaces.nasbench201 import parse
from evaluation.networks.nasbench201 import (
    KERNELS,
    CellNetwork,
    NASBench201Cell,
    NetworkShape,
    edges_to_output,
    normalize,
)
from evaluation.networks.pool import average_pool_3x3
from evaluation.networks.stacked import initialize

Features = Float[Tensor, "batch channels height width"]


class FusedNetwork(nn.Module):
    """A network to train.

    Args:
        architecture: the cell's string.
        shape: widths, depth and classes.
        seed: seed of the initial weights; see :func:`evaluation.networks.stacked.named_uniform`.
    """

    def __init__(self, architecture: str, shape: NetworkShape, *, seed: int) -> None:
        super().__init__()
        self.network = CellNetwork(architecture, shape)
        self.operations = parse(architecture)
        initialize(self.network, seed=seed)
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __repr__(self) -> str:
        return f"FusedNetwork({self.network!r})"

    def forward(self, x: Features) -> Float[Tensor, "batch classes"]:
        """Logits of images with pixels in [0, 1]."""
        network = self.network
        x = network.stem(normalize(x, network.shape).contiguous(memory_format=torch.channels_last))
        for index, stage in enumerate(network.stages):
            for cell in stage:  # pyright: ignore[reportGeneralTypeIssues]
                x = fused_cell(cell, self.operations, x)
            if index < 2:
                x = network.reductions[index](x)
        return network.classifier(F.relu_(network.norm(x)).mean(dim=(2, 3)))


def fused_cell(cell: NASBench201Cell, operations: tuple[str, ...], x: Features) -> Features:
    """Output of a cell's last node; ``x`` may be overwritten."""
    edges = edges_to_output(operations)
    # A rectified node serves all convolutions that read it. It may overwrite the node unless a skip or a pool reads the
    # node itself, or another node is the same tensor.
    unrectified = {source for edge, source, _ in edges if operations[edge] not in KERNELS}
    nodes: list[Tensor | None] = [x, None, None, None]
    rectified: dict[int, Tensor] = {}
    ours: set[int] = set()  # nodes whose tensor nothing else refers to
    for edge, source, target in edges:
        value = nodes[source]
        if value is None:  # nothing flows into it
            value = nodes[source] = torch.zeros_like(x)
        op = operations[edge]
        if op in KERNELS:
            if source not in rectified:
                shared = source in unrectified or sum(node is value for node in nodes) > 1  # a skip shares its source's
                rectified[source] = F.relu(value) if shared else F.relu_(value)
            _, convolution, norm = cell.edges[edge]  # pyright: ignore[reportGeneralTypeIssues]
            value = norm(convolution(rectified[source]))
        elif op == "avg_pool_3x3":
            value = average_pool_3x3(value)
        assert isinstance(value, Tensor)
        # Sums are taken in place where one operand is a tensor of our own; a skip hands on its source's tensor.
        total, fresh = nodes[target], op != "skip_connect"
        if total is None:
            nodes[target] = value
        elif target in ours:
            nodes[target] = total.add_(value)
        else:
            nodes[target] = value.add_(total) if fresh else total + value
        if fresh or total is not None:
            ours.add(target)
    return torch.zeros_like(x) if nodes[3] is None else nodes[3]
