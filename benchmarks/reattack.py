"""What it costs to attack kept networks, against training them again, and whether the numbers are the same.

``python -m benchmarks.reattack --cells 100 --out runs/reattack`` trains and attacks digits networks, keeps their
weights, attacks them again from the weights, and compares every accuracy. It continues where it was stopped. CPU
seconds are those of the units, by part.
"""

import argparse
import sys
from pathlib import Path

from agnet.spaces.nasbench201 import NASBench201
from evaluation.attack import main as attack
from evaluation.production.merge import cpu_seconds, representatives
from evaluation.production.reattack import attack_source, read_kept_run
from evaluation.production.store import Store
from evaluation.production.unit import Unit
from evaluation.run import main as produce

IMAGES = "attack_images={pgd: 200, apgd_ce: 64, square: 64}"
LEAST = 5.0
"""Training again has to cost so many times what attacking again does."""


def call(command: object, *overrides: str) -> None:
    """Run a command in this process."""
    sys.argv = ["reattack", *overrides]
    command()  # pyright: ignore[reportCallIssue]


def main() -> None:
    """Train, attack, attack again, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/reattack"))
    options = parser.parse_args()
    cells, first, second = options.cells, options.out / "trained", options.out / "again"
    drawn = [f"num_architectures={cells}", "executor=local", "executor.workers=1"]
    parts = ["fgsm_digits", "pgd_digits", "apgd_digits", "square_digits"]
    attacks = [f"attack=[{','.join(parts)}]", IMAGES]
    call(produce, *drawn, *attacks, "keep_weights=true", f"out={first}")
    call(attack, f"units={first}", *drawn[1:], *attacks, "calibration=false", f"out={second}")
    run = read_kept_run(first, representatives(NASBench201()))
    protocol = attack_source(run, run.settings["attack"], attack_images=run.settings["attack_images"])()
    units = [Unit(cell, 0) for cell in run.cells]
    found = Store(second, protocol).find(units)
    differing = [
        (unit, name)
        for unit, record in found.records.items()
        for name, value in record.columns.items()
        if run.records[unit].columns[name] != value
    ]
    compared = sum(len(record.columns) for record in found.records.values())
    spent, again = cpu_seconds(Store(first, run.protocol).find(units)), cpu_seconds(found)
    whole, less = sum(spent.values()), sum(again.values())
    print(f"{len(found.records)} of {len(units)} networks; {compared} values compared, {len(differing)} differ")
    print(f"training {spent['training']:.1f} CPU-s, attacks and latency {spent['evaluation']:.1f} CPU-s")
    print(f"reading {again['training']:.1f} CPU-s, attacks {again['evaluation']:.1f} CPU-s")
    print(f"training again costs {whole / less:.2f} times as much as attacking again; {LEAST:g} are asked for")
    sys.exit(bool(differing) or len(found.records) < len(units) or whole < LEAST * less)


if __name__ == "__main__":
    main()
