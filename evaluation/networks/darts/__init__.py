"""Classifiers of CIFAR-10 and ImageNet built from pairs of DARTS cells."""

from evaluation.networks.darts.network import DARTSNetwork, DARTSShape, Logits, staged_network
from evaluation.networks.darts.published import read_architecture

__all__ = ["DARTSNetwork", "DARTSShape", "Logits", "read_architecture", "staged_network"]
