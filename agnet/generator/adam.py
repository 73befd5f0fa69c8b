"""Adam for the small networks of a search.

Source: Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980. The steps are those of :class:`torch.optim.Adam`, bit
for bit, taken by torch's own kernel. What differs is the frame around it: the class imports torch's compiler at its
first use, which takes longer than a tenth of a whole search, and no search compiles anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from agnet.runtime.gradients import with_gradients

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Adam:
    """Adam without weight decay.

    Args:
        parameters: tensors to optimise, in a fixed order.
        learning_rate: step size; it may be changed between steps.
        betas: decay rates of the two moments.
        fused: update all tensors in one kernel. Its rounding differs from that of separate operations.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        betas: Sequence[float] = (0.9, 0.999),
        *,
        fused: bool = True,
    ) -> None:
        self.parameters, self.learning_rate, self.betas, self.fused = list(parameters), learning_rate, betas, fused
        self._moments: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        rows = [(i, p, p.grad) for i, p in enumerate(self.parameters) if p.grad is not None]
        moments = [self._moments.setdefault(i, _zeros(p)) for i, p, _ in rows]
        adam(
            [p for _, p, _ in rows],
            [grad for _, _, grad in rows],
            [m["exp_avg"] for m in moments],
            [m["exp_avg_sq"] for m in moments],
            [],
            [m["step"] for m in moments],
            foreach=False,
            fused=self.fused,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The moments, as :class:`torch.optim.Adam` names them."""
        return {"state": {i: dict(moments) for i, moments in self._moments.items()}}

    @with_gradients
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`, or from that of :class:`torch.optim.Adam`."""
        self._moments = {i: {name: kept[name].clone() for name in _MOMENTS} for i, kept in state["state"].items()}


def _zeros(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
    }
