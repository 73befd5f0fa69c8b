"""The networks that pairs of DARTS cells stand for: from a genotype to a classifier of CIFAR-10 or ImageNet."""

from evaluation.networks.darts.network import DARTSNetwork, DARTSShape, Logits, staged_network
from evaluation.networks.darts.published import read_architecture

__all__ = ["DARTSNetwork", "DARTSShape", "Logits", "read_architecture", "staged_network"]
