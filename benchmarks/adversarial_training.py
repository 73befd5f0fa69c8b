"""What does a step of adversarial training cost, against a plain loop and against the number of passes?

``python -m benchmarks.adversarial_training`` trains random cells (a) in a plain loop of
eager networks, one after another, the perturbation by ``autograd.grad`` in evaluation mode, and (b) as
``evaluation.fit`` does: separate fused networks, compiled for every perturbation, or one stack. Both take turns within
each run. It prints seconds per step and network, the ratio, and the cost beside a standard step of the same way; an
attack's gradient is a pass forward and one back to the pixels (2), a training pass also has one back to the weights
(3). ``--device cuda`` uses a GPU.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from torch.nn import functional as F

from agnet.spaces.nasbench201 import NASBench201, parse
from benchmarks.timing import one_thread
from benchmarks.training import compare, ours
from evaluation.data.images import Images
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape, edges_to_output
from evaluation.networks.stacked import NetworkStack, initialize
from evaluation.training.adversarial import AbstractAdversary
from evaluation.training.fgsm_rs import FGSMRS
from evaluation.training.pgd import PGDTraining
from evaluation.training.sgd import STACKED_VALUES, Recipe

SETTINGS = {  # name -> channels, image size, image channels, batch size, cells
    "32x32, C=16": (16, 32, 3, 64, 4),
    "digits, C=4": (4, 8, 1, 64, 16),
}
METHODS: dict[str, AbstractAdversary | None] = {"standard": None, "FGSM-RS": FGSMRS(), "PGD-7": PGDTraining()}


def plain(cells: list[str], shape: NetworkShape, images: Images, recipe: Recipe) -> Callable[[], None]:
    """A step of each network, eagerly, with the framework's defaults."""
    networks = [CellNetwork(cell, shape).to(images.labels.device) for cell in cells]
    for network in networks:
        initialize(network, seed=0)
    adversary, bfloat16 = recipe.adversarial, recipe.precision == "bfloat16"
    kind = images.labels.device.type

    def perturbed(network: CellNetwork, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if adversary is None:
            return pixels
        network.eval()
        eps, step = adversary.eps, adversary.relative_step * adversary.eps
        point = (pixels + torch.empty_like(pixels).uniform_(-eps, eps)).clamp(0, 1)
        for _ in range(adversary.gradients):
            point.requires_grad_()
            with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
                loss = F.cross_entropy(network(point), labels)
            (gradient,) = torch.autograd.grad(loss, point)
            point = point.detach() + step * gradient.sign()
            point = torch.min(torch.max(point, pixels - eps), pixels + eps).clamp(0, 1)
        return point

    def run() -> None:
        pixels, labels = images.pixels, images.labels
        for network in networks:
            optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4, nesterov=True)
            point = perturbed(network, pixels, labels)
            network.train()
            with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
                loss = F.cross_entropy(network(point), labels)
            loss.backward()
            optimizer.step()

    return run


def passes(adversary: AbstractAdversary | None) -> float:
    """Cost of a step beside a standard one's, by the number of passes."""
    return 1.0 if adversary is None else (2 * adversary.gradients + 3) / 3


def main() -> None:
    """Print a table for every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--precisions", nargs="*", choices=("float32", "bfloat16"), default=["float32"])
    options = parser.parse_args()
    one_thread()
    for name in options.settings:
        channels, size, in_channels, batch, count = SETTINGS[name]
        drawn = NASBench201().sample(2 * count, rng=torch.Generator().manual_seed(0))
        cells = [cell for cell in drawn if any(source == 0 for _, source, _ in edges_to_output(parse(cell)))][:count]
        shape = NetworkShape(10, in_channels, channels, 1, 0.45, 0.26)
        stored = torch.randint(256, (batch, in_channels, size, size), dtype=torch.uint8)
        images = Images(stored, torch.randint(10, (batch,))).to(options.device)
        stacks = options.device != "cpu" or channels * size**2 <= STACKED_VALUES
        for precision in options.precisions:
            works: dict[str, Callable[[], None]] = {}
            for method, adversary in METHODS.items():
                recipe = Recipe(
                    epochs=1, batch_size=batch, learning_rate=0.01, precision=precision, adversarial=adversary
                )
                networks = (
                    NetworkStack(cells, shape, seed=0)
                    if stacks
                    else [FusedNetwork(cell, shape, seed=0) for cell in cells]
                )
                works[f"{method} plain"] = plain(cells, shape, images, recipe)
                works[f"{method} ours"] = ours(networks, images, recipe)
            seconds = compare(works, runs=options.runs, device=options.device)
            medians = {key: statistics.median(values) / count for key, values in seconds.items()}
            way = "one stack" if stacks else "fused networks"
            print(f"{name}, batch {batch}, {count} cells, N=1, {precision} on {options.device}, {way}")
            for method, adversary in METHODS.items():
                theirs, mine = medians[f"{method} plain"], medians[f"{method} ours"]
                ratios = [p / o for p, o in zip(seconds[f"{method} plain"], seconds[f"{method} ours"], strict=True)]
                print(
                    f"  {method:<9} plain {1000 * theirs:8.1f} ms  ours {1000 * mine:8.1f} ms a step and network"
                    f"  {statistics.median(ratios):5.2f}x ({min(ratios):.2f} .. {max(ratios):.2f})"
                    f"  standard steps: plain {theirs / medians['standard plain']:.2f},"
                    f" ours {mine / medians['standard ours']:.2f}, by passes {passes(adversary):.2f}"
                )


if __name__ == "__main__":
    main()
