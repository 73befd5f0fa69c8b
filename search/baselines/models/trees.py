"""Several ensembles of gradient-boosted trees.

Source: Chen & Guestrin, 2016, XGBoost, https://arxiv.org/abs/1603.02754.
"""

import torch
import xgboost
from jaxtyping import Float
from torch import Tensor

from agnet.surrogates.base import AbstractModel, Posterior


class BoostedTrees(AbstractModel):
    """Ensembles of boosted trees that differ in the rows and columns they draw; their spread is the uncertainty.

    Args:
        members: number of ensembles.
        boosting_rounds: number of trees per ensemble.
        max_depth: largest depth of a tree.
        learning_rate: shrinkage of a tree.
        subsample: share of the rows that a tree sees.
        colsample: share of the columns that a tree sees.
    """

    def __init__(
        self,
        members: int = 5,
        boosting_rounds: int = 60,
        max_depth: int = 4,
        learning_rate: float = 0.15,
        subsample: float = 0.8,
        colsample: float = 0.3,
    ) -> None:
        self.members, self.boosting_rounds = members, boosting_rounds
        self.parameters_ = {
            "max_depth": max_depth,
            "learning_rate": learning_rate,
            "subsample": subsample,
            "colsample_bytree": colsample,
            "max_bin": 64,  # most features are counts with few values
            "base_score": 0.0,  # targets are standardised
            "nthread": 1,
            "verbosity": 0,
        }
        self._boosters: list[list[xgboost.Booster]] = []

    def fit(self, features: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Boost all members of all outputs from scratch."""
        data = xgboost.QuantileDMatrix(features.float().numpy(), nthread=1, max_bin=self.parameters_["max_bin"])
        self._boosters = []
        for column in targets.double().T:
            data.set_label(column.numpy())
            seeds = [(seed + member) % 2**31 for member in range(self.members)]
            self._boosters.append(
                [
                    xgboost.train({**self.parameters_, "seed": s}, data, num_boost_round=self.boosting_rounds)
                    for s in seeds
                ]
            )

    def predict(self, features: Float[Tensor, "n features"]) -> Posterior:
        """Mean and standard deviation of the members."""
        rows = features.float().numpy()
        outputs = [
            torch.stack([torch.from_numpy(booster.inplace_predict(rows)) for booster in boosters])
            for boosters in self._boosters
        ]
        members = torch.stack(outputs, dim=2)
        return Posterior(members.mean(dim=0), members.std(dim=0, correction=0).clamp(min=1e-6))
