"""Predictors of outcomes from features, with uncertainty."""

from search.baselines.models.base import AbstractModel, Posterior
from search.baselines.models.gaussian_process import GaussianProcess
from search.baselines.models.networks import NetworkEnsemble
from search.baselines.models.trees import BoostedTrees

__all__ = ["AbstractModel", "BoostedTrees", "GaussianProcess", "NetworkEnsemble", "Posterior"]
