"""A stack against plain networks with the same weights."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.spaces.nasbench201 import EDGES, OPERATIONS, parse, to_string
from evaluation.networks.nasbench201 import KERNELS, CellNetwork, NetworkShape
from evaluation.networks.stacked import GroupedConvNorm, NetworkStack, StackedCell, average_pool_3x3, named_uniform

SHAPE = NetworkShape(num_classes=4, in_channels=2, channels=3, cells_per_stage=1, mean=0.4, std=0.3)
DEEP = NetworkShape(num_classes=3, in_channels=1, channels=2, cells_per_stage=2, mean=0.4, std=0.3)

DEAD = [
    to_string(["none"] * 6),
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",  # everything but the output is alive
    "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|",  # convolutions fed by dead nodes
    "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",  # a dangling branch at both ends
]
ALIVE = [to_string([op] * 6) for op in OPERATIONS if op != "none"]
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def random_cells(n: int, seed: int) -> list[str]:
    choices = torch.randint(5, (n, 6), generator=torch.Generator().manual_seed(seed))
    return [to_string([OPERATIONS[i] for i in row]) for row in choices.tolist()]


def stacked(architectures: list[str], shape: NetworkShape = SHAPE, *, seed: int = 0) -> NetworkStack:
    """A double-precision stack whose normalisations are as arbitrary as after training."""
    stack = NetworkStack(architectures, shape, seed=seed).double()
    rng = torch.Generator().manual_seed(seed)
    for module in stack.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                tensor.data.uniform_(low, high, generator=rng)
    return stack


def copy_norm(norm: nn.BatchNorm2d, member: int, members: int, plain: nn.Module) -> None:
    assert isinstance(plain, nn.BatchNorm2d)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(plain, name).data.copy_(getattr(norm, name).detach().chunk(members)[member])


def copy_conv(grouped: nn.Module, member: int, conv: nn.Module, norm: nn.Module | None) -> None:
    assert isinstance(grouped, GroupedConvNorm)
    assert isinstance(conv, nn.Conv2d)
    conv.weight.data.copy_(grouped.weight.detach().chunk(grouped.members)[member])
    if norm is not None:
        assert grouped.norm is not None
        copy_norm(grouped.norm, member, grouped.members, norm)


def plain(stack: NetworkStack, member: int) -> CellNetwork:
    """One network of a stack on its own; edges that the stack leaves out keep a draw of their own."""
    network = CellNetwork(stack.architectures[member], stack.shape).to(stack.classifier_weight.dtype)
    network.train(stack.training)
    copy_conv(stack.stem, member, network.stem[0], network.stem[1])
    for cells, plain_cells in zip(stack.stages, network.stages, strict=True):
        for cell, plain_cell in zip(cells, plain_cells, strict=True):  # pyright: ignore[reportArgumentType]
            assert isinstance(cell, StackedCell)
            for (target, plan), op in itertools.product(enumerate(cell.plan, start=1), KERNELS):
                for position, (owner, source) in enumerate(plan.get(op, ())):
                    if owner == member:
                        module = plain_cell.edges[EDGES.index((source, target))]
                        copy_conv(cell.convolutions[f"{target}_{op}"], position, module[1], module[2])
    for block, plain_block in zip(stack.reductions, network.reductions, strict=True):
        for name in ("conv_a", "conv_b"):
            module = getattr(plain_block, name)
            copy_conv(block[name], member, module[1], module[2])  # pyright: ignore[reportIndexIssue]
        copy_conv(block["shortcut"], member, plain_block.shortcut, None)  # pyright: ignore
    copy_norm(stack.norm, member, len(stack), network.norm)
    network.classifier.weight.data.copy_(stack.classifier_weight.detach()[member])
    network.classifier.bias.data.copy_(stack.classifier_bias.detach()[member])
    return network


def images(stack: NetworkStack, n: int = 6, size: int = 8) -> Tensor:
    """Different images for every member."""
    rng = torch.Generator().manual_seed(1)
    return torch.rand(n, len(stack), stack.shape.in_channels, size, size, generator=rng, dtype=torch.float64)


def tolerance(architecture: str) -> float:
    """The matrix of the small pool holds 1/3 in single precision."""
    return 1e-6 if "avg_pool_3x3" in architecture else 1e-11


CASES = [
    pytest.param(ALIVE + DEAD, SHAPE, id="pure and dead cells"),
    pytest.param(random_cells(12, seed=0), SHAPE, id="random cells"),
    pytest.param(random_cells(5, seed=1) + DEAD[1:2], DEEP, id="two cells per stage"),
    pytest.param([RESNET] * 3, SHAPE, id="one cell three times"),
]


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(("architectures", "shape"), CASES)
def test_members_compute_what_plain_networks_compute(
    architectures: list[str], shape: NetworkShape, training: bool
) -> None:
    """Logits, gradients of images and of weights; in training also the running statistics."""
    stack = stacked(architectures, shape).train(training)
    networks = [plain(stack, i) for i in range(len(stack))]
    x = images(stack).requires_grad_()
    logits = stack(x)
    assert logits.shape == (6, len(stack), shape.num_classes)
    labels = torch.arange(6) % shape.num_classes
    F.cross_entropy(logits.transpose(1, 2), labels[:, None].expand(-1, len(stack)), reduction="sum").backward()
    after = [plain(stack, i) for i in range(len(stack))]
    assert x.grad is not None
    assert stack.classifier_weight.grad is not None
    assert isinstance(stack.stem.weight.grad, Tensor)
    stem_grads = stack.stem.weight.grad.chunk(len(stack))
    for i, (architecture, network) in enumerate(zip(architectures, networks, strict=True)):
        own = x.detach()[:, i].clone().requires_grad_()
        expected = network(own)
        F.cross_entropy(expected, labels, reduction="sum").backward()
        atol = tolerance(architecture)
        pairs: list[tuple[str, Any, Any]] = [
            ("logits", logits[:, i], expected),
            ("image gradient", x.grad[:, i], own.grad),
            ("classifier gradient", stack.classifier_weight.grad[i], network.classifier.weight.grad),
            ("stem gradient", stem_grads[i], network.stem[0].weight.grad),
            ("head's mean", after[i].norm.running_mean, network.norm.running_mean),
            ("head's variance", after[i].norm.running_var, network.norm.running_var),
        ]
        for what, actual, wanted in pairs:
            if wanted is None:  # a cell without a live path has cut the graph
                wanted = torch.zeros_like(actual)
            torch.testing.assert_close(
                actual, wanted, rtol=10 * atol, atol=atol, msg=lambda m, a=architecture, w=what: f"{a} {w}: {m}"
            )


def test_gradients_of_the_cells_convolutions() -> None:
    stack = stacked([RESNET, to_string(["nor_conv_1x1"] * 6)]).train()
    networks = [plain(stack, i) for i in range(2)]
    x = images(stack)
    stack(x).square().sum().backward()
    for i, network in enumerate(networks):
        network(x[:, i]).square().sum().backward()
    cell = stack.stages[0][0]  # pyright: ignore[reportIndexIssue]
    checked = 0
    for (target, plan), op in itertools.product(enumerate(cell.plan, start=1), KERNELS):
        for position, (owner, source) in enumerate(plan.get(op, ())):
            grouped = cell.convolutions[f"{target}_{op}"]
            edge = networks[owner].stages[0][0].edges[EDGES.index((source, target))]  # pyright: ignore
            actual = grouped.weight.grad.chunk(grouped.members)[position]
            torch.testing.assert_close(actual, edge[1].weight.grad, rtol=1e-9, atol=1e-9)
            checked += 1
    assert checked == 2 + 6


def test_members_do_not_touch_each_other() -> None:
    """What one member answers depends on no other member's images."""
    stack = stacked([*ALIVE, DEAD[1]]).train()
    for i in range(len(stack)):
        x = images(stack).requires_grad_()
        (gradient,) = torch.autograd.grad(stack(x)[:, i].square().sum(), x)
        others = [j for j in range(len(stack)) if j != i]
        assert not bool(gradient[:, others].any())


