import torch

from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.optimizers.latent_search.isomorphism import SETTLED, Isomorphs
from agnet.spaces.nasbench201 import NASBench201, to_string
from agnet.surrogates.base import Posterior

SPACE = NASBench201()
C, P, S, Z = "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none"
TWINS = [to_string([S, C, Z, Z, Z, S]), to_string([S, Z, C, Z, Z, S])]  # x -> conv -> x, by edge 0-2 or 1-2
THIRD = to_string([C, Z, S, Z, Z, S])
OTHERS = [to_string([C, C, C, C, C, C]), to_string([P, P, P, P, P, P]), to_string([P, C, C, C, C, C])]


def archive(known: dict[str, float]) -> Archive:
    told = Archive()
    told.add(list(known), Outcomes.unlimited(torch.tensor(list(known.values()), dtype=torch.float64)[:, None]))
    return told


def test_the_twins_are_twins() -> None:
    assert len({SPACE.canonical(a) for a in [*TWINS, THIRD]}) == 1
    assert len({SPACE.canonical(a) for a in [*TWINS, *OTHERS]}) == 4


def test_one_member_of_an_unknown_class_is_enough() -> None:
    found = Isomorphs(SPACE, archive({OTHERS[0]: 1.0})).distinct([*TWINS, OTHERS[1], THIRD])
    assert found == [TWINS[0], OTHERS[1]]


def test_the_best_known_class_is_asked_again_while_nothing_is_seen() -> None:
    known = archive({TWINS[0]: 3.0, OTHERS[0]: 2.0, OTHERS[1]: 1.0})
    isomorphs = Isomorphs(SPACE, known)
    assert isomorphs.equal is None
    assert isomorphs.distinct([OTHERS[2], *TWINS[1:], THIRD]) == [OTHERS[2], TWINS[1]]


def test_equal_outcomes_close_the_known_classes() -> None:
    isomorphs = Isomorphs(SPACE, archive({TWINS[0]: 3.0, TWINS[1]: 3.0, OTHERS[0]: 2.0, OTHERS[1]: 1.0}))
    assert isomorphs.equal is True
    assert isomorphs.distinct([THIRD, OTHERS[2]]) == [OTHERS[2]]


def test_different_outcomes_open_them_for_good() -> None:
    isomorphs = Isomorphs(SPACE, archive({TWINS[0]: 3.0, TWINS[1]: 2.9, THIRD: 3.0, OTHERS[0]: 2.0, OTHERS[1]: 1.0}))
    assert isomorphs.equal is False
    assert isomorphs.distinct([THIRD, OTHERS[2]]) == [THIRD, OTHERS[2]]


def test_cells_that_do_not_work_are_no_evidence() -> None:
    """At the bottom all are equal: 10 % accuracy says nothing about the classes."""
    known = archive({OTHERS[0]: 90.0, OTHERS[1]: 80.0, OTHERS[2]: 70.0, TWINS[0]: 10.0, TWINS[1]: 10.0})
    assert Isomorphs(SPACE, known).equal is None


def test_a_limit_that_differs_is_a_difference() -> None:
    told = Archive()
    values = torch.tensor([[3.0], [3.0], [1.0], [1.0]]).double()
    told.add([*TWINS, *OTHERS[:2]], Outcomes(values, torch.tensor([[0.1], [0.2], [0.0], [0.0]]).double()))
    assert Isomorphs(SPACE, told).equal is False


def test_columns_are_told_apart() -> None:
    """Twins are equally robust, and one of them is faster; the broken cells' equal speed says nothing."""
    told = Archive()
    values = torch.tensor([[3.0, 0.5], [3.0, 0.6], [1.0, 0.9], [1.5, 0.8], [0.0, 0.1], [0.0, 0.1]]).double()
    broken = [to_string([Z, C, Z, Z, Z, Z]), to_string([C, Z, Z, Z, Z, Z])]
    assert len({SPACE.canonical(a) for a in broken}) == 1
    told.add([*TWINS, *OTHERS[:2], *broken], Outcomes.unlimited(values))
    isomorphs = Isomorphs(SPACE, told)
    assert isomorphs.columns == [True, False]
    assert isomorphs.equal is False


def test_a_posterior_is_sure_of_known_classes_where_they_are_equal() -> None:
    told = Archive()
    told.add([*TWINS, *OTHERS[:2]], Outcomes.unlimited(torch.tensor([[3.0, 1], [3, 2], [1, 0], [0, 0]]).double()))
    latent = torch.tensor([[1.2, 0.1], [1.2, 0.2], [0, 0], [-1, 0]], dtype=torch.float64)
    posterior = Posterior(torch.zeros(2, 2), torch.ones(2, 2))
    Isomorphs(SPACE, told).settle(posterior, [THIRD, OTHERS[2]], latent)
    torch.testing.assert_close(posterior.mean, torch.tensor([[1.2, 0], [0, 0]]))
    torch.testing.assert_close(posterior.std, torch.tensor([[SETTLED, 1], [1, 1]]))


def test_nothing_is_settled_where_nothing_is_seen() -> None:
    posterior = Posterior(torch.zeros(1, 1), torch.ones(1, 1))
    Isomorphs(SPACE, archive({TWINS[0]: 3.0, OTHERS[0]: 2.0})).settle(posterior, [THIRD], torch.zeros(2, 1))
    assert posterior.std.item() == 1
