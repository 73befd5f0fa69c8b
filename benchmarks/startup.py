"""What does a command cost before it works, and a whole search? CPU seconds of whole processes, one thread.

``python -m benchmarks.startup [--against DIR] [--runs N]`` prints ``--help``, the import of torch alone and the
search of ``make search``. With ``--against``, the work tree of another revision, the two run in turn and every line
has the ratio.
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

COMMANDS = {
    "import torch": ["-c", "import torch"],
    "search.run --help": ["-m", "search.run", "--help"],
    "evaluation.attack --help": ["-m", "evaluation.attack", "--help"],
    "search of 192 queries": ["-m", "search.run", "progress=false", "force=true"],
}
"""Arguments of the interpreter; a search gets a folder of its own."""


def cpu_seconds(checkout: Path, arguments: list[str]) -> float:
    """User and system seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        place = [f"run_dir={folder}/run"] if "search.run" in arguments and "--help" not in arguments else []
        call = [sys.executable, *arguments, *place]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(call, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for every command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    one_thread()
    checkouts = [Path(), *([given.against] if given.against else [])]
    for name, arguments in COMMANDS.items():
        for checkout in checkouts:
            cpu_seconds(checkout, arguments)  # compiled files and the disk's cache
        rounds = [[cpu_seconds(checkout, arguments) for checkout in checkouts] for _ in range(given.runs)]
        here = [seconds[0] for seconds in rounds]
        text = f"{name:<28} {statistics.median(here):7.2f} CPU-s  ({min(here):.2f} .. {max(here):.2f})"
        if given.against:
            ratios = sorted(seconds[0] / seconds[1] for seconds in rounds)
            there = statistics.median(seconds[1] for seconds in rounds)
            spread = f"{ratios[0]:.2f} .. {ratios[-1]:.2f}"
            text += f"  against {there:7.2f}: {statistics.median(ratios):.2f} of it ({spread})"
        print(text, flush=True)


if __name__ == "__main__":
    main()