# -------------------------------------------------------------------------------------------------- initial weights


def test_initial_weights_are_named_as_in_the_plain_network() -> None:
    """Cells whose every edge reaches the output, so that the stack holds every convolution."""
    architectures = [
        to_string(["nor_conv_3x3"] * 6),
        "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|nor_conv_1x1~2|",
    ]
    stack = NetworkStack(architectures, DEEP, seed=5)
    for member in range(2):
        for name, parameter in plain(stack, member).named_parameters():
            if parameter.ndim == 4:
                bound = parameter[0].numel() ** -0.5
            elif name.startswith("classifier"):
                bound = stack.classifier_weight.shape[-1] ** -0.5
            else:
                assert torch.equal(parameter, torch.full_like(parameter, float(name.endswith("weight")))), name
                continue
            expected = named_uniform(parameter.shape, bound, seed=5, name=name)
            assert torch.equal(parameter, expected), name


def test_initial_weights_are_the_frameworks_distribution() -> None:
    """Same bound as a fresh plain network's: the largest of many draws comes near it."""
    torch.manual_seed(0)
    wide = NetworkShape(channels=16, cells_per_stage=1)
    stack = NetworkStack([RESNET], wide, seed=0)
    own, default = dict(plain(stack, 0).named_parameters()), dict(CellNetwork(RESNET, wide).named_parameters())
    for name in ("stages.2.0.edges.0.1.weight", "reductions.1.shortcut.weight", "classifier.weight"):
        mine, theirs = own[name].detach().abs(), default[name].detach().abs()
        assert float(mine.max()) == pytest.approx(float(theirs.max()), rel=0.02), name
        assert float(mine.mean()) == pytest.approx(float(theirs.mean()), rel=0.1), name


