import torch

from agnet.tables.goal import Limit


def test_a_bound_includes_itself_up_to_rounding() -> None:
    """57 of 200 images are 28.5 %, stored as 28.499999999999996."""
    measured = torch.tensor([100 * (57 / 200), 28.4999, 28.5, 28.6], dtype=torch.float64)
    assert measured[0] < 28.5
    slack = Limit("x", 28.5, upper=False).slack(measured)
    assert slack[0] == 0
    assert (slack >= 0).tolist() == [True, False, True, True]
    assert torch.equal(slack[1:], (measured[1:] - 28.5) / 28.5)
    assert (Limit("x", 0.3, upper=True).slack(torch.tensor([0.1 + 0.2, 0.31])) >= 0).tolist() == [True, False]
