"""What does training many small networks side by side save?

``python -m benchmarks.training`` trains the same 16 random cells (a) one at a time as plain eager networks, (b) as
separate fused networks that take turns, and (c) as one stack. It prints images per second, summed over cells, and
ratios to (a). ``--device cuda`` uses a GPU. Steps include loss, backward pass and update; the loader is not timed.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from agnet.spaces.nasbench201 import NASBench201
from benchmarks.timing import one_thread
from evaluation.data.images import Images
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack, initialize
from evaluation.training.sgd import STACKED_VALUES, Recipe, train

COUNT = 16
SETTINGS = {  # name -> channels, image size, image channels, batch size
    "digits, C=4": (4, 8, 1, 64),
    "16x16, C=4": (4, 16, 3, 64),
    "16x16, C=8": (8, 16, 3, 64),
    "32x32, C=16": (16, 32, 3, 128),
}


def plain(cells: list[str], shape: NetworkShape, images: Images, recipe: Recipe) -> Callable[[], None]:
    """Train every network separately and eagerly, with the framework's defaults."""
    device = images.labels.device
    networks = [CellNetwork(cell, shape).to(device).train() for cell in cells]
    for network in networks:
        initialize(network, seed=0)

    def run() -> None:
        for network in networks:
            optimizer = torch.optim.SGD(
                network.parameters(),
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
                nesterov=True,
            )
            for first in range(0, len(images), recipe.batch_size):
                pixels, labels = images.batch(slice(first, first + recipe.batch_size))
                optimizer.zero_grad()
                with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                    loss = F.cross_entropy(network(pixels), labels)
                loss.backward()
                optimizer.step()

    return run


def ours(networks: NetworkStack | list[FusedNetwork], images: Images, recipe: Recipe) -> Callable[[], None]:
    """The project's own training."""
    for network in [networks] if isinstance(networks, nn.Module) else networks:
        network.to(images.labels.device)
    return lambda: train(networks, images, recipe, seed=0)


def clock(device: str) -> float:
    """CPU seconds of this process, or wall seconds after all work on a GPU is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def compare(works: dict[str, Callable[[], None]], *, runs: int, device: str) -> dict[str, list[float]]:
    """Seconds of each function, timed in turn after one warm-up call."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(runs):
        for name, work in works.items():
            begin = clock(device)
            work()
            seconds[name].append(clock(device) - begin)
    return seconds


def main() -> None:
    """Print a table for every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="mini-batches per run")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    options = parser.parse_args()
    one_thread()
    cells = NASBench201().sample(COUNT, rng=torch.Generator().manual_seed(0))
    for name in options.settings:
        channels, size, in_channels, batch = SETTINGS[name]
        shape = NetworkShape(10, in_channels, channels, 1, 0.45, 0.26)
        stored = torch.randint(256, (options.steps * batch, in_channels, size, size), dtype=torch.uint8)
        images = Images(stored, torch.randint(10, (len(stored),))).to(options.device)
        works: dict[str, Callable[[], None]] = {}
        for precision in ("float32", "bfloat16"):
            recipe = Recipe(epochs=1, batch_size=batch, learning_rate=0.01, precision=precision)
            works[f"plain {precision}"] = plain(cells, shape, images, recipe)
            separate = [FusedNetwork(cell, shape, seed=0) for cell in cells]
            works[f"fused {precision}"] = ours(separate, images, recipe)
            works[f"stack {precision}"] = ours(NetworkStack(cells, shape, seed=0), images, recipe)
        seconds = compare(works, runs=options.runs, device=options.device)
        medians = {key: statistics.median(values) for key, values in seconds.items()}
        chosen = "stack" if options.device != "cpu" or channels * size**2 <= STACKED_VALUES else "fused"
        print(f"{name}, batch {batch}, {COUNT} cells, N=1 on {options.device} (fit chooses: {chosen})")
        for key, values in seconds.items():
            precision = key.split()[1]
            ratios = [medians[f"plain {base}"] / medians[key] for base in ("float32", precision)]
            print(
                f"  {key:<16} {COUNT * len(images) / medians[key]:8.0f} images/s"
                f"  ({min(values):.2f} .. {max(values):.2f} s)"
                f"  {ratios[0]:5.2f}x plain float32  {ratios[1]:5.2f}x plain {precision}"
            )


if __name__ == "__main__":
    main()
