"""Does a revision still produce the numbers of an earlier one? Record both, then compare.

``python -m benchmarks.unchanged record OUT [--checkout DIR] [--data DIR] [--workers N]`` runs the commands of a
checkout (this one, or the work tree of another revision) and keeps their results: histories of all optimizers on three
problems, the smoke production's table, attacks on a small model, a comparison, and the CSV files of a report. Cases
that are already in OUT are not run again.

``python -m benchmarks.unchanged compare BEFORE AFTER [--renamed old=new ...]`` lists the values that differ and
exits with status 1 if there is one. Times are left out. ``--renamed`` translates names of optimizers, columns and
keys that the later revision has renamed.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from agnet.runtime.files import write_text

PROBLEMS = {
    "single": ["objective=digits", "objective.maximize=[digits_valid_pgd_eps16]", "objective.report=[]"],
    "limited": [
        "objective=digits",
        "objective.maximize=[digits_valid_pgd_eps16]",
        "objective.report=[]",
        "objective.constraints={digits_cpu_latency_ms: {max: 0.4}}",
    ],
    "pair": ["objective=cifar10_micro"],
}
"""Problems on the bundled tables -> their overrides."""

PAIR_OF_CELLS = ("in_turn", "cell_by_cell")
"""Ends of the names of optimizers that search DARTS cells and need the surrogate in the data folder."""

TIMES = re.compile(r"second|wall|date$|revision|sha256|version|torch")
"""Names of values that every run measures anew or that identify the revision."""

MODEL = """
import torch


def model():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(32, 5)).eval()


if __name__ == "__main__":
    import sys

    import numpy as np

    images = torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = model()(images).argmax(dim=1)
    np.savez(sys.argv[1], images=images.numpy(), labels=labels.numpy())
