"""AG-Net as published: its optimizer, its surrogates, and how a batch is selected."""

from agnet.optimizers.weighted_retraining.mlp import MLPSurrogate
from agnet.optimizers.weighted_retraining.optimizer import PublishedRetraining, WeightedRetraining
from agnet.optimizers.weighted_retraining.surrogate import AbstractSurrogate, DifferentiableSurrogate, FittedSurrogate
from agnet.optimizers.weighted_retraining.xgboost import XGBoostSurrogate

__all__ = [
    "AbstractSurrogate",
    "DifferentiableSurrogate",
    "FittedSurrogate",
    "MLPSurrogate",
    "PublishedRetraining",
    "WeightedRetraining",
    "XGBoostSurrogate",
]
