"""Number of parameters: the baseline of every training-free measure."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.networks.cost import parameters_of


def num_parameters(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    """Trainable parameters; to be maximised as a proxy of accuracy.

    Source: Abdelfattah et al., 2021, https://arxiv.org/abs/2101.08134, compare with it.

    Args:
        network: a module with parameters.
        images: ignored by this measure.
        labels: ignored by this measure.
    """
    return float(parameters_of(network))
