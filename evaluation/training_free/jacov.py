"""Covariance of the Jacobian: how independently the output follows different images."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

OFFSET = 1e-5
"""Added to the eigenvalues, as in the paper's code."""


def jacobian_score(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Score of the correlations between the images' gradients of the summed logits; to be maximised.

    .. math:: -\sum_i \left( \log(\lambda_i + k) + \frac{1}{\lambda_i + k} \right)

    ``lambda_i`` are the eigenvalues of the correlation matrix; the score is highest where gradients are uncorrelated.

    Source: Mellor et al., 2020, https://arxiv.org/abs/2006.04647, first version.

    Args:
        network: any module; a copy runs, in train mode.
        images: some that differ.
        labels: ignored by this measure.

    Returns:
        The score; that of equal gradients where an image has none.
    """
    leaf = images.detach().clone().requires_grad_()
    [gradient] = torch.autograd.grad(
        copy.deepcopy(network).train()(leaf).sum(), leaf, allow_unused=True, materialize_grads=True
    )
    rows = gradient.flatten(1).double()
    rows = rows - rows.mean(dim=1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        correlations = torch.ones(len(rows), len(rows), dtype=torch.float64)
    else:
        correlations = (rows / norms) @ (rows / norms).T
    eigenvalues = torch.linalg.eigvalsh(correlations).clamp(min=0) + OFFSET
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())
