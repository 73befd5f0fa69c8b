"""Measure the latency of a network."""

import time

import torch
from torch import Tensor

from evaluation.networks.nasbench201 import CellNetwork, NetworkShape


def latency_ms(architecture: str, shape: NetworkShape, image_size: int, *, repeats: int = 40) -> float:
    """Time of one forward pass of one image, in milliseconds: eager PyTorch, one thread, evaluation mode.

    The minimum over ``repeats`` passes, because other work on the machine only ever adds time.
    """
    network = CellNetwork(architecture, shape).eval()
    image = torch.zeros(1, shape.in_channels, image_size, image_size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network(image)
            return min(_seconds(network, image) for _ in range(repeats)) * 1e3
    finally:
        torch.set_num_threads(threads)


def _seconds(network: CellNetwork, image: Tensor) -> float:
    begin = time.perf_counter()
    network(image)
    return time.perf_counter() - begin
