"""What weighted retraining needs of a surrogate."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AbstractSurrogate(nn.Module, abc.ABC):
    """Predicts outputs of graphs: the objectives' values, then the limits' slacks.

    It reads a graph as numbers: type probabilities of every node followed by presence of every edge slot. For a real
    graph these are zeros and ones (:meth:`agnet.spaces.graphs.Graphs.relaxed`), for a decoded one soft values.

    Args:
        num_features: ``N K + N (N - 1) / 2``.
        num_outputs: columns predicted.
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
        self.register_buffer("mean", torch.zeros(num_outputs))
        self.register_buffer("std", torch.ones(num_outputs))

    @abc.abstractmethod
    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Standardised predictions."""

    def calibrate(self, outputs: Float[Tensor, "n outputs"]) -> None:
        """Set the scale of the targets to that of all outputs seen."""
        self.mean = outputs.mean(dim=0).to(self.mean)
        self.std = outputs.std(dim=0, correction=0).clamp(min=1e-9).to(self.std)

    def targets(self, outputs: Float[Tensor, "n outputs"]) -> Float[Tensor, "n outputs"]:
        """Outputs on the scale of :meth:`forward`."""
        return ((outputs - self.mean) / self.std).to(torch.get_default_dtype())

    @torch.no_grad()
    def predict(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "n outputs"]:
        """Predictions in the units of the outputs."""
        return self(features) * self.std + self.mean


class FittedSurrogate(AbstractSurrogate):
    """A model that is fitted anew to all that is known whenever the generator was retrained; it guides nothing."""

    @abc.abstractmethod
    def fit(self, features: Float[Tensor, "n features"], outputs: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Learn all columns from scratch: what is predicted next depends on these arguments only."""
