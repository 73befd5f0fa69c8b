"""Multiply-accumulates: the other baseline of every training-free measure."""

import copy

from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.networks.cost import multiply_accumulates


def num_macs(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    """Multiply-accumulates for one image, which benchmarks print as FLOPs; to be maximised as a proxy of accuracy.

    Source: Abdelfattah et al., 2021, https://arxiv.org/abs/2101.08134, compare with it.

    Args:
        network: any module; a copy without values runs.
        images: only their size counts.
        labels: ignored by this measure.
    """
    return float(multiply_accumulates(copy.deepcopy(network).to("meta"), images[:1].to("meta")))
