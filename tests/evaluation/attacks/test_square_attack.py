"""What the closed forms and the reference leave open: schedule, windows, redraws."""

import sys

import pytest
import torch
from torch import Tensor

from evaluation.attacks.functions import square
from evaluation.attacks.square_attack import Square, window_share, window_sides
from evaluation.randomness import keys

module = sys.modules["evaluation.attacks.square_attack"]  # the package's attribute of this name is the function
CPU = torch.device("cpu")


def changes_of(sides: Tensor) -> list[tuple[int, int]]:
    """First proposal of each side."""
    sides = sides.tolist()
    return [(i, side) for i, side in enumerate(sides) if i == 0 or side != sides[i - 1]]


def test_schedule_of_5000_queries_as_autoattack_has_it() -> None:
    """Golden: 29 pixels of 32 at first, and no further than 0.8 / 128 of the image."""
    sides = window_sides(5000, 0.8, False, height=32, width=32, device=CPU)
    expected = [(0, 29), (11, 20), (51, 14), (201, 10), (501, 7), (1001, 5), (2001, 4), (4001, 3)]
    assert changes_of(sides) == expected
    assert len(sides) == 5001


def test_schedule_of_5000_queries_rescaled() -> None:
    sides = window_sides(5000, 0.8, True, height=32, width=32, device=CPU)
    expected = [(0, 29), (6, 20), (26, 14), (101, 10), (251, 7), (501, 5), (1001, 4), (2001, 3), (3001, 2), (4001, 1)]
    assert changes_of(sides) == expected


def test_shares_of_10000_queries() -> None:
    last = [0, 10, 11, 50, 51, 200, 201, 500, 501, 1000, 1001, 2000, 2001, 4000, 4001, 6000, 6001, 8000, 8001]
    divisors = [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512]
    for rescale in (False, True):
        assert [0.8 / window_share(i, 10_000, 0.8, rescale) for i in last] == pytest.approx(divisors)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 5), (8, 8)], ids=str)
def test_windows_fit_any_image(size: tuple[int, int]) -> None:
    sides = window_sides(50, 1.0, True, height=size[0], width=size[1], device=CPU)
    assert 1 <= int(sides.min()) <= int(sides.max()) <= max(min(size) - 1, 1)


def proposals(
    attack: Square, x: Tensor, eps: float, steps: int, accept: Tensor | None = None
) -> list[tuple[Tensor, ...]]:
    """(best, proposal, side) of every update; proposals are accepted by turns."""
    n = len(x)
    slots = {"inputs": x, "labels": torch.zeros(n, dtype=torch.int64), "eps": torch.full((n,), eps, dtype=x.dtype)}
    slots |= {
        "keys": keys(0, "square", torch.arange(n)),
        "shared_keys": keys(0, "square", torch.zeros(n).long()),
        "step": torch.zeros(n, dtype=torch.int64),
    }
    slots |= attack.start(slots)
    sides = window_sides(attack.queries, 0.8, attack.rescale, height=x.shape[2], width=x.shape[3], device=CPU)
    found = []
    for step in range(steps):
        loss = torch.full((n,), float(step if step % 2 == 0 else -1)).to(x)
        slots |= attack.update(slots, loss, None) | {"step": slots["step"] + 1}
        found.append((slots["best"], slots["point"], sides[step]))
    return found


@pytest.mark.parametrize("windows", ["per_sample", "shared"])
def test_a_proposal_changes_one_window_to_the_faces_of_the_ball(windows: str) -> None:
    x, eps = torch.rand(12, 3, 9, 8, dtype=torch.float64), 0.05
    attack = Square(queries=60, rescale=True, windows=windows)
    for best, proposal, side in proposals(attack, x, eps, 60):
        changed = ((proposal - best).abs() > 1e-9).any(dim=1)
        for i in range(12):
            rows, columns = changed[i].nonzero().unbind(dim=1)
            if len(rows):
                assert int(rows.max() - rows.min()) < int(side)
                assert int(columns.max() - columns.min()) < int(side)
        faces = torch.stack([(x + eps).clamp(max=1), (x - eps).clamp(min=0)])
        moved = (proposal - best).abs() > 1e-9
        at_a_face = ((proposal - faces).abs() < 1e-12).any(dim=0)
        assert bool(at_a_face[moved].all())
        assert 0 <= float(proposal.min()) <= float(proposal.max()) <= 1


