"""What weighted retraining needs of a surrogate."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractSurrogate(nn.Module, abc.ABC):
    """Predicts standardised objective values of graphs, differentiably.

    It reads a graph as numbers: type probabilities of every node followed by presence of every edge slot. For a real
    graph these are zeros and ones (:meth:`agnet.graphs.Graphs.features`), for a decoded one soft values.

    Args:
        num_features: ``N K + N (N - 1) / 2``.
        num_objectives: columns predicted.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_features: int, num_objectives: int) -> None:
        super().__init__()
        self.num_features, self.num_objectives = num_features, num_objectives
        self.register_buffer("mean", torch.zeros(num_objectives))
        self.register_buffer("std", torch.ones(num_objectives))

    @abc.abstractmethod
    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch objectives"]:
        """Standardised predictions."""

    def calibrate(self, values: Float[Tensor, "n objectives"]) -> None:
        """Set the scale of the targets to that of all values seen."""
        self.mean = values.mean(dim=0).to(self.mean)
        self.std = values.std(dim=0, correction=0).clamp(min=1e-9).to(self.std)

    def targets(self, values: Float[Tensor, "n objectives"]) -> Float[Tensor, "n objectives"]:
        """Values on the scale of :meth:`forward`."""
        return ((values - self.mean) / self.std).to(torch.get_default_dtype())

    @torch.no_grad()
    def predict(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "n objectives"]:
        """Predictions in the units of the values."""
        return self(features) * self.std + self.mean
