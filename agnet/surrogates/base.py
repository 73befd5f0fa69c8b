"""The interface between a model-based search and its model."""

import abc
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from agnet.runtime.representation import ShortRepr


@dataclass
class Posterior:
    """A model's beliefs about candidates, independent for every output.

    Attributes:
        mean: expected value of every output.
        std: standard deviation of the outputs, without the noise of a measurement.
    """

    mean: Float[Tensor, "n outputs"]
    std: Float[Tensor, "n outputs"]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(candidates: {len(self.mean)}, outputs: {self.mean.shape[1]})"

    def believe(self, row: int) -> None:
        """Treat a candidate as measured at its mean, so that the next pick of a batch takes it into account.

        The candidate becomes certain. A model that relates candidates also becomes more certain of similar ones.
        """
        self.std[row] = 1e-6


class AbstractModel(ShortRepr, abc.ABC):
    """Predicts outputs (on a transformed scale of mean 0 and spread 1) from features of mean 0 and spread 1."""

    @abc.abstractmethod
    def fit(self, features: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Learn from scratch; later predictions depend on these arguments only."""

    @abc.abstractmethod
    def predict(self, features: Float[Tensor, "n features"]) -> Posterior:
        """Posterior of candidates."""
