"""Corruptions: one file of a run is damaged, then read, or the same command runs again."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.reliability import evaluated, searched
from benchmarks.reliability.damage import draw
from benchmarks.reliability.frame import Campaign, Case
from benchmarks.reliability.subject import Reference, Subject


def subjects() -> list[Subject]:
    """Everything that this project reads back."""
    return [*searched.subjects(), *evaluated.subjects()]


def drawn(references: Sequence[Reference], rng: random.Random, count: int) -> list[Case]:
    """Distinct cases.

    Args:
        references: what is damaged; each is drawn as often as its weight says.
        rng: draws file, kind and place.
        count: number of cases.
    """
    cases: dict[str, Case] = {}
    weights = [reference.subject.weight for reference in references]
    while len(cases) < count:
        (reference,) = rng.choices(references, weights)
        file = rng.choice(reference.subject.files)
        case = reference.case(file, draw(rng, file, replaceable=reference.subject.replaceable))
        cases.setdefault(case.name, case)
    return list(cases.values())


def _cases(rng: random.Random, count: int, shared: Path) -> Sequence[Case]:
    torch.set_num_threads(1)  # a process that has used several threads must not fork
    return drawn([Reference.built(subject, shared) for subject in subjects()], rng, count)


CORRUPTIONS = Campaign("corrupted files", 2000, _cases)
