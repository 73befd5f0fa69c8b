"""Surrogates of weighted retraining: the interface and its two kinds."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractSurrogate(nn.Module, abc.ABC):
    """Predicts outputs of graphs: the objectives' values, then the limits' slacks.

    A graph is read as numbers: the type probabilities of every node, then the presence of every edge slot. These are
    zeros and ones for a real graph (:meth:`agnet.spaces.graphs.Graphs.relaxed`) and soft values for a decoded one.

    Args:
        num_features: length of a flattened graph, ``N K + N (N - 1) / 2``.
        num_outputs: number of predicted columns.
    """

    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__()
        self.num_features, self.num_outputs = num_features, num_outputs

    @abc.abstractmethod
    def predict(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "n outputs"]:
        """Predictions in the units of the outputs."""


class DifferentiableSurrogate(AbstractSurrogate):
    """A network that is trained together with the generator and guides it."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__(num_features, num_outputs)
        self.register_buffer("mean", torch.zeros(num_outputs, dtype=torch.float32, device="cpu"))
        self.register_buffer("std", torch.ones(num_outputs, dtype=torch.float32, device="cpu"))

    @abc.abstractmethod
    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Standardised predictions."""

    def calibrate(self, outputs: Float[Tensor, "n outputs"]) -> None:
        """Set the scale of the targets to that of all observed outputs."""
        self.mean = outputs.mean(dim=0).to(self.mean)
        self.std = outputs.std(dim=0, correction=0).clamp(min=1e-9).to(self.std)

    def targets(self, outputs: Float[Tensor, "n outputs"]) -> Float[Tensor, "n outputs"]:
        """Outputs on the scale of :meth:`forward`."""
        return ((outputs - self.mean) / self.std).to(torch.float32)

    @torch.no_grad()
    def predict(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "n outputs"]:
        """Predictions in the units of the outputs."""
        return self(features) * self.std + self.mean


class FittedSurrogate(AbstractSurrogate):
    """A model that is refitted to all data after every retraining of the generator, without guiding it."""

    @abc.abstractmethod
    def fit(self, features: Float[Tensor, "n features"], outputs: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Learn all columns from scratch; later predictions depend on these arguments only."""
