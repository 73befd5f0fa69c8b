"""Models that predict outcomes, with uncertainty, from features of cells."""

from agnet.surrogates.base import AbstractModel, Posterior
from agnet.surrogates.gaussian_process import GaussianProcess

__all__ = ["AbstractModel", "GaussianProcess", "Posterior"]
