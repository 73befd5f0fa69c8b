"""Square: random search over square-shaped changes, using logits only.

Source: Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049, L-inf variant with the margin loss.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.attacks.base import PUBLISHED_EPS, Pixels, Radii, Slots, SteppedAttack, broadcast, number, whole
from evaluation.attacks.losses import margin
from evaluation.randomness import integers, signs

# up to this query of 10,000, the window's share of the image is the initial one divided by this
SCHEDULE = ((10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (2000, 32), (4000, 64), (6000, 128), (8000, 256))
REDRAWS = 8  # sign triples drawn per proposal; the first that changes a pixel is used


class Square(SteppedAttack):
    """Square attack.

    Args:
        eps: radii in pixels, increasing.
        queries: proposals; one more query is spent on the start.
        initial_share: share of the image that the first windows cover.
        rescale: stretch the window schedule, which is made for 10,000 queries, to ``queries`` (AutoAttack does not).
        windows: ``"per_sample"`` draws a window and signs for every image, and signs again if nothing would change, as
            the paper's code does; ``"shared"`` gives all images of a radius the same windows and signs after the start,
            as AutoAttack does.
        unfooled: the image to report where none is fooled: the ``"clean"`` one or the ``"best"`` found.
        name: prefix of the columns.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    needs_gradient = False

    def __init__(
        self,
        eps: Radii = PUBLISHED_EPS,
        queries: int = 5000,
        *,
        initial_share: int | float = 0.8,
        rescale: bool = False,
        windows: str = "per_sample",
        unfooled: str = "clean",
        name: str = "square",
    ) -> None:
        super().__init__(name, eps)
        whole(name, queries=queries)
        number(name, initial_share=initial_share)
        if initial_share > 1:
            raise ConfigurationError(f"attack {name}: {initial_share=}; give a share within (0, 1]")
        if windows not in ("per_sample", "shared"):
            raise ConfigurationError(f"attack {name}: windows={windows}; give per_sample or shared")
        if unfooled not in ("clean", "best"):
            raise ConfigurationError(f"attack {name}: unfooled={unfooled}; give clean or best")
        self.queries, self.initial_share, self.rescale = queries, initial_share, rescale
        self.windows, self.unfooled = windows, unfooled

    @property
    def evaluations(self) -> int:
        """The start and every proposal."""
        return self.queries + 1

    def start(self, slots: Slots) -> Slots:
        """Vertical stripes of +-eps."""
        inputs, eps = slots["inputs"], broadcast(slots["eps"])
        stripes = signs(slots["keys"], (inputs.shape[1], 1, inputs.shape[3]))
        high, low = (inputs + eps).clamp(max=1), (inputs - eps).clamp(min=0)
        return {
            "point": torch.where(stripes > 0, high, low),
            "best": inputs,
            "best_loss": torch.full_like(slots["eps"], -torch.inf),
            "high": high,
            "low": low,
        }

    def loss(self, logits: Float[Tensor, "slots classes"], slots: Slots) -> Float[Tensor, " slots"]:
        """Minus the margin."""
        return -margin(logits, slots["labels"])

    def update(self, slots: Slots, loss: Float[Tensor, " slots"], gradient: Pixels | None) -> Slots:
        """Keep the proposal if it is better, propose the next."""
        improved = loss > slots["best_loss"]
        best = torch.where(broadcast(improved), slots["point"], slots["best"])
        inputs, eps, keys, step = slots["inputs"], broadcast(slots["eps"]), slots["keys"], slots["step"]
        if self.windows == "shared":
            keys = slots["shared_keys"]
        channels, height, width = inputs.shape[1:]
        schedule = window_sides(
            self.queries, self.initial_share, self.rescale, height=height, width=width, device=step.device
        )
        side = schedule[step]
        stream = 3 * step + 1  # three independent draws for each step (top, left, signs); stream 0 made the stripes
        top = integers(keys, (), (height - side).clamp(min=1), stream=stream)
        left = integers(keys, (), (width - side).clamp(min=1), stream=stream + 1)
        rows, columns = torch.arange(height, device=step.device), torch.arange(width, device=step.device)
        inside = _within(rows, top, side)[:, None, :, None] & _within(columns, left, side)[:, None, None, :]
        if self.windows == "shared":
            sign = signs(keys, (channels, 1, 1), stream=stream + 2).to(inputs)
            # from a corner of the ball, 2 eps reach the opposite corner or leave the ball, and are projected back
            proposal = best + torch.where(inside, 2 * eps * sign, 0.0)
            proposal = torch.minimum(torch.maximum(proposal, inputs - eps), inputs + eps).clamp(0, 1)
        else:
            high, low = slots["high"], slots["low"]
            # a window that already has its signs would waste a query: take the first draw that changes a pixel
            raised, lowered = _changes(best, high, inside), _changes(best, low, inside)
            sign = _first_that_changes(signs(keys, (REDRAWS, channels), stream=stream + 2), raised, lowered)
            proposal = torch.where(inside, torch.where(sign[..., None, None] > 0, high, low), best)
        return {
            "point": proposal,
            "best": best,
            "best_loss": torch.where(improved, loss, slots["best_loss"]),
        }

    def final(self, slots: Slots) -> Pixels | None:
        """Nothing, or the best found."""
        return None if self.unfooled == "clean" else slots["best"]


@lru_cache
def window_sides(
    queries: int, initial_share: int | float, rescale: bool, *, height: int, width: int, device: torch.device
) -> Int[Tensor, " evaluations"]:
    """Side in pixels of the window proposed after each evaluation, at most one less than the image's."""
    shares = [window_share(i, queries, initial_share, rescale) for i in range(queries + 1)]
    largest = max(min(height, width) - 1, 1)
    sides = [min(max(round(math.sqrt(share * height * width)), 1), largest) for share in shares]
    return torch.tensor(sides, device=device)


def window_share(query: int, queries: int, initial_share: int | float, rescale: bool) -> float:
    """Share of the image that a proposal's window covers.

    Example:
        >>> [window_share(i, 5000, 0.8, False) for i in (0, 10, 11, 200, 4999)]
        [0.8, 0.8, 0.4, 0.2, 0.00625]
    """
    position = int(query / queries * 10000) if rescale else query
    return initial_share / next((divisor for last, divisor in SCHEDULE if position <= last), 512)


def _within(
    positions: Int[Tensor, " size"], first: Int[Tensor, " slots"], side: Int[Tensor, " slots"]
) -> Bool[Tensor, "slots size"]:
    return (positions >= first[:, None]) & (positions < (first + side)[:, None])


def _changes(
    best: Pixels, value: Pixels, inside: Bool[Tensor, "slots 1 height width"]
) -> Bool[Tensor, "slots channels"]:
    """Whether setting the window to a value would change any of its pixels, for each channel."""
    return ((best != value) & inside).flatten(2).any(dim=2)


def _first_that_changes(
    drawn: Float[Tensor, "slots draws channels"],
    raised: Bool[Tensor, "slots channels"],
    lowered: Bool[Tensor, "slots channels"],
) -> Float[Tensor, "slots channels"]:
    """The first draw of signs that changes something (the last one if none does)."""
    useful = torch.where(drawn > 0, raised[:, None], lowered[:, None]).any(dim=2)
    useful[:, -1] = True
    first = useful.int().argmax(dim=1)
    return drawn.gather(1, first[:, None, None].expand(-1, 1, drawn.shape[2])).squeeze(1)
