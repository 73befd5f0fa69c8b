"""Gradient norm: how strongly the first step of training would move every layer."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.training_free.gradients import of_weights


def gradient_norm(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Sum over the layers of the Euclidean norm of the gradient; to be maximised.

    .. math:: \sum_l \left\| \frac{\partial L}{\partial \theta_l} \right\|_2

    ``L`` is the mean cross-entropy of the batch, ``theta_l`` the weights of layer ``l`` (no biases, no normalisations).

    Source: Abdelfattah et al., 2021, https://arxiv.org/abs/2101.08134, section 3.1.

    Args:
        network: any module; a copy runs, in train mode.
        images: one batch of images.
        labels: true class of every image.
    """
    return float(sum(gradient.double().norm() for _, gradient in of_weights(network, images, labels)))
