"""AG-Net's XGBoost variants: gradient-boosted trees on the flattened graph, fitted to values or to ranks.

Source: Lukasik et al., 2022, section 4; parameters from their code.
"""

import numpy as np
import torch
import xgboost
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.optimizers.weighted_retraining.surrogate import FittedSurrogate

OBJECTIVES = ("reg:squarederror", "rank:pairwise")


class XGBoostSurrogate(FittedSurrogate):
    """One ensemble of trees per output.

    Args:
        num_features: length of a flattened graph.
        num_outputs: number of predicted columns.
        objective: ``reg:squarederror`` fits standardised outputs. ``rank:pairwise`` fits their order (LambdaMART); its
            scores are rescaled to the mean and spread of the outputs that it was fitted to.
        boosting_rounds: number of trees per output.
        max_depth: largest depth of a tree.
        learning_rate: shrinkage of a tree.
    """

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        objective: str = "reg:squarederror",
        boosting_rounds: int = 500,
        max_depth: int = 6,
        learning_rate: float = 0.3,
    ) -> None:
        super().__init__(num_features, num_outputs)
        if objective not in OBJECTIVES:
            raise ConfigurationError(f"surrogate objective {objective!r}; choose one of {', '.join(OBJECTIVES)}")
        self.boosting_rounds = boosting_rounds
        self.parameters_ = {
            "objective": objective,
            "max_depth": max_depth,
            "learning_rate": learning_rate,
            "min_child_weight": 1,
            "nthread": 1,
            "verbosity": 0,
        }
        self._trees: list[tuple[xgboost.Booster, float, float]] = []

    def fit(self, features: Float[Tensor, "n features"], outputs: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Boost from scratch, output by output."""
        rows = features.numpy()
        self._trees = []
        for column in outputs.double().numpy().T:
            mean, scale = float(column.mean()), float(column.std()) or 1.0
            ranked = self.parameters_["objective"] == "rank:pairwise"
            # labels are ranks: LambdaMART's gains grow exponentially with labels by default, so use them unchanged
            labels = np.unique(column, return_inverse=True)[1] if ranked else (column - mean) / scale
            data = xgboost.DMatrix(rows, label=labels)
            extra = {"ndcg_exp_gain": False} if ranked else {}
            if ranked:
                data.set_group([len(rows)])
            trees = xgboost.train(
                {**self.parameters_, **extra, "seed": seed}, data, num_boost_round=self.boosting_rounds
            )
            if ranked:  # scores have no scale
                scores = trees.predict(data)
                spread = float(scores.std()) or 1.0
                mean, scale = mean - scale * float(scores.mean()) / spread, scale / spread
            self._trees.append((trees, mean, scale))

    @torch.no_grad()
    def predict(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "n outputs"]:
        """Predictions in the units of the outputs."""
        data = xgboost.DMatrix(features.numpy())
        columns = [torch.from_numpy(trees.predict(data)) * scale + mean for trees, mean, scale in self._trees]
        return torch.stack(columns, dim=1)
