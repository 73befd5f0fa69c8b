"""Surrogates: predictors of objective values and slacks from graphs."""

from agnet.surrogate.base import AbstractSurrogate, DifferentiableSurrogate, FittedSurrogate
from agnet.surrogate.mlp import MLPSurrogate
from agnet.surrogate.trees import XGBoostSurrogate

__all__ = ["AbstractSurrogate", "DifferentiableSurrogate", "FittedSurrogate", "MLPSurrogate", "XGBoostSurrogate"]