def test_company_changes_nothing() -> None:
    """A network starts from the same weights and gives the same answers whoever stands beside it."""
    crowd = random_cells(6, seed=3)
    crowded = NetworkStack(crowd, SHAPE, seed=0).double().eval()
    x = images(crowded)[:, :1]
    answers = crowded(x.expand(-1, len(crowd), -1, -1, -1))
    for i, architecture in enumerate(crowd):
        alone = NetworkStack([architecture], SHAPE, seed=0).double().eval()
        assert torch.equal(alone.stem.weight, crowded.stem.weight.chunk(len(crowd))[i])
        for name, parameter in plain(alone, 0).named_parameters():
            if ".edges." not in name:
                assert torch.equal(parameter, dict(plain(crowded, i).named_parameters())[name]), name
        torch.testing.assert_close(alone(x)[:, 0], answers[:, i], rtol=1e-9, atol=1e-9)


def test_seeds_differ() -> None:
    first, second = (NetworkStack([RESNET], SHAPE, seed=seed) for seed in (0, 1))
    assert not torch.equal(first.stem.weight, second.stem.weight)
    assert not torch.equal(first.classifier_weight, second.classifier_weight)


def test_named_uniform_depends_on_seed_and_name_alone() -> None:
    torch.manual_seed(0)
    first = named_uniform((50, 100), 0.25, seed=1, name="stem.0.weight")
    torch.rand(3)  # the global generator plays no part
    assert torch.equal(first, named_uniform((50, 100), 0.25, seed=1, name="stem.0.weight"))
    assert not torch.equal(first, named_uniform((50, 100), 0.25, seed=2, name="stem.0.weight"))
    assert not torch.equal(first, named_uniform((50, 100), 0.25, seed=1, name="stem.1.weight"))
    assert 0.24 < float(first.max()) <= 0.25
    assert -0.25 <= float(first.min()) < -0.24
    assert abs(float(first.mean())) < 5 * 0.25 / 3**0.5 / 5_000**0.5, "five sigmas"


# ------------------------------------------------------------------------------------------------------------- pool


@pytest.mark.parametrize("size", [(n, n) for n in range(1, 18)] + [(1, 9), (5, 3), (32, 8), (33, 8), (16, 16), (40, 7)])
def test_pool_averages_the_valid_neighbours(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 2, *size, generator=torch.Generator().manual_seed(0))
    expected = F.avg_pool2d(x.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(x)
    torch.testing.assert_close(average_pool_3x3(x), expected, rtol=1e-5, atol=1e-6)
    ones = torch.ones(1, 1, 1, *size)
    torch.testing.assert_close(average_pool_3x3(ones), ones, rtol=0, atol=1e-6)


def test_the_plan_leaves_out_what_cannot_reach_the_output() -> None:
    """The plan of a node lists (member, source) for every operation into it that counts."""
    cells = [DEAD[1], RESNET]
    plan = StackedCell([parse(a) for a in cells], 2, prefix="stages.0.0", seed=0).plan
    assert plan == [
        {"nor_conv_3x3": [(1, 0)]},
        {"nor_conv_3x3": [(1, 1)]},
        {"skip_connect": [(1, 0), (1, 2)]},
    ]