def test_the_first_stripes() -> None:
    """Vertical: every column of every channel is at one face of the ball."""
    x = torch.full((50, 3, 6, 7), 0.5)
    best, _, _ = proposals(Square(), x, 0.1, 1)[0]
    delta = (best - 0.5) / 0.1
    assert torch.equal(delta, delta[:, :, :1].expand_as(delta))
    torch.testing.assert_close(delta.abs(), torch.ones_like(delta))
    assert abs(float(delta[:, :, 0].mean())) < 5 / (50 * 3 * 7) ** 0.5


def test_redraws_change_something_if_anything_can_be_changed() -> None:
    """Eight draws of three signs: without effect with chance 8^-8 each; without redraws, one in eight of the small."""
    x = torch.rand(40, 3, 8, 8)
    found = proposals(Square(queries=300, rescale=True), x, 0.1, 300)
    assert all(bool((proposal != best).flatten(1).any(dim=1).all()) for best, proposal, _ in found)


def test_shared_windows_are_shared() -> None:
    """All images change within one window, to the same side; their stripes at the start are their own."""
    x = torch.full((6, 3, 8, 8), 0.5)
    found = proposals(Square(queries=40, windows="shared"), x, 0.1, 40)
    assert len({tuple(start.flatten().tolist()) for start in found[0][0]}) == 6
    for best, proposal, side in found:
        change = proposal - best
        places = change.ne(0).any(dim=0).any(dim=0).nonzero()
        if len(places):
            assert bool((places.amax(dim=0) - places.amin(dim=0) < side).all())
        for channel in change.unbind(dim=1):
            assert len(channel[channel != 0].sign().unique()) <= 1


def test_windows_of_their_own_differ() -> None:
    x = torch.full((6, 3, 8, 8), 0.5)
    for _, proposal, _ in proposals(Square(queries=40), x, 0.1, 40):
        assert len({tuple(p.flatten().tolist()) for p in proposal}) == 6


def test_positions_cover_all_but_the_last_offset() -> None:
    """As both published codes have it: the last row and column are only ever striped."""
    x = torch.full((200, 1, 6, 6), 0.5)
    touched = torch.zeros(6, 6, dtype=torch.bool)
    for best, proposal, side in proposals(Square(queries=60, rescale=True), x, 0.1, 60):
        if side == 1:
            touched |= (proposal != best).any(dim=0)[0]
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[:5, :5] = True
    assert torch.equal(touched, expected)


def test_queries_are_counted_and_losses_only_fall() -> None:
    """One for the start and one for every proposal; the best found is kept."""
    x = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(3 * 64, 4, generator=torch.Generator().manual_seed(1)) * 0.1
    margins = []

    def model(v: Tensor) -> Tensor:
        logits = v.flatten(1) @ weight + torch.tensor([30.0, 0, 0, 0])
        margins.append((logits[:, 0] - logits[:, 1:].amax(dim=1)).detach())
        return logits

    labels = torch.zeros(5, dtype=torch.int64)
    best = square(model, x, labels, eps=0.05, queries=25, unfooled="best")
    assert len(margins) == 1 + 1 + 25, "the clean images, the start, the proposals"
    lowest = torch.stack(margins[1:]).amin(dim=0)
    model(best)
    torch.testing.assert_close(margins[-1], lowest)
    assert torch.equal(square(model, x, labels, eps=0.05, queries=25), x), "by default, what is not fooled is not moved"
