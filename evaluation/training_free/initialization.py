"""Initial weights as TE-NAS intended them; its own code does not recognise the name and keeps the framework's."""

import torch
from torch import nn


def initialize(network: nn.Module, *, seed: int) -> None:
    """Draw the weights of every convolution and linear layer; in place.

    Normal with variance ``2 / fan_in``; biases zero, normalisations the identity with fresh statistics.

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852; Chen, Gong & Wang, 2021, https://arxiv.org/abs/2102.11535.

    Args:
        network: any module; parameters of other kinds of layers stay as they are.
        seed: equal seeds give equal weights in equal networks.
    """
    rng = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu", generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
