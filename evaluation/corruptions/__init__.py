"""The fifteen common corruptions of CIFAR-C at five severities, seeded and batched, and their files.

Source: Hendrycks & Dietterich, 2019, "Benchmarking neural network robustness to common corruptions and perturbations",
https://arxiv.org/abs/1903.12261. ``docs/corruptions.md`` says what differs from the published files.
"""

from evaluation.corruptions.files import CorruptedImages, write_corrupted
from evaluation.corruptions.frost_pictures import FrostPictures, procedural_frost, read_frost
from evaluation.corruptions.generate import CORRUPTIONS, SEVERITIES, Corruption, by_name, corrupt

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "CorruptedImages",
    "Corruption",
    "FrostPictures",
    "by_name",
    "corrupt",
    "procedural_frost",
    "read_frost",
    "write_corrupted",
]
