"""Costs of networks: columns of the table, or counts from the cell's string."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float

from agnet.spaces.nasbench201 import parse, to_string
from evaluation.networks.nasbench201 import NetworkShape, count_macs, count_parameters

COUNTS = ("parameters", "macs", "params_m", "flops_m")
"""Columns that hold for every data set."""

_UNITS = ("_ms", "_mj")
_IMAGE_SIZE = 32


def is_cost(name: str, dataset: str) -> bool:
    """Whether a column is what a network of a data set costs: a count, a latency or an energy.

    Example:
        >>> is_cost("parameters", "digits"), is_cost("digits_cpu_latency_ms", "digits"), is_cost("isomorph", "digits")
        (True, True, False)
    """
    return name in COUNTS or (name.startswith(f"{dataset}_") and name.endswith(_UNITS))


def count_costs(architectures: Sequence[str]) -> dict[str, Float[np.ndarray, " cells"]]:
    """Parameters and multiply-accumulates of NAS-Bench-201's CIFAR-10 networks, dead edges included.

    Both grow by the same amount with every convolution of one size, so three networks tell all.

    Example:
        >>> cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|skip_connect~1|avg_pool_3x3~2|"
        >>> count_costs([cell])["parameters"].tolist() == [count_parameters(cell, NetworkShape())]
        True
    """
    numbers = np.array([[parse(a).count(op) for op in ("nor_conv_3x3", "nor_conv_1x1")] for a in architectures])
    return {name: none + numbers @ np.array(added) for name, (none, *added) in _counts().items()}


@cache
def _counts() -> dict[str, tuple[float, float, float]]:
    """Costs of the network without convolutions, and what a 3x3 and a 1x1 convolution in the cell add."""
    shape = NetworkShape()
    found = {}
    for name, count in (
        ("parameters", lambda cell: count_parameters(cell, shape)),
        ("macs", lambda cell: count_macs(cell, shape, _IMAGE_SIZE)),
    ):
        none, three, one = (count(to_string([op, *["none"] * 5])) for op in ("none", "nor_conv_3x3", "nor_conv_1x1"))
        found[name] = (float(none), float(three - none), float(one - none))
    return found
