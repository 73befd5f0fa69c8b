import torch

from evaluation.networks.latency import latency_ms
from evaluation.networks.nasbench201 import NetworkShape

DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SHAPE = NetworkShape(num_classes=10, in_channels=1, channels=2, cells_per_stage=1, mean=0.3, std=0.4)


def test_latency_is_a_positive_time_and_leaves_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert latency_ms(DEAD, SHAPE, 8, repeats=2) > 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
