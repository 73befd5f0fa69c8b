"""The paper's surrogate: a plain perceptron on the flattened graph.

Source: Lukasik et al., 2022, section 3.2. Difference: it reads probabilities, not raw scores, so that real and decoded
graphs are on the same scale.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet.optimizers.weighted_retraining.surrogate import DifferentiableSurrogate


class MLPSurrogate(DifferentiableSurrogate):
    """A perceptron with hidden layers as wide as the input and ReLU activations.

    Args:
        num_features: length of a flattened graph.
        num_outputs: number of predicted columns.
        hidden_layers: number of hidden layers.
    """

    def __init__(self, num_features: int, num_outputs: int, hidden_layers: int = 4) -> None:
        super().__init__(num_features, num_outputs)
        layers: list[nn.Module] = []
        for _ in range(hidden_layers):
            layers += [nn.Linear(num_features, num_features, device="cpu", dtype=torch.float32), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(num_features, num_outputs, device="cpu", dtype=torch.float32))

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Standardised predictions."""
        return self.layers(features)
