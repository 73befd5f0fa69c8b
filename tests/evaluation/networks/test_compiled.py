import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import AGNetError
from agnet.spaces.nasbench201 import OPERATIONS, to_string
from evaluation.networks.compiled import CompiledCell, CompiledNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

RICH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
ONES = "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|skip_connect~1|nor_conv_1x1~2|"
POOLS = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
DEAD = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"
FED_BY_DEAD = "|none~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
CONSTANT = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def random_cells(n: int) -> list[str]:
    rng = random.Random(1)
    return [to_string([rng.choice(OPERATIONS) for _ in range(6)]) for _ in range(n)]


def trained(
    cell: str, channels: int = 4, cells_per_stage: int = 1, *, in_channels: int = 3, seed: int = 0
) -> CellNetwork:
    """A network with the statistics of one that has seen data, in evaluation mode."""
    torch.manual_seed(seed)
    mean, std = (0.5, 0.4, 0.45)[:in_channels], (0.2, 0.3, 0.25)[:in_channels]
    network = CellNetwork(cell, NetworkShape(10, in_channels, channels, cells_per_stage, mean, std))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return network.eval()


def logits_and_gradient(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    logits = model(x)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    gradient = torch.autograd.grad(loss, x, allow_unused=True)[0] if loss.requires_grad else None
    return logits.detach(), torch.zeros_like(x) if gradient is None else gradient


def assert_equal_functions(plain: nn.Module, compiled: nn.Module, x: Tensor, tolerance: float) -> None:
    labels = torch.arange(len(x)) % 10
    expected, found = logits_and_gradient(plain, x, labels), logits_and_gradient(compiled, x, labels)
    for e, f in zip(expected, found, strict=True):
        assert float((e - f).abs().max()) <= tolerance * (float(e.abs().max()) + 1e-30)


CELLS = [RICH, ONES, POOLS, DEAD, FED_BY_DEAD, CONSTANT, *random_cells(66)]


@pytest.mark.sample(4)
@pytest.mark.parametrize(("index", "cell"), list(enumerate(CELLS)))
def test_logits_and_gradients_are_the_networks_own(index: int, cell: str) -> None:
    """In double precision to 1e-10 (gradients too), in single to 1e-4; and with parallel convolutions joined."""
    network = trained(cell, (2, 4, 8)[index % 3], 1 + index // 3 % 3, seed=index)
    x = torch.rand(5, 3, 8, 8)
    compiled = CompiledNetwork(network)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x), rtol=1e-4, atol=1e-4)
    network = network.double()
    compiled = CompiledNetwork(network, torch.float64)
    assert_equal_functions(network, compiled, x.double(), 1e-10)
    for stage, target in zip(network.stages, compiled.stages, strict=True):
        for i, plain in enumerate(stage):  # pyright: ignore[reportArgumentType]
            target[i] = CompiledCell(plain, parallel=True)  # pyright: ignore[reportIndexIssue]
    assert_equal_functions(network, compiled, x.double(), 1e-10)


@pytest.mark.parametrize("size", [(16, 16), (8, 12), (32, 32)], ids=str)
def test_other_sizes(size: tuple[int, int]) -> None:
    network = trained(RICH).double()
    assert_equal_functions(network, CompiledNetwork(network, torch.float64), torch.rand(2, 3, *size).double(), 1e-10)


def test_one_mean_for_all_channels() -> None:
    network = CellNetwork(RICH, NetworkShape(10, 3, 4, 1, mean=0.3, std=0.4)).eval().double()
    assert_equal_functions(network, CompiledNetwork(network, torch.float64), torch.rand(2, 3, 8, 8).double(), 1e-10)


def test_dead_edges_are_left_out() -> None:
    def convolutions(cell: str, *, parallel: bool) -> int:
        return len(CompiledCell(trained(cell).stages[0][0], parallel=parallel).convolutions)  # pyright: ignore

    assert convolutions(DEAD, parallel=False) == 0
    assert convolutions(FED_BY_DEAD, parallel=False) == 2
    assert convolutions(RICH, parallel=False) == 5
    assert convolutions(RICH, parallel=True) == 3, "two 3x3 read node 0, two read node 1, one 1x1 reads node 2"


