"""Models of the baselines; the Gaussian process that they share with the method is in :mod:`agnet.surrogates`."""

from search.baselines.models.networks import NetworkEnsemble
from search.baselines.models.trees import BoostedTrees

__all__ = ["BoostedTrees", "NetworkEnsemble"]
