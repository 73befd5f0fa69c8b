"""SNIP: how much the loss hangs on every weight."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.training_free.gradients import of_weights


def connection_sensitivity(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Sum of the sensitivities of all weights; to be maximised.

    .. math:: \sum_\theta \left| \theta \, \frac{\partial L}{\partial \theta} \right|

    ``L`` is the mean cross-entropy of the batch, ``theta`` the weights of layers (no biases, no normalisations).

    Source: Lee et al., 2019, https://arxiv.org/abs/1810.02340; as a measure of architectures: Abdelfattah et al., 2021,
    https://arxiv.org/abs/2101.08134.

    Args:
        network: any module; a copy runs, in train mode.
        images: one batch of images.
        labels: true class of every image.
    """
    terms = [(weight * gradient).double().abs().sum() for weight, gradient in of_weights(network, images, labels)]
    return float(sum(terms))
