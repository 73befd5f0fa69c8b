"""Predictors of outcomes from features of cells, with uncertainty."""

from agnet.surrogates.base import AbstractModel, Posterior
from agnet.surrogates.gaussian_process import GaussianProcess

__all__ = ["AbstractModel", "GaussianProcess", "Posterior"]
