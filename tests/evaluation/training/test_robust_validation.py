"""The best epoch under attack, and one-step training that has failed."""

import torch
from torch import Tensor, nn

from evaluation.attacks.functions import fgsm, pgd
from evaluation.data.images import Images, ImageSplits
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack
from evaluation.training.fgsm_rs import FGSMRS
from evaluation.training.pgd import PGDTraining
from evaluation.training.robust_validation import compared, copied, robust_accuracies, warning
from evaluation.training.sgd import Recipe, fit, fit_and_validate, train

CELLS = [
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
    "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|",
]
SHAPE = NetworkShape(num_classes=10, in_channels=1, channels=2, cells_per_stage=1, mean=0.3, std=0.4)
RECIPE = Recipe(
    epochs=3, batch_size=32, learning_rate=0.2, select="best_robust", adversarial=FGSMRS(eps=32 / 255, warmup_epochs=1)
)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_the_best_epoch_is_handed_over(tiny: ImageSplits) -> None:
    """For each network of a stack its own; looking changes no weight."""
    made = fit_and_validate(CELLS, SHAPE, tiny.train, RECIPE, seed=0, valid=tiny.valid.first(16))
    stack = NetworkStack(CELLS, SHAPE, seed=0)
    every: list[list[CellNetwork]] = []
    train(
        stack,
        tiny.train,
        RECIPE,
        seed=0,
        after_epoch=lambda: every.append([copied(stack, member) for member in (0, 1)]),
    )
    for member, (network, record) in enumerate(made):
        accuracies = record["valid_pgd"]
        assert len(accuracies) == 3
        assert record["epoch"] == 1 + accuracies.index(max(accuracies)), "the first of the best"
        assert same(network, every[record["epoch"] - 1][member])
        assert record["pgd"] == max(accuracies)
        assert not network.training
    assert made[0][1]["valid_pgd"] != made[1][1]["valid_pgd"]


def test_separate_networks_are_judged_alike(tiny: ImageSplits) -> None:
    stack = NetworkStack(CELLS, SHAPE, seed=0)
    together = robust_accuracies(stack, tiny.valid, FGSMRS(eps=0.1), seed=1)
    for member, cell in enumerate(CELLS):
        fused = FusedNetwork(cell, SHAPE, seed=0)
        alone = robust_accuracies(fused, tiny.valid, FGSMRS(eps=0.1), seed=1)
        for key in ("pgd", "fgsm"):
            assert abs(float(alone[key]) - float(together[key][member])) < 100 / 30 + 1e-6, "one image by rounding"
    assert set(robust_accuracies(stack, tiny.valid, PGDTraining(), seed=1)) == {"pgd"}


def test_accuracies_are_those_of_the_attacks(tiny: ImageSplits) -> None:
    """Of the evaluator's own, from its own random starts."""
    (network,) = fit(CELLS[:1], SHAPE, tiny.train, Recipe(epochs=4, batch_size=16), seed=0)
    fused = FusedNetwork(CELLS[0], SHAPE, seed=0)
    fused.network.load_state_dict(network.state_dict())
    found = robust_accuracies(fused, tiny.valid, FGSMRS(eps=16 / 255), seed=0)
    pixels, labels = tiny.valid.pixels, tiny.valid.labels
    for key, points in (
        ("fgsm", fgsm(network, pixels, labels, eps=16 / 255)),
        ("pgd", pgd(network, pixels, labels, eps=16 / 255, steps=10, relative_step=0.25)),
    ):
        right = network(points).argmax(1) == labels
        assert abs(float(found[key]) - 100 * float(right.float().mean())) < 2 * 100 / 30 + 1e-6


class Overfitted(nn.Module):
    """Right at the image's corners of the ball, where one step of FGSM goes, and wrong in between."""

    def forward(self, x: Tensor) -> Tensor:
        t = (x - 0.5).flatten(1) / 0.1
        margin = (4 * (t**2 - 0.25) ** 2 - 0.5).mean(1)
        return torch.stack([margin, -margin], dim=1)


def test_catastrophic_overfitting_is_seen() -> None:
    images = Images(torch.full((10, 1, 4, 4), 0.51), torch.zeros(10, dtype=torch.int64))
    found = {
        key: float(value) for key, value in robust_accuracies(Overfitted(), images, FGSMRS(eps=0.1), seed=0).items()
    }
    assert found == {"pgd": 0.0, "fgsm": 100.0}
    record = compared(**found)
    assert record == {"pgd": 0.0, "fgsm": 100.0, "catastrophic_overfitting": True}
    line = warning("it", record)
    assert "catastrophic overfitting of it: 0.0 % under PGD, 100.0 % under FGSM" in line
    assert "adversarial=n_fgsm" in line
    assert "\n" not in line
    assert not compared(pgd=30.0, fgsm=35.0)["catastrophic_overfitting"]


def test_what_has_diverged_is_right_nowhere(tiny: ImageSplits) -> None:
    """The first class would be right for a tenth of the images."""
    fused = FusedNetwork(CELLS[0], SHAPE, seed=0)
    with torch.no_grad():
        fused.network.classifier.bias[3] = torch.nan
    found = robust_accuracies(fused, tiny.valid, FGSMRS(), seed=0)
    assert float(found["pgd"]) == float(found["fgsm"]) == 0


def test_one_step_training_is_looked_at_once_at_the_end(tiny: ImageSplits) -> None:
    recipe = Recipe(epochs=1, batch_size=32, adversarial=FGSMRS())
    (network, record), _ = fit_and_validate(CELLS, SHAPE, tiny.train, recipe, seed=0, valid=tiny.valid)
    assert set(record) == {"pgd", "fgsm", "catastrophic_overfitting"}
    (alone, nothing), _ = fit_and_validate(CELLS, SHAPE, tiny.train, recipe, seed=0)
    assert nothing == {}
    assert same(network, alone)
    several = Recipe(epochs=1, batch_size=32, adversarial=PGDTraining(steps=2))
    assert fit_and_validate(CELLS[:1], SHAPE, tiny.train, several, seed=0, valid=tiny.valid)[0][1] == {}
