import pytest
import torch

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.subspace import Subspace

WHOLE = NASBench201()
CELLS = WHOLE.enumerate()


def test_only_allowed_cells_exist() -> None:
    part = Subspace(WHOLE, set(CELLS[:3000]))
    assert part.size == 3000
    assert list(part.enumerate()) == list(CELLS[:3000])
    graphs = WHOLE.encode([CELLS[0], CELLS[3000]])
    assert part.decode(graphs) == [CELLS[0], None]
    assert part.is_valid(graphs).tolist() == [True, False]
    assert part.encode(CELLS[:5]).node_types.equal(WHOLE.encode(CELLS[:5]).node_types)


def test_samples_are_allowed_and_uniform() -> None:
    part = Subspace(WHOLE, CELLS[:10])
    drawn = part.sample(300, rng=torch.Generator().manual_seed(0))
    counts = torch.tensor([drawn.count(a) for a in CELLS[:10]])
    assert counts.sum() == 300
    # mean 30, standard deviation 5.2: five of them
    assert bool(((counts - 30).abs() < 26).all())


def test_a_single_cell_can_be_sampled_and_has_no_neighbors() -> None:
    part = Subspace(WHOLE, CELLS[:1])
    assert part.sample(3, rng=torch.Generator().manual_seed(0)) == [CELLS[0]] * 3
    assert part.neighbors(CELLS[0]) == []


def test_neighbors_lie_within_the_part() -> None:
    near = WHOLE.neighbors(CELLS[0])
    assert Subspace(WHOLE, [CELLS[0], *near[:5]]).neighbors(CELLS[0]) == near[:5]


def test_foreign_cells_and_nothing_are_refused() -> None:
    with pytest.raises(InvalidArchitecture, match="not a cell"):
        Subspace(WHOLE, ["not a cell"])
    with pytest.raises(ConfigurationError, match="at least one"):
        Subspace(WHOLE, [])
