"""Functions that need gradients, for callers who have switched them off."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def with_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """The function runs with gradients, also for a caller under ``torch.no_grad()`` or ``torch.inference_mode()``.

    What it makes can be part of later gradients too. Tensors that are made under inference mode cannot.

    Example:
        >>> @with_gradients
        ... def slope(x: float) -> float:
        ...     at = torch.tensor(x, dtype=torch.float64, device="cpu", requires_grad=True)
        ...     return float(torch.autograd.grad(at.square(), [at])[0])
        >>> with torch.inference_mode():
        ...     slope(2.0)
        4.0
    """

    @wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> R:
        with torch.inference_mode(False), torch.enable_grad():
            return function(*arguments, **named)

    return run
