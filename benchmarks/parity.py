"""Does robust accuracy here agree with that of common libraries: same networks, same images, every radius?

``python -m benchmarks.parity --networks runs/networks --data ../shared/data --out runs/parity`` runs the cases that are
missing in ``--out`` (one JSON file per network, attack, library and radius, so a stopped run continues), and prints the
table. Networks come from ``benchmarks.networks``; README.md says how to install the libraries. Every result is judged
by a plain forward pass of the uncompiled network on the returned images.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from agnet.runtime.files import write_text
from benchmarks.networks import load
from benchmarks.peers import PEERS, robust
from evaluation import evaluate
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import PUBLISHED_EPS, SteppedAttack, in_units_of_255
from evaluation.attacks.fast_gradient_sign import FGSM, PUBLISHED_FGSM_EPS
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.square_attack import Square
from evaluation.data.nasbench201 import cifar10
from evaluation.networks.nasbench201 import CellNetwork
from search.document import insert

EPS = {"fgsm": PUBLISHED_FGSM_EPS}
OURS = ("agnet", "agnet, bfloat16 search", "agnet, shared windows")


def make_attack(name: str, eps: float, library: str, queries: int) -> SteppedAttack:
    """Our attack of the protocol."""
    if name == "square":
        return Square([eps], queries, windows="shared" if "shared" in library else "per_sample")
    loss = {"apgd-ce": "ce", "apgd-t": "targeted_dlr"}
    return {"fgsm": FGSM, "pgd": PGD}[name]([eps]) if name in ("fgsm", "pgd") else APGD([eps], loss[name])


def attack_ours(
    network: CellNetwork, images: Tensor, labels: Tensor, name: str, library: str, eps: float, queries: int
) -> Tensor:
    """Robust bits of our attack, judged by the uncompiled network."""
    precision = "bfloat16" if "bfloat16" in library else "float32"
    attack = make_attack(name, eps, library, queries)
    found = evaluate(network, images, labels, [attack], precision=precision, keep_images=True)
    (points,) = found.adversarial.values()
    return robust(network, images, points, labels)


def attack_peer(
    network: CellNetwork, images: Tensor, labels: Tensor, name: str, library: str, eps: float, queries: int
) -> Tensor:
    """Robust bits of a library's attack."""
    iterations = queries if name == "square" else None
    points = PEERS[name][library](network, images, labels, eps, iterations=iterations)
    return robust(network, images, points, labels)


def libraries(name: str) -> list[str]:
    """Libraries that have an attack."""
    ours = [library for library in OURS if "shared" not in library or name == "square"]
    return ours + [library for library in PEERS[name] if "frozen" not in library]


def table(folder: Path, networks: list[str], attacks: list[str]) -> str:
    """Markdown table with robust accuracy at every radius, its mean, and the largest difference to the first peer."""
    lines = []
    for network in networks:
        for name in attacks:
            grid = EPS.get(name, PUBLISHED_EPS)
            found = {
                library: [_read(_path(folder, network, name, library, eps)) for eps in grid]
                for library in libraries(name)
            }
            complete = {library: [f for f in results if f] for library, results in found.items() if all(results)}
            if not complete:
                continue
            count = {results[0]["images"] for results in complete.values()}
            lines += [
                f"\n**{network}, {name}**, {', '.join(map(str, sorted(count)))} images\n",
                "| library | "
                + " | ".join(f"{in_units_of_255(eps):g}" for eps in grid)
                + " | mean | largest difference |",
                "|---|" + "---|" * (len(grid) + 2),
            ]
            values = {library: [f["robust_accuracy"] for f in results] for library, results in complete.items()}
            peer = next((library for library in values if library not in OURS), None)
            for library, row in values.items():
                gap = "-"
                if peer is not None and library in OURS:
                    gap = f"{max((a - b for a, b in zip(row, values[peer], strict=True)), key=abs):+.1f}"
                cells = " | ".join(f"{value:.1f}" for value in row)
                lines.append(f"| {library} | {cells} | {statistics.mean(row):.2f} | {gap} |")
    return "\n".join(lines).strip()


def _path(folder: Path, network: str, name: str, library: str, eps: float) -> Path:
    return folder / network / f"{name}_{library.replace(', ', '_').replace(' ', '_')}_{in_units_of_255(eps):g}.json"


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.exists() else None


def main() -> None:
    """Run the missing cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, required=True, help="folder written by benchmarks.networks")
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--names", nargs="+", default=["n1_a", "n1_b", "n5_c"], help="networks")
    parser.add_argument("--attacks", nargs="+", default=["fgsm", "pgd", "apgd-ce", "square", "apgd-t"])
    parser.add_argument("--libraries", nargs="+", help="only these; all by default")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=1000, help="of Square")
    parser.add_argument("--print-only", action="store_true")
    parser.add_argument("--document", action="store_true", help="put the table into benchmarks/README.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    test = cifar10(args.data).test.first(args.images)
    images, labels = test.pixels, test.labels
    for name in args.attacks if not args.print_only else ():
        for network_name in args.names:
            network = load(args.networks / f"{network_name}.safetensors")
            for library in args.libraries or libraries(name):
                if library not in libraries(name):
                    continue
                run: Callable[..., Tensor] = attack_ours if library in OURS else attack_peer
                for eps in EPS.get(name, PUBLISHED_EPS):
                    path = _path(args.out, network_name, name, library, eps)
                    if path.exists():
                        continue
                    begin = time.process_time()
                    bits = run(network, images, labels, name, library, eps, args.queries)
                    result = {
                        "robust_accuracy": 100.0 * float(bits.double().mean()),
                        "images": len(bits),
                        "cpu_seconds": time.process_time() - begin,
                        "bits": "".join(str(int(bit)) for bit in bits),
                    }
                    write_text(path, json.dumps(result))
                    print(network_name, name, library, in_units_of_255(eps), result["robust_accuracy"], flush=True)
    text = table(args.out, args.names, args.attacks)
    print(text)
    if args.document:
        insert(Path(__file__).parent / "README.md", "parity", text)


if __name__ == "__main__":
    main()
