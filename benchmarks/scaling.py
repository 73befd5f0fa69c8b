"""How does production scale? ``python -m benchmarks.scaling measure``, ``speed`` or ``model``.

``measure`` produces the same cells with one worker and with several, each in a fresh folder. It prints the parallel
efficiency of the whole call, which includes the workers' start, and of the time in which all workers are busy.

``speed`` measures multiply-accumulates per second in a forward pass of the full-size network with the median number of
them, compiled for attack, on the CPU or a GPU.

``model`` adds up the cost of the full protocol of the published dataset, network by network, and deals the networks out
to 1, 8 and 64 devices as the executors do: the most expensive run first, and a free device takes the next one. The
speed of a device is an argument. An attack that stops once an image is fooled has a lower bound (the images that
survive) and an upper bound (all that are classified correctly). Both are printed for all three image sets, from the
robust accuracies on CIFAR-10 in a table.
"""

import argparse
import heapq
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from agnet.runtime.executors import LocalExecutor
from agnet.spaces.nasbench201 import NASBench201
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.data.bundled import digits
from evaluation.networks.compiled import CompiledNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.production.merge import representatives
from evaluation.production.produce import live_macs, produce
from evaluation.production.protocol import Protocol
from evaluation.training.sgd import Recipe

DATASETS = {"CIFAR-10": (32, 50_000, 10_000), "CIFAR-100": (32, 50_000, 10_000), "ImageNet16-120": (16, 151_700, 6_000)}
"""Image size, training images, test images."""

EPOCHS = 200
TRAINING = 3  # cost of an image's training step in forward passes
FGSM_PASSES, PGD_PASSES, CORRUPTION_PASSES = 2 + 11, 7 * (2 * 40 + 1), 75
APGD_PASSES, SQUARE_PASSES = 2 * 101 + 1, 5_001  # for an image that is never fooled, at one radius


def measure(cells: int, workers: int) -> None:
    """Print units per second with one worker and with several."""
    protocol = Protocol(
        digits(),
        4,
        1,
        Recipe(epochs=5),
        [FGSM([8 / 255, 16 / 255]), PGD([16 / 255], steps=7, relative_step=0.3)],
        group_size=1,
    )
    chosen = representatives(NASBench201())[:cells]
    print(f"# {cells} cells on the digits, torch {torch.__version__}, {torch.get_num_threads()} threads visible")
    seconds: dict[int, float] = {}
    for count in (1, workers):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            found = produce(protocol, chosen, Path(folder), executor=LocalExecutor(count), progress=False)
            seconds[count] = time.perf_counter() - begin
            times = sorted(path.stat().st_mtime for path in (Path(folder) / "units").iterdir())
            steady = (len(times) - count) / (times[-1] - times[count - 1])
            cpu = sum(sum(v for k, v in r.cost.items() if k.endswith("cpu_seconds")) for r in found.records.values())
        print(f"{count} workers: {seconds[count]:.1f} s, {steady:.2f} units/s once all work, {cpu:.1f} CPU-s in units")
        seconds[-count] = 1 / steady
    print(f"efficiency of the whole call {seconds[1] / (workers * seconds[workers]):.2f}, ", end="")
    print(f"once all work {seconds[-1] / (workers * seconds[-workers]):.2f}")


def speed(device: str, batch: int, repeats: int) -> None:
    """Print multiply-accumulates per second of the median network."""
    shape = NetworkShape(mean=(0.5,) * 3, std=(0.25,) * 3)
    ordered = sorted(representatives(NASBench201()), key=lambda cell: live_macs(cell, shape, 32))
    cell = ordered[len(ordered) // 2]
    network = CompiledNetwork(CellNetwork(cell, shape).to(device).eval())
    images = torch.rand(batch, 3, 32, 32, device=device)

    def run() -> float:
        return float(network(images).sum())  # waits for the device

    with torch.inference_mode():
        run()
        begin = time.perf_counter()
        for _ in range(repeats):
            run()
        seconds = (time.perf_counter() - begin) / repeats
    macs = live_macs(cell, shape, 32)
    print(f"# {device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {cell}, {macs:,} MACs")
    print(f"{batch} images in {seconds:.3f} s: {macs * batch / seconds / 1e12:.4f} TMAC/s")


def passes(table: Path) -> tuple[np.ndarray, np.ndarray]:
    """Forward passes per test image for attacks and corruptions of every network: lower and upper bounds."""
    content = pq.read_table(table)
    _, rows = np.unique(content["isomorph"].to_numpy(), return_index=True)
    column = {
        name: content[name].to_numpy()[rows] / 100 for name in content.column_names if name.startswith("cifar10_")
    }
    fixed = 1 + FGSM_PASSES + PGD_PASSES + CORRUPTION_PASSES
    lower = np.full(len(rows), float(fixed))
    upper = lower.copy()
    for attack, cost in (("apgd_ce", APGD_PASSES), ("square", SQUARE_PASSES)):
        for name in column:
            if name.startswith(f"cifar10_{attack}_eps"):
                lower += cost * column[name]
                upper += cost * column["cifar10_clean"]
    return lower, upper


def dealt(costs: Sequence[float], devices: int) -> tuple[float, float]:
    """Time until all networks are done, most expensive first, and the share of it in which devices are busy."""
    free = [0.0] * devices
    for cost in sorted(costs, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + cost)
    return max(free), sum(costs) / (devices * max(free))


def model(table: Path, speeds: Sequence[float]) -> None:
    """Print hours on 1, 8 and 64 devices for every assumed speed."""
    cells = representatives(NASBench201())
    bounds = dict(zip(("lower", "upper"), passes(table), strict=True))
    print("| device does | bound | device-hours: training | attacks, corruptions | 1 device | 8 | 64 | busy at 64 |")
    print("|---|---|---|---|---|---|---|---|")
    for speed in speeds:
        for bound, per_image in bounds.items():
            training, attacking, costs = 0.0, 0.0, []
            for size, train, test in DATASETS.values():
                macs = np.array([live_macs(cell, NetworkShape(), size) for cell in cells], dtype=float)
                fit = macs * TRAINING * EPOCHS * train / speed / 3600
                attack = macs * per_image * test / speed / 3600
                training, attacking = training + fit.sum(), attacking + attack.sum()
                costs += (fit + attack).tolist()
            days = " | ".join(f"{dealt(costs, n)[0] / 24:,.1f} d" for n in (1, 8, 64))
            print(
                f"| {speed / 1e12:g} TMAC/s | {bound} | {training:,.0f} | {attacking:,.0f} | {days} | "
                f"{dealt(costs, 64)[1]:.1%} |"
            )


def main() -> None:
    """Run the requested measurement or model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--cells", type=int, default=48)
    measuring.add_argument("--workers", type=int, default=2)
    speeding = commands.add_parser("speed")
    speeding.add_argument("--device", default="cpu")
    speeding.add_argument("--batch", type=int, default=256)
    speeding.add_argument("--repeats", type=int, default=5)
    modelling = commands.add_parser("model")
    modelling.add_argument("--table", type=Path, default=Path("../shared/data/nasbench201_robustness_cifar10.parquet"))
    modelling.add_argument(
        "--tmacs", type=float, nargs="+", default=[2.0, 10.0], help="10^12 MACs a second of a device"
    )
    options = parser.parse_args()
    if options.command == "measure":
        measure(options.cells, options.workers)
    elif options.command == "speed":
        speed(options.device, options.batch, options.repeats)
    else:
        model(options.table, [1e12 * speed for speed in options.tmacs])


if __name__ == "__main__":
    main()