@pytest.mark.parametrize("cell", [DEAD, CONSTANT])
def test_constant_networks(cell: str) -> None:
    """One row for all: logits do not depend on the images, and have no gradient."""
    compiled = CompiledNetwork(trained(cell))
    x = torch.rand(20, 3, 8, 8, requires_grad=True)
    logits = compiled(x)
    assert logits.shape == (20, 10)
    assert torch.equal(logits, logits[:1].expand(20, -1))
    assert not logits.requires_grad


def test_the_network_stays_as_it_was() -> None:
    network = trained(RICH)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    compiled = CompiledNetwork(network, torch.bfloat16)
    compiled(torch.rand(2, 3, 8, 8, requires_grad=True)).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None and p.dtype == torch.float32 for p in network.parameters())
    assert not any(p.requires_grad for p in compiled.buffers())
    with torch.no_grad():
        network.classifier.bias += 1
    torch.testing.assert_close(compiled.classifier_bias, before["classifier.bias"])


def test_training_mode_is_refused() -> None:
    network = trained(RICH)
    network.train()
    with pytest.raises((AGNetError, ValueError), match=r"training mode.*call \.eval\(\) first"):
        CompiledNetwork(network)


def test_types_of_images_and_logits() -> None:
    network = trained(RICH)
    x = torch.rand(3, 3, 8, 8)
    for dtype, expected in (
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
    ):
        compiled = CompiledNetwork(network, dtype)
        for images in (x, x.double()):
            assert compiled(images).dtype == expected
            assert logits_and_gradient(compiled, images, torch.arange(3))[1].dtype == images.dtype


def test_bfloat16_is_near() -> None:
    network, x = trained(RICH), torch.rand(64, 3, 8, 8)
    with torch.no_grad():
        exact, rough = network(x), CompiledNetwork(network, torch.bfloat16)(x)
    assert 0 < float((exact - rough).abs().max()) < 0.05 * float(exact.std(dim=0).max() + exact.abs().mean())


@pytest.mark.sample(6)
@pytest.mark.parametrize(("size", "channels"), [(8, 2), (8, 4), (8, 8), (8, 16), (16, 2), (16, 4)])
@pytest.mark.parametrize("cell", [RICH, ONES, POOLS])
def test_rows_have_the_same_bits_in_every_batch(cell: str, channels: int, size: int) -> None:
    """Logits and gradients: an outcome must not depend on which images share its batch."""
    compiled = CompiledNetwork(trained(cell, channels))
    x, labels = torch.rand(48, 3, size, size), torch.arange(48) % 10
    logits, gradient = logits_and_gradient(compiled, x, labels)
    with torch.no_grad():
        assert torch.equal(compiled(x), logits)
    for first, last in [(0, n) for n in (1, 2, 7, 8, 9, 15, 16, 17, 47)] + [(40, 48), (11, 12), (13, 33)]:
        alone = logits_and_gradient(compiled, x[first:last], labels[first:last])
        assert torch.equal(alone[0], logits[first:last]), (first, last)
        assert torch.equal(alone[1], gradient[first:last]), (first, last)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_rows_have_the_same_bits_for_any_number_of_classes(classes: int) -> None:
    """The classifier is a matrix product whose routine, on CPU, depends on the batch."""
    torch.manual_seed(0)
    compiled = CompiledNetwork(CellNetwork(POOLS, NetworkShape(classes, 1, 2, 1)).eval())
    x, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % classes
    logits, gradient = logits_and_gradient(compiled, x, labels)
    for n in range(1, 40, 2):
        alone = logits_and_gradient(compiled, x[:n], labels[:n])
        assert torch.equal(alone[0], logits[:n]), n
        assert torch.equal(alone[1], gradient[:n]), n
