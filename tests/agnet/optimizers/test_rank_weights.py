import pytest
import torch

from agnet.errors import ConfigurationError
from agnet.optimizers.rank_weights import rank_weights


def test_closed_form() -> None:
    weights = rank_weights(torch.arange(16), k=0.01)
    assert weights.sum().item() == pytest.approx(1)
    # unnormalised 1 / (kN + rank): 6.25 for the best and 0.0660 for the last of 16
    assert (weights[0] / weights[15]).item() == pytest.approx((0.16 + 15) / 0.16)


def test_limits_of_k() -> None:
    ranks = torch.tensor([0, 1, 2, 3])
    assert rank_weights(ranks, k=1e9).tolist() == pytest.approx([0.25] * 4, rel=1e-6)
    assert rank_weights(ranks, k=1e-9)[0].item() == pytest.approx(1, abs=1e-6)


def test_ties_share_a_weight_and_rows_may_be_permuted() -> None:
    weights = rank_weights(torch.tensor([2, 0, 0, 3]))
    assert weights[1] == weights[2]
    assert weights[[3, 0, 1, 2]].equal(rank_weights(torch.tensor([3, 2, 0, 0])))


@pytest.mark.parametrize("k", [0.0, -1.0, float("nan")])
def test_k_must_be_positive(k: float) -> None:
    with pytest.raises(ConfigurationError, match="k > 0"):
        rank_weights(torch.arange(3), k=k)
