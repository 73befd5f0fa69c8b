"""AG-Net as published: its optimizer, its surrogates, and the selection of a batch."""

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
