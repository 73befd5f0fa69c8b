"""Number of linear regions: how finely a network's rectifiers divide the space of its inputs."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.training_free.rectifiers import open_rectifiers


def num_regions(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    """Number of distinct patterns of open rectifiers over a batch; to be maximised.

    A batch cannot show more regions than it has images: take a thin network and small images, as the paper does.

    Source: Chen, Gong & Wang, 2021, TE-NAS, https://arxiv.org/abs/2102.11535, section 3.1.2.

    Args:
        network: any module with rectifiers; a copy runs, in train mode.
        images: images, or noise in their place.
        labels: ignored by this measure.

    Raises:
        InvalidInput: if the network calls no rectifier.
    """
    patterns = open_rectifiers(network, images)
    return float(len({row.tobytes() for row in patterns.numpy()}))
