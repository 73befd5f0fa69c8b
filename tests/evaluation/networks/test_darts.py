"""The final network against published counts and hand-made values."""

import pytest
import torch
from torch import nn

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.spaces.darts.genotype import to_genotype
from agnet.spaces.darts.notation import OPERATIONS
from agnet.spaces.darts.space import DARTS
from evaluation.networks.cost import parameters_of
from evaluation.networks.darts.network import DARTSNetwork, DARTSShape, Logits, count_macs, count_parameters
from evaluation.networks.darts.operations import FactorizedReduce, operation
from evaluation.networks.darts.published import PUBLISHED, read_architecture
from evaluation.randomness import keys

CIFAR10 = DARTSShape()
IMAGENET = DARTSShape(num_classes=1000, channels=48, cells=14, stem="imagenet")  # the paper's mobile setting
SMALL = DARTSShape(num_classes=4, channels=4, cells=3)

# Parameters in millions as printed in the papers: on CIFAR-10 and on ImageNet.
PARAMETERS = {
    "darts_v2": ("3.3", "4.7"),
    "pdarts": ("3.4", "4.9"),
    "pc_darts_cifar": ("3.6", "5.3"),
    "pc_darts_imagenet": (None, "5.3"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_published_genotypes(name: str) -> None:
    for shape, printed in zip((CIFAR10, IMAGENET), PARAMETERS[name], strict=True):
        if printed is not None:
            assert f"{count_parameters(PUBLISHED[name], shape) / 1e6:.1f}" == printed


@pytest.mark.parametrize(("name", "printed"), [("pdarts", 557), ("pc_darts_cifar", 586), ("pc_darts_imagenet", 597)])
def test_macs_of_published_genotypes(name: str, printed: int) -> None:
    """In millions on ImageNet; these papers' counter counts normalisations, ReLUs and pools as well."""
    assert round(count_macs(PUBLISHED[name], IMAGENET, 224, elementwise=True) / 1e6) == printed


def test_macs_of_darts_itself() -> None:
    """The paper prints 574 M for its second order; a counter of all operations finds 544.6
    in its code too: https://github.com/quark0/darts/issues/46."""
    assert round(count_macs(PUBLISHED["darts_v2"], IMAGENET, 224) / 1e6) == 530
    assert round(count_macs(PUBLISHED["darts_v2"], IMAGENET, 224, elementwise=True) / 1e6) == 544


def test_the_published_code_of_pdarts_counts_the_same() -> None:
    """To the last parameter, with and without its head: https://github.com/chenxin061/pdarts/issues/7."""
    assert count_parameters(PUBLISHED["pdarts"], CIFAR10) == 3_433_798
    with torch.device("meta"):
        assert parameters_of(DARTSNetwork(PUBLISHED["pdarts"], CIFAR10)) == 3_910_224


def test_the_auxiliary_head_is_not_counted() -> None:
    without = DARTSShape(auxiliary=False)
    with torch.device("meta"):
        plain, whole = (DARTSNetwork(PUBLISHED["darts_v2"], shape) for shape in (without, CIFAR10))
    assert parameters_of(plain) == count_parameters(PUBLISHED["darts_v2"], CIFAR10)
    # ReLU, pool, 1x1 to 128, 2x2 to 768, each normalised, and a classifier
    head = 576 * 128 + 2 * 128 + 4 * 128 * 768 + 2 * 768 + 769 * 10
    assert parameters_of(whole) - parameters_of(plain) == head


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (SMALL, 32),
        (SMALL, 8),
        (DARTSShape(num_classes=4, channels=4, cells=5, in_channels=1), 17),
        (DARTSShape(num_classes=4, channels=4, cells=4, stem="imagenet"), 96),
        (DARTSShape(num_classes=4, channels=6, cells=6, stem="imagenet", auxiliary=False), 75),
    ],
)
def test_any_shape_trains_and_evaluates(shape: DARTSShape, size: int) -> None:
    """Every operation gets a gradient; every pair of cells of a sample has logits of the right shape."""
    for architecture in DARTS().sample(3, rng=torch.Generator().manual_seed(1)):
        network = DARTSNetwork(architecture, shape)
        images = torch.rand(2, shape.in_channels, size, size)
        network.eval()
        assert tuple(network(images).shape) == (2, 4)
        found = network.train()(images)
        assert isinstance(found, Logits) == shape.auxiliary
        both = found if isinstance(found, Logits) else (found,)
        sum((logits.square().mean() for logits in both), torch.zeros(())).backward()
        missing = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        assert not missing, f"{architecture}: no gradient of {missing}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_keep_channels_and_divide_the_resolution(name: str) -> None:
    x = torch.randn(2, 6, 9, 9)
    assert operation(name, 6, 1)(x).shape == x.shape
    assert tuple(operation(name, 6, 2)(x).shape) == (2, 6, 5, 5)
    normalised = any(isinstance(m, nn.BatchNorm2d) for m in operation(name, 6, 1).modules())
    assert normalised == ("conv" in name)


