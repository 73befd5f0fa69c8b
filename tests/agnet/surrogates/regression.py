"""Something to learn for every model."""

import torch
from torch import Tensor


def data(n: int = 120, columns: int = 6) -> tuple[Tensor, Tensor]:
    """Two smooth outputs of random features."""
    features = torch.randn(n, columns, generator=torch.Generator().manual_seed(5))
    outputs = torch.stack(
        [features[:, 0] + features[:, 1].sin(), features[:, 2] - 0.5 * features[:, 0]], dim=1
    ).double()
    return features, (outputs - outputs.mean(dim=0)) / outputs.std(dim=0)
