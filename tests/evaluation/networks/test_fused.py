"""A fused network against the plain network it wraps."""

import copy
import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from agnet.spaces.nasbench201 import OPERATIONS, to_string
from evaluation.networks.fused import FusedNetwork, fused_cell
from evaluation.networks.nasbench201 import CellNetwork, NASBench201Cell, NetworkShape
from evaluation.networks.pool import average_pool_3x3
from evaluation.networks.stacked import NetworkStack

SHAPE = NetworkShape(num_classes=4, in_channels=2, channels=3, cells_per_stage=2, mean=(0.4, 0.6), std=(0.3, 0.2))
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
SPECIAL = [
    RESNET,
    to_string(["none"] * 6),
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",  # everything but the output is alive
    "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|",  # convolutions fed by dead nodes
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",  # one tensor is two nodes
    *(to_string([op] * 6) for op in OPERATIONS if op != "none"),
]


def random_cells(n: int) -> list[str]:
    choices = torch.randint(5, (n, 6), generator=torch.Generator().manual_seed(0))
    return [to_string([OPERATIONS[i] for i in row]) for row in choices.tolist()]


@pytest.mark.sample(3)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("architecture", SPECIAL + random_cells(24))
def test_it_computes_what_the_plain_network_computes(architecture: str, training: bool) -> None:
    """Logits, gradients of images and of all weights, running statistics of what matters."""
    fused = FusedNetwork(architecture, SHAPE, seed=0).double().train(training)
    plain = copy.deepcopy(fused.network)
    found: list[tuple[Tensor, Tensor | None]] = []
    for network in (fused, plain):
        x = torch.rand(5, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
        logits = network(x)
        F.cross_entropy(logits, torch.arange(5) % 4).backward()
        found.append((logits.detach(), x.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-13)
    for (name, mine), theirs in zip(fused.network.named_parameters(), plain.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None), f"{architecture} {name}"
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-13, msg=f"{architecture} {name}")
            assert name in dict(fused.network.named_parameters())
    for name in ("norm.running_mean", "norm.running_var"):
        torch.testing.assert_close(fused.network.get_buffer(name), plain.get_buffer(name), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_every_cell_has_the_plain_cells_output_and_gradients(every: int) -> None:
    """Whatever shares memory with what: all ways to set none, skip, pool and a convolution on the six edges, or every
    seventh.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 2, 4, 4, generator=rng)
    wanted = torch.randn(x.shape, generator=rng)
    ways = itertools.product(("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1"), repeat=6)
    for operations in itertools.islice(ways, 0, None, every):
        cell = NASBench201Cell(operations, 2).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        found = []
        for compute in (cell, lambda features, c=cell, o=operations: fused_cell(c, o, features)):
            leaf = x.clone(memory_format=torch.channels_last).requires_grad_()
            cell.zero_grad()
            out = compute(leaf * 1.0)
            if out.requires_grad:
                (out * wanted).sum().backward()
            weights = [p.grad for p in cell.parameters() if p.grad is not None]
            found.append([out.detach(), *([] if leaf.grad is None else [leaf.grad]), *weights])
        plain, fused = found
        assert len(plain) == len(fused), operations
        for a, b in zip(plain, fused, strict=True):
            assert torch.allclose(a, b, atol=1e-4), operations


def test_the_images_are_left_alone() -> None:
    x = torch.rand(3, 2, 8, 8).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    for architecture in SPECIAL:
        FusedNetwork(architecture, SHAPE, seed=0)(x)
    assert torch.equal(x, before)


def test_initial_weights_are_the_stacks() -> None:
    stack, fused = NetworkStack([RESNET], SHAPE, seed=3), FusedNetwork(RESNET, SHAPE, seed=3)
    theirs = stack.network(0).state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in fused.network.state_dict().items())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 5), (16, 16)])
def test_pool_and_its_gradient(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 3, *size, dtype=torch.float64)
    mine, theirs = average_pool_3x3(x), F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert isinstance(mine, Tensor)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (mine, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-15)


def test_bfloat16_is_near() -> None:
    fused, x = FusedNetwork(to_string(["avg_pool_3x3"] * 6), SHAPE, seed=0).train(), torch.rand(8, 2, 8, 8)
    exact = fused(x)
    with torch.autocast("cpu", torch.bfloat16):
        logits = fused(x)
    logits.sum().backward()
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1)
    assert fused.network.stem[0].weight.grad.dtype == torch.float32


# ------------------------------------------------------------------------------------------------- networks of a stack


@pytest.mark.parametrize("training", [False, True])
def test_a_stack_hands_out_its_networks(training: bool) -> None:
    architectures = SPECIAL + random_cells(4)
    stack = NetworkStack(architectures, SHAPE, seed=0).double().train()
    x = torch.rand(6, 2, 8, 8, dtype=torch.float64)
    copies = x[:, None].expand(-1, len(stack), -1, -1, -1)
    stack(copies)  # moves the running statistics
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))
        stack.train(training)
        networks = [stack.network(i) for i in range(len(stack))]
        together = stack(copies)
        for i, network in enumerate(networks):
            assert isinstance(network, CellNetwork)
            assert network.training == training
            tolerance = 1e-5 if "avg_pool" in architectures[i] else 1e-10
            torch.testing.assert_close(network(x), together[:, i], rtol=tolerance, atol=tolerance)