def test_a_factorized_reduction_reads_every_pixel_once() -> None:
    reduce = FactorizedReduce(1, 2).eval()
    for convolution in (reduce.even, reduce.odd):
        nn.init.ones_(convolution.weight)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = torch.tensor([[[0.0, 2], [8, 10]], [[5, 7], [13, 15]]])
    assert torch.allclose(reduce(x)[0], expected, rtol=1e-4)


def test_the_cell_is_the_sum_of_its_operations() -> None:
    """With skips only, a node is the sum of what it reads, and the output concatenates the four."""
    text = "|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~2|+|skip_connect~1|skip_connect~3|"
    text += "+|skip_connect~3|skip_connect~4|"
    cell = DARTSNetwork(f"{text}/{text}", SMALL).cells[0].eval()
    before, last = torch.randn(2, 1, 12, 5, 5)
    a, b = cell.preprocess_before(before), cell.preprocess_last(last)
    expected = torch.cat([a + b, 2 * a + b, 2 * a + 2 * b, 4 * a + 3 * b], dim=1)
    assert torch.allclose(cell(before, last), expected, rtol=1e-5, atol=1e-6)


def test_dropped_paths_belong_to_images() -> None:
    """The same keys drop the same paths, in whatever batch; without dropping nothing is drawn."""
    network = DARTSNetwork(PUBLISHED["darts_v2"], SMALL).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images, drawn = torch.rand(6, 3, 8, 8), keys(0, "drop_path", torch.arange(6))
    still = network(images).logits
    network.drop_path = 0.4
    dropped = network(images, drawn).logits
    assert not torch.allclose(still, dropped)
    assert torch.allclose(network(images[2:5], drawn[2:5]).logits, dropped[2:5], atol=1e-6)
    assert torch.allclose(network.eval()(images), still, atol=1e-6)


def test_a_tenth_of_the_paths_is_dropped_and_the_mean_kept() -> None:
    network = DARTSNetwork(PUBLISHED["darts_v2"], CIFAR10)
    network.drop_path = 0.1
    kept = network._kept(torch.zeros(500, 1, 1, 1), keys(3, "drop_path", torch.arange(500)))
    assert kept.shape == (500, 20, 8)
    assert abs(float((kept == 0).float().mean()) - 0.1) < 5 * (0.1 * 0.9 / kept.numel()) ** 0.5  # five sigmas
    assert sorted(kept.unique().tolist()) == pytest.approx([0.0, 1 / 0.9])


def test_architectures_in_all_notations(tmp_path) -> None:
    string = PUBLISHED["pdarts"]
    (tmp_path / "result.json").write_text(f'{{"best": {{"architecture": "{string}"}}}}')
    (tmp_path / "genotype.txt").write_text(to_genotype(string) + "\n")
    for text in (string, "pdarts", to_genotype(string), tmp_path / "result.json", tmp_path / "genotype.txt"):
        assert read_architecture(str(text)) == string
    (tmp_path / "empty.json").write_text('{"best": null}')
    for text in ("resnet50", str(tmp_path / "empty.json"), str(tmp_path / "none.json")):
        with pytest.raises(ConfigurationError, match="architecture="):
            read_architecture(text)
    with pytest.raises(InvalidArchitecture):
        read_architecture("|skip_connect~0|none~1|")


@pytest.mark.parametrize(
    "wrong",
    [{"cells": 2}, {"channels": 0}, {"stem": "large"}, {"mean": (0.5, 0.5)}, {"stem": "imagenet", "channels": 5}],
)
def test_impossible_shapes_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=f"{list(wrong)[-1]}="):
        DARTSShape(**wrong)
