"""Fair timing on noisy machines: CPU seconds of one thread, over several runs, with ratios within one process."""

import platform
import statistics
import time
from collections.abc import Callable

import torch


def cpu_seconds(work: Callable[[], object], *, runs: int = 5, warmup: int = 1) -> list[float]:
    """CPU seconds of repeated calls.

    Args:
        work: function to time.
        runs: number of timed calls.
        warmup: number of calls before them.
    """
    for _ in range(warmup):
        work()
    seconds = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return seconds


def alternate(works: dict[str, Callable[[], object]], *, runs: int = 5) -> dict[str, list[float]]:
    """CPU seconds of several functions, timed in turn so that the machine's drift affects all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(runs):
        for name, work in works.items():
            seconds[name] += cpu_seconds(work, runs=1, warmup=0)
    return seconds


def line(name: str, seconds: list[float], unit: str = "CPU-s") -> str:
    """Median with range."""
    return f"{name:<46} {statistics.median(seconds):9.3f} {unit}  ({min(seconds):.3f} .. {max(seconds):.3f})"


def one_thread() -> None:
    """Use one thread and print the machine's description."""
    torch.set_num_threads(1)
    print(f"# {platform.machine()}, one thread, torch {torch.__version__}, Python {platform.python_version()}")
