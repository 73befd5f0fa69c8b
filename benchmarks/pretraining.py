"""What does pretraining cost, with its assessment?

``python -m benchmarks.pretraining`` runs the published pairing and the default. The 2022 code takes about 3,200 CPU-s
of training and 6,000 of evaluation, quoted from the project's specification, not run here.
"""

import math

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from agnet.generator.model import GraphGenerator
from agnet.generator.pretrain import pretrain
from agnet.generator.quality import assess
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from benchmarks.timing import cpu_seconds, line, one_thread

REFERENCE_SECONDS = 9_000


def measure(*overrides: str) -> tuple[list[float], list[float], dict[str, int | float]]:
    """CPU seconds, losses and assessment of one pretraining."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("pretrain", overrides=["out=unused", *overrides])
    space, rng = NASBench201(), torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GraphGenerator(space.num_types, space.max_nodes)
    losses: list[float] = []
    found: dict[str, int | float] = {}

    def work() -> None:
        losses.extend(pretrain(model, space, instantiate(cfg.schedule), instantiate(cfg.pairing), rng=rng))
        found.update(assess(model, space, rng=rng))

    return cpu_seconds(work, runs=1, warmup=0), losses, found


def expected_distinct(draws: int, size: int) -> float:
    """Expected number of distinct cells among ``draws`` uniform draws from ``size`` cells.

    Example:
        >>> round(expected_distinct(10_000, 15_625))
        7386
    """
    return size * -math.expm1(draws * math.log1p(-1 / size))


def main() -> None:
    """Print the cost, the loss along the way, and the assessment."""
    one_thread()
    floor, expected = 6 * math.log(5) / 8, expected_distinct(10_000, NASBench201().size)
    for name, overrides in {
        "as published, to the loss floor": ("pairing=noise", "schedule.steps=2500"),
        "with places (the default)": (),
    }.items():
        seconds, losses, found = measure(*overrides)
        print(line(name, seconds), f" {REFERENCE_SECONDS / seconds[0]:.0f}x the quoted 2022 code")
        for step in (0, 100, 300, 1000, len(losses) - 50):
            window = losses[step : step + 50]
            print(f"  loss at step {step:5d}: {sum(window) / len(window):.4f} (floor without information {floor:.4f})")
        print(f"  {found}; a uniform sampler gives {expected:.0f} distinct")


if __name__ == "__main__":
    main()