"""
"""A module for the attack command to import, which also writes images that its model classifies correctly."""

ATTACKS = ["fgsm", "pgd", "apgd_ce", "apgd_dlr", "apgd_t", "square"]


class Recorder:
    """Runs the commands of a checkout.

    Args:
        checkout: folder with ``agnet``, ``search``, ``evaluation`` and ``conf``.
        out: folder of the recorded cases.
        data: folder of the surrogate of DARTS cells; its cases are left out if it is missing.
    """

    def __init__(self, checkout: Path, out: Path, data: Path) -> None:
        self.checkout, self.out, self.data = checkout.resolve(), out.resolve(), data.resolve()
        self.scratch = self.out / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)

    def command(self, module: str, *arguments: str) -> None:
        """Run ``python -m module`` in the checkout on one thread."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{self.checkout}:{self.scratch}"}
        call = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(call, cwd=self.checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(call)} exits with {done.returncode}:\n{done.stderr[-2000:]}")

    def keep(self, name: str, found: Any) -> None:
        """Write the result of a case."""
        path = self.out / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(found, indent=0))
        print(name, flush=True)

    def cases(self) -> dict[str, Any]:
        """Cases that are not recorded yet: names and functions that run them."""
        found: dict[str, Any] = {"production": self.production, "attack": self.attack, "attack_worst": self.worst}
        found |= {"compare": self.compare, "report": self.report}
        for optimizer in sorted(path.stem for path in (self.checkout / "conf" / "optimizer").glob("*.yaml")):
            for seed in (0, 1):
                if optimizer.endswith(PAIR_OF_CELLS):
                    if (self.data / "nasbench301_surrogate.onnx").exists():
                        overrides = ["experiment=nb301", f"data_root={self.data}", "optimizer.queries=24"]
                        found[f"search/{optimizer}/cells/{seed}"] = self.search(optimizer, overrides, seed)
                    continue
                for problem, overrides in PROBLEMS.items():
                    found[f"search/{optimizer}/{problem}/{seed}"] = self.search(optimizer, overrides, seed)
        return {name: case for name, case in found.items() if not (self.out / f"{name}.json").exists()}

    def search(self, optimizer: str, overrides: Sequence[str], seed: int) -> Any:
        """Architectures and values of a search with 48 queries."""

        def case() -> Any:
            folder = self.scratch / f"{optimizer}_{seed}_{abs(hash(tuple(overrides)))}"
            plain = ["budget=48", "plot=false", "progress=false", "force=true", "logger=none"]
            settings = [*overrides, f"optimizer={optimizer}", f"seed={seed}", *plain]
            self.command("search.run", *settings, f"run_dir={folder}")
            lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
            return [[line["architecture"], line["values"]] for line in lines]

        return case

    def production(self) -> Any:
        """The table of 32 networks, without measured latencies."""
        folder = self.scratch / "production"
        self.command("evaluation.run", "experiment=digits_smoke", f"out={folder}", "progress=false")
        [path] = [path for path in folder.glob("*.parquet") if "details" not in path.name]
        columns = pq.read_table(path).to_pydict()
        return {name: values for name, values in columns.items() if "latency" not in name}

    def attack(self, *more: str) -> Any:
        """Results of ``evaluation.attack`` on a small convolutional network."""
        module, images = self.scratch / "unchanged_model.py", self.scratch / "images.npz"
        write_text(module, MODEL)
        subprocess.run([sys.executable, str(module), str(images)], check=True)
        folder = self.scratch / f"attack{len(more)}"
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"attack=[{','.join(ATTACKS)}]", "attack.square.queries=200", "attack.apgd_t.targets=3"]
        given = ["model=unchanged_model:model", f"images={images}", f"out={folder}"]
        self.command("evaluation.attack", *given, *settings, *more)
        return {"json": json.loads((folder / "evaluation.json").read_text()), "csv": _csv(folder / "summary.csv")}

    def worst(self) -> Any:
        """The same attack in the mode in which any iterate counts."""
        return self.attack("mode=worst_case")

    def compare(self) -> Any:
        """A comparison of three optimizers."""
        folder = self.scratch / "compare"
        key = "executor" if (self.checkout / "conf" / "executor").exists() else "engine"
        plain = ["seeds=2", "budget=48", "at=[32,48]", f"{key}=inline"]
        optimizers = "optimizers=[agnet,local_search,random_search]"
        self.command("search.compare", "experiment=bundled_pareto", optimizers, *plain, f"out={folder}")
        return {path.name: _csv(path) for path in sorted(folder.glob("*.csv"))}

    def report(self) -> Any:
        """The CSV files of a report on the complete bundled table."""
        folder = self.scratch / "report"
        self.command("evaluation.report", "table=checkpoints/nasbench201_digits.parquet", f"out={folder}")
        return {str(path.relative_to(folder)): _csv(path) for path in sorted(folder.rglob("*.csv"))}


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Differences between two recorded values; names of times are skipped."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in dict.fromkeys([*before, *after]) if not TIMES.search(key)]
        return [
            line
            for key in keys
            for line in (
                differences(before[key], after[key], f"{place}.{key}")
                if key in before and key in after
                else [f"{place}.{key} is only {'before' if key in before else 'after'}"]
            )
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{place}[{i}]")]
    same = before == after or (before != before and after != after)  # NaN equals NaN here
    return [] if same else [f"{place}: {_short(before)} before, {_short(after)} after"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def read(folder: Path, renamed: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """All recorded cases by name, with renamed words replaced."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        if "scratch" in path.relative_to(folder).parts:
            continue
        name, text = str(path.relative_to(folder)), path.read_text()
        for old, new in renamed:
            name, text = name.replace(old, new), re.sub(rf"(?<![A-Za-z]){re.escape(old)}(?![A-Za-z])", new, text)
        found[name] = json.loads(text)
    return found


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record", help="run the commands of a checkout")
    record.add_argument("out", type=Path)
    record.add_argument("--checkout", type=Path, default=Path())
    record.add_argument("--data", type=Path, default=Path("../shared/data"))
    record.add_argument("--workers", type=int, default=1)
    compare = commands.add_parser("compare", help="list what differs between two records")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument("--renamed", nargs="*", default=[], metavar="old=new")
    given = parser.parse_args()
    if given.command == "record":
        recorder = Recorder(given.checkout, given.out, given.data)
        with ThreadPoolExecutor(given.workers) as pool:
            waiting = [(name, pool.submit(case)) for name, case in recorder.cases().items()]
            for name, future in waiting:
                recorder.keep(name, future.result())
        return
    before = read(given.before, [tuple(pair.split("=", 1)) for pair in given.renamed])
    after = read(given.after, [])
    found = differences(before, after)
    print("\n".join(found[:200]))
    print(f"{len(before)} cases before, {len(after)} after, {len(found)} differences")
    sys.exit(bool(found) or not before)


if __name__ == "__main__":
    main()
