"""Surrogates: differentiable predictors of objective values from graphs."""

from agnet.surrogate.base import AbstractSurrogate
from agnet.surrogate.mlp import MLPSurrogate

__all__ = ["AbstractSurrogate", "MLPSurrogate"]
