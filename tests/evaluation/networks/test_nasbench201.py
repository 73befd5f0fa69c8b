import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.spaces.nasbench201 import OPERATIONS, NASBench201, parse, to_string
from evaluation.networks.nasbench201 import (
    CellNetwork,
    NASBench201Cell,
    NetworkShape,
    Reduction,
    count_macs,
    count_parameters,
    normalize,
)

CIFAR10 = NetworkShape()
SMALL = NetworkShape(num_classes=10, in_channels=1, channels=2, cells_per_stage=1, mean=0.3, std=0.4)


def uniform(op: str) -> str:
    return to_string([op] * 6)


BEST_TEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
FIVE_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"

# architecture, parameters and millions of MACs as the benchmark prints them (10 classes, 32x32)
PUBLISHED = {
    "id 6111": (BEST_TEST, 1_073_466, "153.27"),
    "id 9930": (FIVE_3X3, 1_288_506, "184.73"),
    "ResNet": (RESNET, 559_386, "78.562"),
    "all 3x3": (uniform("nor_conv_3x3"), 1_531_546, "220.120"),
    "all 1x1": (uniform("nor_conv_1x1"), 241_306, "31.376"),
    "all skip": (uniform("skip_connect"), 73_306, "7.783"),
}


@pytest.mark.parametrize(("architecture", "parameters", "macs"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_reference_cells_cost_what_the_benchmark_prints(architecture: str, parameters: int, macs: str) -> None:
    assert count_parameters(architecture, CIFAR10) == parameters
    digits = len(macs.partition(".")[2])
    assert f"{count_macs(architecture, CIFAR10, 32) / 1e6:.{digits}f}" == macs


def test_reference_cells_are_the_ids_they_claim() -> None:
    cells = NASBench201().enumerate()
    assert (cells[6111], cells[9930]) == (BEST_TEST, FIVE_3X3)


@pytest.mark.parametrize(
    ("classes", "more", "three", "one"),
    [(10, 0, 0, 0), (10, 0, 1, 0), (10, 0, 0, 1), (10, 0, 3, 2), (100, 5_850, 0, 2), (120, 7_150, 1, 1)],
)
def test_closed_forms(classes: int, more: int, three: int, one: int) -> None:
    """Dead edges count, so the order does not matter; at half the resolution convolutions cost a quarter."""
    shape = NetworkShape(num_classes=classes)
    operations = ["nor_conv_3x3"] * three + ["nor_conv_1x1"] * one + ["none"] * (6 - three - one)
    classifier = 64 * classes + classes
    convolutions = 7_782_400 + 35_389_440 * three + 3_932_160 * one
    first, second = to_string(operations), to_string(operations[::-1])
    assert count_parameters(first, shape) == 73_306 + more + 243_040 * three + 28_000 * one
    assert count_macs(first, shape, 32) == convolutions + classifier
    assert count_macs(second, shape, 16) * 4 == convolutions + 4 * classifier


def test_only_convolutions_cost() -> None:
    free = ("avg_pool_3x3", "skip_connect", "none")
    assert {count_parameters(uniform(op), SMALL) for op in free} == {count_parameters(uniform("none"), SMALL)}
    assert len({count_macs(uniform(op), SMALL, 8) for op in free}) == 1


def test_counting_allocates_nothing() -> None:
    """On the meta device: a network of 6 GB is counted in no time."""
    huge = NetworkShape(channels=1024)
    assert count_parameters(RESNET, huge) > 10**9
    assert count_macs(RESNET, huge, 224) > 10**12


def test_forward_gives_logits() -> None:
    network = CellNetwork(BEST_TEST, SMALL)
    assert network(torch.rand(5, 1, 8, 8)).shape == (5, 10)
    assert sum(p.numel() for p in network.parameters()) == count_parameters(BEST_TEST, SMALL)


def test_malformed_architecture() -> None:
    with pytest.raises(InvalidArchitecture, match="resnet50"):
        CellNetwork("resnet50", SMALL)


def test_normalisation_is_inside() -> None:
    torch.manual_seed(0)
    inside = CellNetwork(RESNET, SMALL).eval()
    outside = CellNetwork(RESNET, NetworkShape(10, 1, 2, 1)).eval()
    outside.load_state_dict(inside.state_dict())
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(inside(x), outside((x - 0.3) / 0.4))


# ------------------------------------------------------------------------------------------- cells, by another route


def by_hand(operations: tuple[str, ...], modules: nn.ModuleList, x: Tensor) -> Tensor:
    """The cell's definition, written out as one expression per node."""

    def apply(edge: int, value: Tensor) -> Tensor:
        match operations[edge]:
            case "none":
                return 0 * value
            case "skip_connect":
                return value
            case "avg_pool_3x3":
                window = torch.ones(value.shape[1], 1, 3, 3)
                total, number = (
                    F.conv2d(v, window, padding=1, groups=v.shape[1]) for v in (value, torch.ones_like(value))
                )
                return total / number
            case _:
                return modules[edge](value)

    node_1 = apply(0, x)
    node_2 = apply(1, x) + apply(2, node_1)
    return apply(3, x) + apply(4, node_1) + apply(5, node_2)


SOME_CELLS = [(op,) * 6 for op in OPERATIONS] + list(itertools.product(OPERATIONS, repeat=6))[::1_303]


@pytest.mark.parametrize("operations", SOME_CELLS, ids=to_string)
def test_cell_is_the_sum_over_its_edges(operations: tuple[str, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    cell = NASBench201Cell(operations, 2).eval()
    x = torch.randn(3, 2, 5, 4, generator=rng)
    torch.testing.assert_close(cell(x), by_hand(operations, cell.edges, x))


def test_a_dead_cell_ignores_its_input() -> None:
    cell = NASBench201Cell(parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"), 2)
    assert not bool(cell(torch.randn(3, 2, 4, 4)).any())


def test_a_dead_operation_does_not_leak() -> None:
    """x * 0 would turn an infinite feature into NaN."""
    x = torch.full((1, 2, 4, 4), float("inf"))
    cell = NASBench201Cell(parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), 2)
    assert torch.equal(cell(x), torch.zeros_like(x))


def test_convolutions_are_relu_conv_norm() -> None:
    cell = NASBench201Cell(parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"), 2)
    relu, conv, norm = cell.edges[3].children()
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is None
    x = torch.randn(4, 2, 5, 5)
    torch.testing.assert_close(cell(x), norm(conv(relu(x))))
    assert not bool(cell(-x.abs()).any()), "the ReLU comes first: negative features give zero before centring"


def test_reduction_halves_and_doubles() -> None:
    block = Reduction(2, 4)
    x = torch.randn(3, 2, 8, 6)
    out = block(x)
    assert out.shape == (3, 4, 4, 3)
    a, b = block.conv_a, block.conv_b
    main = b[2](b[1](F.relu(a[2](a[1](F.relu(x))))))  # pyright: ignore[reportCallIssue]
    torch.testing.assert_close(out, main + block.shortcut(F.avg_pool2d(x, 2)))


def test_depth_and_widths_follow_the_shape() -> None:
    network = CellNetwork(RESNET, NetworkShape(channels=3, cells_per_stage=2))
    assert [len(stage) for stage in network.stages] == [2, 2, 2]  # pyright: ignore[reportArgumentType]
    assert network.shape.widths == (3, 6, 12)
    assert network.classifier.in_features == 12
    features = network.stem(torch.rand(2, 3, 16, 16))
    assert features.shape == (2, 3, 16, 16)


def test_channels_are_normalised_each_by_its_own() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    inside = CellNetwork(RESNET, NetworkShape(10, 3, 2, 1, mean, std)).double().eval()
    outside = CellNetwork(RESNET, NetworkShape(10, 3, 2, 1)).double().eval()
    outside.load_state_dict(inside.state_dict())
    x = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    by_hand = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(inside(x), outside(by_hand), rtol=1e-12, atol=1e-12)


def test_equal_channels_are_one_number() -> None:
    x = torch.rand(4, 3, 8, 8)
    apart, one = NetworkShape(10, 3, 2, 1, (0.25,) * 3, (0.5,) * 3), NetworkShape(10, 3, 2, 1, 0.25, 0.5)
    assert torch.equal(normalize(x, apart), normalize(x, one))


def test_normalisation_first_met_in_inference_mode_is_differentiable() -> None:
    shape = NetworkShape(10, 3, 2, 1, (0.11, 0.12, 0.13), (0.21, 0.22, 0.23))
    x = torch.rand(2, 3, 4, 4)
    with torch.inference_mode():
        normalize(x, shape)
    normalize(x.requires_grad_(), shape).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", ["mean", "std"])
def test_as_many_constants_as_channels(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name}=\(0\.1, 0\.2\): give one number, or one for each of 3"):
        NetworkShape(10, 3, 2, 1, **{name: (0.1, 0.2)})
