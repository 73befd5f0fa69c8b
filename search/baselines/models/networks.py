"""An ensemble of small perceptrons, trained side by side.

Source: White et al., 2021, BANANAS, https://arxiv.org/abs/1910.11858: five networks, mean absolute error.
"""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.runtime.gradients import with_gradients
from agnet.surrogates.base import AbstractModel, Posterior


class NetworkEnsemble(AbstractModel):
    """Perceptrons that differ in their initial weights; their spread is the uncertainty.

    All are trained at once, on all rows, as one batched product per layer.

    Args:
        members: number of networks.
        width: size of the hidden layers.
        layers: number of hidden layers.
        steps: number of AdamW steps.
        learning_rate: initial learning rate, which falls to zero along a cosine.
        weight_decay: weight decay of AdamW.
    """

    def __init__(
        self,
        members: int = 5,
        width: int = 64,
        layers: int = 2,
        steps: int = 150,
        learning_rate: float = 0.01,
        weight_decay: float = 0.01,
    ) -> None:
        self.members, self.width, self.layers = members, width, layers
        self.steps, self.learning_rate, self.weight_decay = steps, learning_rate, weight_decay
        self._weights: list[Tensor] = []

    @with_gradients
    def fit(self, features: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], *, seed: int) -> None:
        """Train all members from new weights."""
        rng = torch.Generator().manual_seed(seed)
        sizes = [features.shape[1], *[self.width] * self.layers, targets.shape[1]]
        self._weights = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            drawn = torch.randn(
                self.members, fan_in, fan_out, generator=rng, dtype=torch.float32, device="cpu"
            ) * math.sqrt(2 / max(fan_in, 1))
            self._weights += [
                drawn.requires_grad_(),
                torch.zeros(self.members, 1, fan_out, requires_grad=True, dtype=torch.float32, device="cpu"),
            ]
        rows, outputs = features.float(), targets.float()
        optimizer = torch.optim.AdamW(self._weights, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            optimizer.zero_grad()
            loss = (self._outputs(rows) - outputs).abs().mean(dim=(1, 2)).sum()
            loss.backward()
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def predict(self, features: Float[Tensor, "n features"]) -> Posterior:
        """Mean and standard deviation of the members."""
        outputs = self._outputs(features.float())
        return Posterior(outputs.mean(dim=0), outputs.std(dim=0, correction=0).clamp(min=1e-6))

    def _outputs(self, features: Float[Tensor, "n features"]) -> Float[Tensor, "members n outputs"]:
        hidden = features.expand(self.members, -1, -1)
        for layer, (weight, bias) in enumerate(zip(self._weights[::2], self._weights[1::2], strict=True)):
            hidden = torch.baddbmm(bias, hidden.relu() if layer else hidden, weight)
        return hidden
