"""What do batched corruptions save, and do they give the same pixels?

``python -m benchmarks.corruptions --data DATA --into docs/corruptions.md`` compares every corruption of the first test
images of CIFAR-10 with ``benchmarks/corruptions_reference.py``, which works on one image at a time with numpy, scipy
and Pillow. ``--data`` is the ``path`` of ``conf/dataset/cifar10.yaml``.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from agnet.runtime.command import command
from benchmarks import corruptions_reference
from benchmarks.corruptions_reference import REFERENCES, Array, Draws, KeyedDraws, NumpyDraws
from benchmarks.timing import alternate, one_thread
from evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt, procedural_frost
from evaluation.data.nasbench201 import cifar10
from search.document import insert

SEED = 0

Reference = Callable[[Array, int, Draws], Array]


def differences(images: UInt8[Tensor, "n 3 h w"], name: str, reference: Reference) -> np.ndarray:
    """Differences in levels between both implementations on the same draws, at all severities."""
    arrays = images.permute(0, 2, 3, 1).numpy()
    found = []
    for severity in SEVERITIES:
        ours = corrupt(images, name, severity, seed=SEED).permute(0, 2, 3, 1).numpy()
        theirs = [reference(a.copy(), severity, KeyedDraws(SEED, name, severity, i)) for i, a in enumerate(arrays)]
        found.append(np.abs(ours.astype(int) - np.stack(theirs)))
    return np.stack(found)


def seconds(images: UInt8[Tensor, "n 3 h w"], name: str, reference: Reference, slow_images: int) -> tuple[float, float]:
    """CPU seconds per image, batched and one at a time, over all severities; every image has its own draws."""
    arrays = images[:slow_images].permute(0, 2, 3, 1).numpy()

    def batched() -> None:
        for severity in SEVERITIES:
            corrupt(images, name, severity, seed=SEED)

    def one_at_a_time() -> None:
        draws = NumpyDraws(SEED)
        for severity in SEVERITIES:
            for array in arrays:
                reference(array.copy(), severity, draws)

    times = alternate({"batched": batched, "one at a time": one_at_a_time}, runs=3)
    fast, slow = (statistics.median(values) for values in times.values())
    return fast / len(images) / len(SEVERITIES), slow / len(arrays) / len(SEVERITIES)


def table(images: UInt8[Tensor, "n 3 h w"], slow_images: int) -> list[str]:
    """Lines of the table, one per corruption."""
    lines = [
        "| corruption | images/s here | images/s one at a time | ratio | mean difference (levels) | greatest |",
        "|---|---|---|---|---|---|",
    ]
    ratios = []
    for name in CORRUPTIONS:
        frost = partial(corruptions_reference.frost, pictures=procedural_frost())
        reference = frost if name == "frost" else REFERENCES[name]
        apart = differences(images[:slow_images], name, reference)
        fast, slow = seconds(images, name, reference, slow_images)
        ratios.append(slow / fast)
        lines.append(
            f"| {name} | {1 / fast:,.0f} | {1 / slow:,.0f} | {slow / fast:.1f} | {apart.mean():.4f} | {apart.max()} |"
        )
        print(lines[-1], flush=True)
    lines.append(f"| geometric mean | | | {statistics.geometric_mean(ratios):.1f} | | |")
    return lines


def run(arguments: argparse.Namespace) -> None:
    """Measure, print, and insert the table into a document if asked."""
    one_thread()
    images = cifar10(arguments.data).test.stored[: arguments.images]
    lines = table(images, arguments.slow_images)
    print(lines[-1])
    if arguments.into is not None:
        insert(arguments.into, "corruption timings", "\n".join(lines))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with CIFAR-10's batches")
    parser.add_argument("--images", type=int, default=500, help="images in a batch")
    parser.add_argument("--slow-images", type=int, default=50, help="of these, images that the reference gets")
    parser.add_argument("--into", type=Path, help="markdown file with the marks of `corruption timings`")
    return parser.parse_args()


main = command(lambda body: lambda: body(parse()), run)

if __name__ == "__main__":
    main()
