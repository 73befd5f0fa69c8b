"""Malicious files: whatever they hold, nothing runs, and nothing is written elsewhere or without bounds."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.reliability import hostile_evaluated, hostile_searched
from benchmarks.reliability.frame import Campaign, Case


def _cases(rng: random.Random, count: int, shared: Path) -> Sequence[Case]:
    """All there are if they are not more than asked for, else some of them, drawn."""
    torch.set_num_threads(1)  # a process that has used several threads must not fork
    hostile = [case.case() for cases in (hostile_searched.cases, hostile_evaluated.cases) for case in cases(shared)]
    rng.shuffle(hostile)
    return hostile[:count]


MALICIOUS = Campaign("malicious files", 80, _cases)
