"""Robust NTK: how evenly adversarial training would learn the images."""

import copy

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.training_free.gradients import perturbed
from evaluation.training_free.ntk import condition, kernel


class _Both(nn.Module):
    """Mean of a network's logits of the images it is given and of their perturbed copies."""

    def __init__(self, network: nn.Module, copies: Float[Tensor, "batch channels height width"]) -> None:
        super().__init__()
        self.network, self.copies = network, copies

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        return (self.network(images) + self.network(self.copies)) / 2


def robust_condition_number(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    *,
    eps_255: int | float = 8.0,
) -> float:
    r"""Condition number of the tangent kernel of clean and adversarial training together; to be minimised.

    .. math:: \frac{\lambda_{max}(K)}{\lambda_{min}(K)}, \qquad
        K_{ij} = \tfrac14 \left( g_i + \hat g_i \right)^T \left( g_j + \hat g_j \right)

    ``g_i`` is the gradient of the sum of image ``i``'s logits as in :func:`evaluation.condition_number`, ``g_i`` with a
    hat that of the image moved by one step of FGSM. ``K`` is the sum of the kernel of the images, the kernel of the
    moved ones and both kernels between them, with which Wu et al. describe training on equal shares of both losses.
    Their bounds have its smallest eigenvalue, which depends on the size of the initial weights; the condition number
    does not.

    Source: Wu et al., 2024, NAS-RobBench-201, https://arxiv.org/abs/2403.13134, section 4.

    Args:
        network: any module; a copy runs, in train mode.
        images: two images in [0, 1] or more.
        labels: true class of every image.
        eps_255: radius of the perturbation in pixels, in units of 1/255.

    Returns:
        The condition number, at most :data:`evaluation.training_free.ntk.SINGULAR`, which stands for singular kernels
        and such that are not numbers.

    Raises:
        ConfigurationError: if the radius is negative or no number.
    """
    network = copy.deepcopy(network).train()
    return condition(kernel(_Both(network, perturbed(network, images, labels, eps_255=eps_255)), images))
