import io

import pytest
import torch

from agnet.multiobjective.outcomes import Archive, Outcomes


def test_feasible_is_what_keeps_every_limit() -> None:
    outcomes = Outcomes(torch.zeros(4, 1), torch.tensor([[0.1, 0.0], [-0.1, 0.5], [-0.2, -0.3], [0.0, 0.0]]))
    assert outcomes.feasible.tolist() == [True, False, False, True]
    assert outcomes.violations.tolist() == pytest.approx([0, 0.1, 0.5, 0])
    assert outcomes[1:3].feasible.tolist() == [False, False]
    unlimited = Outcomes.unlimited(torch.zeros(3, 2))
    assert unlimited.feasible.all()
    assert unlimited.violations.tolist() == [0, 0, 0]


def test_an_archive_remembers_in_order_and_replaces() -> None:
    archive = Archive()
    assert len(archive.outcomes) == 0
    archive.add(["b", "a"], Outcomes(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [-0.5]])))
    archive.add(["a", "c"], Outcomes(torch.tensor([[3.0], [4.0]]), torch.tensor([[0.25], [0.75]])))
    assert archive.architectures == list(archive) == ["b", "a", "c"]
    assert "a" in archive
    assert "d" not in archive
    assert archive.outcomes.values.tolist() == [[1.0], [3.0], [4.0]]
    assert archive.outcomes.slacks.tolist() == [[0.5], [0.25], [0.75]]


@pytest.mark.parametrize("limits", [0, 2])
@pytest.mark.parametrize("told", [0, 3])
def test_an_archive_survives_saving(told: int, limits: int) -> None:
    archive, restored, file = Archive(), Archive(), io.BytesIO()
    if told:
        archive.add(["a", "b", "c"], Outcomes(torch.randn(3, 2).double(), torch.randn(3, limits).double()))
    torch.save(archive.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.architectures == archive.architectures
    assert restored.outcomes.values.equal(archive.outcomes.values)
    assert restored.outcomes.slacks.equal(archive.outcomes.slacks)


def test_values_beyond_single_precision_are_scaled_and_others_are_the_same_to_the_bit() -> None:
    values = torch.tensor([[0.1, 4e55, 1.7e308], [0.7, -1e50, -1.7e308], [0.3, 3.0, 5.0]], dtype=torch.float64)
    tamed = Outcomes.unlimited(values).tamed().values
    assert torch.equal(tamed[:, 0], values[:, 0])
    assert bool((tamed[:, 1:].abs() <= 1).all())
    assert torch.equal(tamed.argsort(dim=0), values.argsort(dim=0))
    assert torch.equal(tamed[:2, 1] / tamed[0, 1], values[:2, 1] / values[0, 1])
    ordinary = Outcomes.unlimited(values[:, :1])
    assert ordinary.tamed().values is ordinary.values
