"""What do hashes, locks and checks cost? CPU seconds of this work tree against another revision's, in turn.

``python -m benchmarks.cost_of_trust --against DIR [--runs N]`` prints a line each for a search of 192 queries (a whole
process), for reading a table of the other revision and of this one, and for a produced unit (training, attacks,
writing). Every line has the median ratio of pairs that ran right after each other.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import one_thread

READ = """
import sys, time
from agnet.tables.table import column_names, read_table
path = "checkpoints/nasbench201_digits.parquet"
columns = {"few": ["digits_valid", "digits_test_pgd_eps16"], "all": column_names([path])}[sys.argv[1]]
read_table([path], columns, missing="keep")
begin = time.process_time()
for _ in range(20):
    read_table([path], columns, missing="keep")
print((time.process_time() - begin) / 20)
"""
"""Prints the CPU seconds of one reading, within a process that has read the table once."""

UNIT = [
    *("-m", "evaluation.run", "executor=inline", "num_architectures=1", "group_size=1", "attack=[fgsm,pgd]"),
    *("attack_images={}", "recipe.epochs=2", "progress=false"),
]

SEARCH = ["-m", "search.run", "progress=false"]

WHOLE = {"search of 192 queries": (SEARCH, "run_dir"), "a produced unit": (UNIT, "out")}
"""Arguments of a whole process, and the key of its folder."""

READINGS = {"reading 2 columns": "few", "reading all columns": "all"}


def whole(checkout: Path, arguments: list[str], key: str) -> float:
    """CPU seconds of a process that writes a new folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        _call(checkout, [*arguments, f"{key}={folder}/out"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def reading(checkout: Path, columns: str) -> float:
    """CPU seconds of reading columns."""
    return float(_call(checkout, ["-c", READ, columns]))


def _call(checkout: Path, arguments: list[str]) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    """Print a line for every job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    one_thread()
    for name, (arguments, key) in WHOLE.items():
        rounds = [[whole(place, arguments, key) for place in (Path(), given.against)] for _ in range(given.runs + 1)]
        _print(name, rounds[1:])  # the first fills the disk's cache
    for name, columns in READINGS.items():
        rounds = [[reading(place, columns) for place in (Path(), given.against)] for _ in range(given.runs + 1)]
        _print(name, rounds[1:])


def _print(name: str, rounds: list[list[float]]) -> None:
    here, there = ([seconds[i] for seconds in rounds] for i in (0, 1))
    ratios = sorted(a / b for a, b in rounds)
    line = f"{name:<24} {statistics.median(here):8.4f} CPU-s against {statistics.median(there):8.4f}: "
    print(f"{line}{statistics.median(ratios):.3f} of it ({ratios[0]:.3f} .. {ratios[-1]:.3f})", flush=True)


if __name__ == "__main__":
    main()
