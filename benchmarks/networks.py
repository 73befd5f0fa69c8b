"""The networks that the attack benchmarks attack: five cells, briefly trained on CIFAR-10.

``python -m benchmarks.networks --data ../shared/data --out runs/networks`` trains the networks that are missing in the
folder, small ones first, in about 20 minutes on one thread with fast bfloat16 products. :func:`load` reads a network
back.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agnet.errors import CheckpointMismatch
from agnet.runtime.files import replacing, write_text
from benchmarks.timing import one_thread
from evaluation.data.images import Images, ImageSplits
from evaluation.data.nasbench201 import cifar10
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.training.sgd import Recipe, fit

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|skip_connect~2|"
POOLED = "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"

NETWORKS = {
    "n1_a": (BEST, 8, 1),
    "n1_b": (POOLED, 8, 1),
    "n5_c": (RESIDUAL, 8, 5),
    "n1_wide": (BEST, 16, 1),
    "n5_wide": (RESIDUAL, 16, 5),
}
"""Name -> cell, channels of the first stage, cells per stage. ``BEST`` is NAS-Bench-201's most accurate on CIFAR-10."""

RECIPE = Recipe(epochs=3, batch_size=128, flip=True, crop_padding=4, precision="bfloat16")
SEED = 0


def make(name: str, splits: ImageSplits, folder: Path, *, device: str = "cpu") -> dict[str, object]:
    """Train one network and store its weights, then its description, which therefore marks both as complete."""
    architecture, channels, cells = NETWORKS[name]
    shape = NetworkShape(splits.num_classes, splits.in_channels, channels, cells, splits.mean, splits.std)
    begin = time.perf_counter()
    (network,) = fit([architecture], shape, splits.train, RECIPE, seed=SEED, device=device)
    seconds = time.perf_counter() - begin
    description = {
        "name": name,
        "architecture": architecture,
        "shape": dataclasses.asdict(shape),
        "recipe": dataclasses.asdict(RECIPE),
        "seed": SEED,
        "dataset": splits.name,
        "train_images": len(splits.train),
        "test_accuracy": accuracy(network, splits.test.to(device)),
        "seconds": round(seconds, 1),
    }
    with replacing(folder / f"{name}.safetensors") as temporary:
        save_file({key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}, temporary)
    write_text(folder / f"{name}.json", json.dumps(description, indent=1))
    return description


def load(path: Path) -> CellNetwork:
    """A stored network in evaluation mode, parameters frozen.

    Args:
        path: path of its ``.safetensors`` or ``.json`` file.

    Raises:
        CheckpointMismatch: if either file is missing or they do not match.
    """
    try:
        description = json.loads(path.with_suffix(".json").read_text())
        shape = {key: tuple(x) if isinstance(x, list) else x for key, x in description["shape"].items()}
        network = CellNetwork(description["architecture"], NetworkShape(**shape))
        network.load_state_dict(load_file(path.with_suffix(".safetensors")))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointMismatch(f"{path}: {error}; make it with python -m benchmarks.networks") from error
    return network.eval().requires_grad_(False)


def accuracy(network: CellNetwork, images: Images, *, batch_size: int = 500) -> float:
    """Percentage of images that a network classifies correctly."""
    hits = 0
    with torch.inference_mode():
        for first in range(0, len(images), batch_size):
            pixels, labels = images.batch(slice(first, first + batch_size))
            hits += int((network(pixels).argmax(dim=1) == labels).sum())
    return 100 * hits / len(images)


def main() -> None:
    """Train the networks that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--only", nargs="*", choices=NETWORKS, default=list(NETWORKS), help="names; default: all")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    one_thread()
    missing = [name for name in options.only if not (options.out / f"{name}.json").exists()]
    splits = cifar10(options.data, num_valid=5_000) if missing else None
    for name in options.only:
        if splits is not None and name in missing:
            found = make(name, splits, options.out, device=options.device)
        else:
            found = json.loads((options.out / f"{name}.json").read_text())
        print(f"{name:<8} {found['test_accuracy']:.2f} % on the test images, {found['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
