"""What a model-based search needs of a model."""

import abc
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from agnet.runtime.representation import ShortRepr


@dataclass
class Posterior:
    """What a model believes of some candidates, independently for every output.

    Attributes:
        mean: expected outputs.
        std: uncertainty of the outputs, without noise of a measurement.
    """

    mean: Float[Tensor, "n outputs"]
    std: Float[Tensor, "n outputs"]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(candidates: {len(self.mean)}, outputs: {self.mean.shape[1]})"

    def believe(self, row: int) -> None:
        """Take a candidate as if measured at its mean, so that the next of a batch is chosen in its knowledge.

        The candidate becomes certain; a model that knows how candidates are related makes those like it more certain.
        """
        self.std[row] = 1e-6


class AbstractModel(ShortRepr, abc.ABC):
    """Predicts outputs (on a transformed scale of mean 0 and spread 1) from features of mean 0 and spread 1."""

    @abc.abstractmethod
    def fit(self, features: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Learn from scratch: what is predicted next depends on these arguments only."""

    @abc.abstractmethod
    def predict(self, features: Float[Tensor, "n features"]) -> Posterior:
        """What is believed of candidates."""
