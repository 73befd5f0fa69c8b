"""A stack as matrices gives the stack's logits, and their gradients at the images."""

from itertools import islice

import pytest
import torch

from agnet.spaces.nasbench201 import NASBench201
from evaluation.networks.compiled_stack import CompiledStack
from evaluation.networks.nasbench201 import NetworkShape
from evaluation.networks.stacked import NetworkStack

CONSTANT = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.mark.parametrize(("size", "channels", "cells"), [(8, 2, 1), (4, 3, 2)])
def test_logits_and_gradients_are_the_stacks(size: int, channels: int, cells: int) -> None:
    architectures = [*islice(NASBench201().sample(12, rng=torch.Generator().manual_seed(0)), 12), CONSTANT]
    shape = NetworkShape(5, 3, channels, cells, (0.3, 0.5, 0.4), (0.2, 0.3, 0.4))
    stack = NetworkStack(architectures, shape, seed=1).double()
    rng = torch.Generator().manual_seed(2)
    images = torch.rand(6, len(stack), 3, size, size, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        for parameter in stack.parameters():  # normalisations as training leaves them
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
        stack.train()(images)
    stack.eval().requires_grad_(False)
    compiled, images = CompiledStack(stack, size), images.requires_grad_()
    direction = torch.randn(6, len(stack), 5, generator=rng, dtype=torch.float64)
    found, wanted = (
        (logits := ask(images), torch.autograd.grad(logits, images, direction)[0]) for ask in (compiled, stack)
    )
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
