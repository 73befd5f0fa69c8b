"""Predictors of outcomes from features of cells, with uncertainty."""

from agnet.models.base import AbstractModel, Posterior
from agnet.models.gaussian_process import GaussianProcess

__all__ = ["AbstractModel", "GaussianProcess", "Posterior"]
