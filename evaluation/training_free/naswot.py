"""NASWOT: how differently a network's rectifiers see different images."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.training_free.rectifiers import open_rectifiers

LEAST = 1e-6
"""Eigenvalues of the kernel count as at least this: images with equal codes give a low number instead of -inf."""


def log_determinant(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Logarithm of the determinant of the kernel of binary codes; to be maximised.

    .. math:: \log |\det K|, \qquad K_{ij} = N - d_H(c_i, c_j)

    ``c_i`` are the ``N`` rectifiers' states for image ``i``, ``d_H`` counts where two differ.

    Source: Mellor et al., 2021, NAS without training, https://arxiv.org/abs/2006.04647, equation 2.

    Args:
        network: any module with rectifiers; a copy runs, in train mode.
        images: some that differ.
        labels: ignored by this measure.

    Raises:
        InvalidInput: if the network calls no rectifier.
    """
    codes = open_rectifiers(network, images).float()
    agreeing = codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(torch.linalg.eigvalsh(agreeing.double()).clamp(min=LEAST).log().sum())
