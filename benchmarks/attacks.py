"""How fast is the evaluator? The protocol's attacks at all radii, here and in the libraries people use.

``python -m benchmarks.attacks --networks runs/networks --data ../shared/data --out runs/attacks`` times the cases that
are missing in ``--out`` (one JSON file per network, attack and library) and prints seconds, robust accuracies and
ratios to the fastest library. Times are CPU seconds of one thread; with ``--device cuda``, wall seconds with
synchronisation. Networks come from ``benchmarks.networks``; README.md says how to install the libraries. Every library
gets the plain trained network in evaluation mode. The time includes one forward pass per radius that judges the result.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from agnet.runtime.files import write_text
from benchmarks.networks import load
from benchmarks.parity import EPS
from benchmarks.peers import PEERS, robust
from evaluation import evaluate
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import PUBLISHED_EPS
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.square_attack import Square
from evaluation.data.nasbench201 import cifar10
from evaluation.networks.nasbench201 import CellNetwork
from search.document import insert

OURS = {"agnet, float32": "float32", "agnet, bfloat16 search": "bfloat16"}
FASTEST = ("torchattacks", "adv-lib")  # by an earlier run with all libraries; foolbox and pyautoattack trail them


def run_ours(
    network: CellNetwork, images: Tensor, labels: Tensor, name: str, library: str, queries: int
) -> list[float]:
    """Robust accuracy at every radius of an attack of the protocol."""
    attack = {
        "fgsm": lambda: FGSM(),
        "pgd": lambda: PGD(),
        "apgd-ce": lambda: APGD(),
        "square": lambda: Square(queries=queries),
    }[name]()
    clean, *outcomes = evaluate(network, images, labels, [attack], precision=OURS[library]).outcomes
    # judged as the peers are: an image that is misclassified from the start is not robust, even if FGSM corrects it
    return [100.0 * float((outcome.robust & clean.robust).double().mean()) for outcome in outcomes]


def run_peer(
    network: CellNetwork, images: Tensor, labels: Tensor, name: str, library: str, queries: int
) -> list[float]:
    """Robust accuracy at every radius of a library's attack."""
    iterations = queries if name == "square" else None
    accuracies = []
    for eps in EPS.get(name, PUBLISHED_EPS):
        points = PEERS[name][library](network, images, labels, eps, iterations=iterations)
        accuracies.append(100.0 * float(robust(network, images, points, labels).double().mean()))
    return accuracies


def measure(
    network: CellNetwork, images: Tensor, labels: Tensor, name: str, library: str, queries: int
) -> dict[str, object]:
    """Seconds and accuracies of one library."""
    cuda = images.is_cuda
    run = run_ours if library in OURS else run_peer
    warm = library if name == "fgsm" or library in OURS else "torchattacks"  # adv-lib has no FGSM
    run(network, images[:8], labels[:8], "fgsm", warm, 1)
    if cuda:
        torch.cuda.synchronize()
    clock = time.perf_counter if cuda else time.process_time
    begin = clock()
    accuracies = run(network, images, labels, name, library, queries)
    if cuda:
        torch.cuda.synchronize()
    return {"seconds": clock() - begin, "accuracies": accuracies, "images": len(images), "queries": queries}


def table(folder: Path, networks: list[str]) -> str:
    """Markdown table with seconds and ratios for every network and attack."""
    lines = [
        "| network | attack | fastest peer, s | agnet float32, s | ratio | agnet bfloat16 search, s | ratio "
        "| mean robust accuracy: peer, float32, bfloat16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network in networks:
        sums = [0.0, 0.0, 0.0]
        complete = True
        for name in ("fgsm", "pgd", "apgd-ce", "square"):
            paths = folder.glob(f"{network}/{name}__*.json")
            found = {path.stem.split("__")[1]: json.loads(path.read_text()) for path in paths}
            peers = {library: f for library, f in found.items() if not library.startswith("agnet")}
            ours = [found.get(_key(library)) for library in OURS]
            if not peers or None in ours:
                complete = False
                continue
            best = min(peers, key=lambda library: peers[library]["seconds"])
            entries = [peers[best], *(f for f in ours if f)]
            seconds = [f["seconds"] for f in entries]
            sums = [a + b for a, b in zip(sums, seconds, strict=True)]
            means = [sum(f["accuracies"]) / len(f["accuracies"]) for f in entries]
            title = f"{name} x {len(entries[0]['accuracies'])} eps, {entries[0]['images']} images"
            if name == "square":
                title = title.replace("square", f"square-{entries[0]['queries']}")
            lines.append(
                f"| {network} | {title} | {seconds[0]:.1f} ({best}) | {seconds[1]:.1f} "
                f"| {seconds[0] / seconds[1]:.1f}x "
                f"| {seconds[2]:.1f} | {seconds[0] / seconds[2]:.1f}x | {', '.join(f'{m:.2f}' for m in means)} |"
            )
        if complete and sums[0]:
            lines.append(
                f"| {network} | **all four** | {sums[0]:.1f} | {sums[1]:.1f} | {sums[0] / sums[1]:.1f}x "
                f"| {sums[2]:.1f} | {sums[0] / sums[2]:.1f}x | |"
            )
    return "\n".join(lines)


def _key(library: str) -> str:
    return library.replace(", ", "_").replace(" ", "_")


def main() -> None:
    """Time the missing cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, required=True, help="folder written by benchmarks.networks")
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--names", nargs="+", default=["n1_wide", "n5_wide"], help="networks")
    parser.add_argument("--attacks", nargs="+", default=["fgsm", "pgd", "apgd-ce", "square"])
    parser.add_argument("--libraries", nargs="+", default=[*OURS, *FASTEST])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000, help="of Square")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--document", action="store_true", help="put the table into benchmarks/README.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    test = cifar10(args.data).test.first(args.images).to(args.device)
    images, labels = test.pixels, test.labels
    for network_name in args.names:
        network = load(args.networks / f"{network_name}.json").to(args.device)
        for name in args.attacks:
            for library in args.libraries:
                path = args.out / network_name / f"{name}__{_key(library)}.json"
                if path.exists() or (library not in OURS and library not in PEERS[name]):
                    continue
                result = measure(network, images, labels, name, library, args.queries)
                write_text(path, json.dumps({**result, "device": args.device, "torch": str(torch.__version__)}))
                print(network_name, name, library, result, flush=True)
    text = table(args.out, args.names)
    print(text)
    if args.document:
        insert(Path(__file__).parent / "README.md", "attacks", text)


if __name__ == "__main__":
    main()
