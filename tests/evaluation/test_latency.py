import pytest
import torch

from evaluation.attacks import FGSM, PGD
from evaluation.data import Images, ImageSplits
from evaluation.measure import accuracies, latency_ms
from evaluation.network import NetworkShape
from evaluation.stack import NetworkStack
from evaluation.train import Recipe, train

RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SHAPE = NetworkShape(num_classes=10, in_channels=1, channels=2, cells_per_stage=1, mean=0.3, std=0.4)


def briefly_trained(cells: list[str], images: Images) -> NetworkStack:
    stack = NetworkStack(cells, SHAPE, seed=0)
    train(stack, images, Recipe(epochs=10, batch_size=24), seed=0)
    return stack.freeze()


@pytest.fixture(scope="module")
def stack(tiny: ImageSplits) -> NetworkStack:
    """A network that knows something, and a dead one that always answers the same."""
    return briefly_trained([RESNET, DEAD], tiny.train)


def test_the_networks_differ(stack: NetworkStack, tiny: ImageSplits) -> None:
    """What the tests below rest on."""
    answers = stack(tiny.valid.pixels.unsqueeze(1).expand(-1, 2, -1, -1, -1)).argmax(dim=2)
    assert answers[:, 0].unique().numel() > 4
    assert answers[:, 1].unique().numel() == 1


def test_columns_and_clean_accuracy(stack: NetworkStack, tiny: ImageSplits) -> None:
    found = accuracies(stack, tiny.valid, [FGSM([0, 8.5]), PGD([16], steps=2)], seed=0, batch_size=7)
    assert list(found) == ["clean", "fgsm_eps0", "fgsm_eps8.5", "pgd_eps16"]
    copies = tiny.valid.pixels.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    hits = (stack(copies).argmax(dim=2) == tiny.valid.labels[:, None]).sum(dim=0)
    assert found["clean"].tolist() == pytest.approx([100 * h / 30 for h in hits.tolist()])
    assert torch.equal(found["fgsm_eps0"], found["clean"])


def test_attacks_are_judged_on_all_images(stack: NetworkStack, tiny: ImageSplits) -> None:
    """Also on misclassified ones: labels of the predictions make every image count."""
    copies = tiny.valid.pixels.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    images = Images(tiny.valid.pixels, stack(copies).argmax(dim=2)[:, 0])
    attack = FGSM([4, 64])
    found = accuracies(stack, images, [attack], seed=0)
    labels = images.labels[:, None].expand(-1, 2)
    for eps, adversarial in zip(
        attack.eps, attack.sweep(stack, copies, labels, generator=torch.Generator()), strict=True
    ):
        hits = (stack(adversarial).argmax(dim=2) == labels).sum(dim=0)
        assert found[f"fgsm_eps{eps:g}"].tolist() == pytest.approx([100 * h / 30 for h in hits.tolist()])
    assert found["clean"][0] == 100
    assert found["fgsm_eps64"][0] < 100


def test_a_constant_network_keeps_its_accuracy(stack: NetworkStack, tiny: ImageSplits) -> None:
    found = accuracies(stack, tiny.test, [FGSM([8, 255]), PGD([8, 255], steps=2)], seed=0)
    assert len({float(values[1]) for values in found.values()}) == 1


def test_random_starts_depend_on_image_and_attack_alone(stack: NetworkStack, tiny: ImageSplits) -> None:
    """Not on the other networks, not on the other attacks."""
    pgd = PGD([24], steps=1, relative_step=0.01)
    crowded = accuracies(stack, tiny.valid, [FGSM([8]), pgd], seed=0, batch_size=10)
    found = accuracies(briefly_trained([RESNET], tiny.train), tiny.valid, [pgd], seed=0, batch_size=10)
    assert found["pgd_eps24"][0] == crowded["pgd_eps24"][0]


def test_random_starts_follow_the_seed(stack: NetworkStack, tiny: ImageSplits) -> None:
    """One generator for all batches; steps so short that the start decides."""
    pgd = PGD([80], steps=1, relative_step=1e-6)

    def by_hand(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        hits = 0
        for rows in (slice(0, 20), slice(20, 30)):
            inputs = tiny.valid.pixels[rows].unsqueeze(1).expand(-1, 2, -1, -1, -1)
            labels = tiny.valid.labels[rows, None].expand(-1, 2)
            (adversarial,) = pgd.sweep(stack, inputs, labels, generator=generator)
            hits += int((stack(adversarial).argmax(dim=2) == labels)[:, 0].sum())
        return 100 * hits / 30

    expected = [by_hand(seed) for seed in range(6)]
    assert len(set(expected)) > 1
    for seed, value in enumerate(expected):
        found = accuracies(stack, tiny.valid, [pgd], seed=seed, batch_size=20)
        assert float(found["pgd_eps80"][0]) == pytest.approx(value)


def test_latency_is_a_positive_time_and_leaves_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert latency_ms(DEAD, SHAPE, 8, repeats=2) > 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
