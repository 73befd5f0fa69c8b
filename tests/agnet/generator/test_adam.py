import subprocess
import sys

import pytest
import torch
from torch import Tensor

from agnet.generator.adam import Adam
from agnet.runtime.paths import ROOT

BETAS = (0.5, 0.999)


def gradients(parameters: list[Tensor], step: int) -> None:
    """Gradients of a step; the last parameter has none in the first."""
    rng = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=rng)
    if step == 0:
        parameters[-1].grad = None


@pytest.mark.parametrize("fused", [True, False])
def test_steps_are_those_of_torch(fused: bool) -> None:
    """Bit for bit, also after either has taken over the other's moments and with another learning rate."""
    start = [torch.randn(5, 3), torch.randn(7), torch.randn(())]
    ours = [tensor.clone().requires_grad_() for tensor in start]
    theirs = [tensor.clone().requires_grad_() for tensor in start]
    mine, reference = Adam(ours, 0.01, BETAS, fused=fused), torch.optim.Adam(theirs, 0.01, BETAS, fused=fused)
    for step in range(6):
        gradients(ours, step)
        gradients(theirs, step)
        if step == 3:
            fresh = Adam(ours, 0.01, BETAS, fused=fused)
            fresh.load_state_dict(reference.state_dict())
            mine = fresh
            mine.learning_rate = reference.param_groups[0]["lr"] = 0.003
        mine.step()
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), step


def test_a_state_is_a_copy() -> None:
    [parameter] = parameters = [torch.zeros(3, requires_grad=True)]
    adam = Adam(parameters, 0.1)
    gradients([parameter, torch.zeros(1)], 1)
    adam.step()
    kept = Adam(parameters, 0.1)
    kept.load_state_dict(adam.state_dict())
    adam.step()
    assert not torch.equal(adam.state_dict()["state"][0]["exp_avg"], kept.state_dict()["state"][0]["exp_avg"])
    adam.zero_grad()
    assert parameter.grad is None


def test_the_compiler_is_not_imported() -> None:
    """The reason why this class exists."""
    code = (
        "import sys, torch; from agnet.generator.adam import Adam; p = torch.zeros(2, requires_grad=True); "
        "p.sum().backward(); Adam([p], 0.1).step(); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
