"""What every optimizer in ``conf/optimizer`` must keep."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.base import AbstractOptimizer
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.base import AbstractSpace
from agnet.spaces.subspace import Subspace
from agnet.tables.objective import Objective, Report, read_objective
from agnet.tables.table import write_table
from search.loop import run_search

OPTIMIZERS = sorted(p.stem for p in (CONF_DIR / "optimizer").glob("*.yaml"))
OF_ONE_SPACE = {"agnet_cell_by_cell": "darts", "local_search_cell_by_cell": "darts"}
"""Optimizers that are not for every space, and theirs."""

MODEL = {"iterations": 5}
CANDIDATES = {"mutated": 200, "drawn": 100}
SMALL = {
    "model": MODEL,
    "proposal": {"prior": 128, "elites": 4, "copies": 4, "ascents": 16, "steps": 2, "refinements": 1},
    "retraining": {"steps": 2},
}
TREES = {"surrogate": {"boosting_rounds": 20}}
SHORTER = {
    "agnet": SMALL,
    "agnet_faithful": {"retraining": {"epochs": 2}},
    "agnet_cell_by_cell": {"queries": 16, "inner": SMALL},
    "agnet_near": SMALL,
    "agnet_xgb": TREES,
    "agnet_xgb_ranking": TREES,
    "bananas": {"model": {"members": 3, "steps": 50}, "candidates": CANDIDATES},
    "bayesian_optimization": {"model": MODEL, "candidates": CANDIDATES},
    "gp_enumerate": {"model": MODEL},
    "gp_parego": {"model": MODEL},
    "local_search_cell_by_cell": {"queries": 16},
    "xgboost_enumerate": {"model": {"members": 3, "boosting_rounds": 10}},
}
"""Settings with which a few rounds see all phases of an optimizer, in less time."""

SLOW = {"agnet_cell_by_cell", "agnet_near", "agnet_xgb_ranking", "gp_parego"}
"""Made of the parts of others that have been through all of this by themselves."""

Make = Callable[..., AbstractOptimizer]


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in OPTIMIZERS]
)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def space(name: str, build: Callable[..., Any]) -> AbstractSpace:
    return build("space", OF_ONE_SPACE.get(name, "nasbench201"))


@pytest.fixture(scope="module")
def enumerable(space: AbstractSpace) -> AbstractSpace:
    if space.size is None:
        pytest.skip(f"{space.name} cannot be enumerated")
    return space


@pytest.fixture(scope="module")
def make(name: str, build: Callable[..., Any], space: AbstractSpace) -> Make:
    """A fresh optimizer with the given seed, as the command builds it."""

    def made(seed: int = 0, initial: int = 8) -> AbstractOptimizer:
        return build("optimizer", name, space=space, seed=seed, initial=initial, **SHORTER.get(name, {}))

    return made


def unlimited(values: Callable[[Sequence[str]], Tensor]) -> Callable[[Sequence[str]], Outcomes]:
    return lambda architectures: Outcomes.unlimited(values(architectures))


def two_values(architectures: Sequence[str]) -> Tensor:
    """Two objectives that disagree, with ties."""
    counts = [[a.count(op) for op in ("3x3~", "1x1~", "pool", "skip")] for a in architectures]
    return torch.tensor(counts, dtype=torch.float64) @ torch.tensor([[3.0, -2], [2, -1], [0, 1], [1, 2]]).double()


def one_value(architectures: Sequence[str]) -> Tensor:
    return two_values(architectures)[:, :1]


def limited(architectures: Sequence[str]) -> Outcomes:
    """One objective under two limits that about a third keeps."""
    values = two_values(architectures)
    return Outcomes(values[:, :1], torch.stack([(values[:, 1] - 1) / 4, (9 - values[:, 0]) / 9], dim=1))


def hopeless(architectures: Sequence[str]) -> Outcomes:
    """Two objectives and a limit that nothing keeps."""
    values = two_values(architectures)
    return Outcomes(values, values[:, :1] / 100 - 1)


SINGLE, PAIR = unlimited(one_value), unlimited(two_values)


def rounds(optimizer: AbstractOptimizer, num: int, outcomes: Callable[[Sequence[str]], Outcomes] = SINGLE) -> list[str]:
    """Ask 8 and tell them, ``num`` times."""
    asked: list[str] = []
    for _ in range(num):
        batch = optimizer.ask(8)
        optimizer.tell(batch, outcomes(batch))
        asked += batch
    return asked


LARGEST = 1.7e308


def vast(architectures: Sequence[str]) -> Outcomes:
    """Two objectives and a limit whose differences are no numbers."""
    share = ((two_values(architectures) - 4) / 8).clamp(-1, 1)
    return Outcomes(share * LARGEST, share[:, :1] * -LARGEST)


def constant(architectures: Sequence[str]) -> Outcomes:
    """A large constant, and the smallest number there is with zero."""
    values = two_values(architectures)
    return Outcomes.unlimited(torch.stack([values[:, 0] * 0 + LARGEST, (values[:, 1] > 2) * 5e-324], dim=1))


@pytest.mark.sample(5)
@pytest.mark.parametrize("outcomes", [vast, constant])
def test_values_of_any_size_are_learned_from(make: Make, outcomes: Callable[[Sequence[str]], Outcomes]) -> None:
    optimizer = make()
    assert len({*rounds(optimizer, 2, outcomes), *optimizer.ask(2)}) == 18
    predicted = optimizer.predictions()
    assert predicted is None or bool(predicted.isfinite().all())
    assert all(np.isfinite(value) for value in optimizer.diagnostics().values())


@pytest.mark.sample(24)
@pytest.mark.parametrize("outcomes", [SINGLE, PAIR, limited, hopeless], ids=["one", "two", "limited", "hopeless"])
def test_proposals_are_valid_distinct_and_new(
    make: Make, space: AbstractSpace, outcomes: Callable[[Sequence[str]], Outcomes]
) -> None:
    optimizer = make()
    asked = [*rounds(optimizer, 2, outcomes), *optimizer.ask(8)]
    assert len(asked) == len(set(asked)) == 24
    assert space.decode(space.encode(asked)) == asked
    pool, predicted = optimizer.pool(), optimizer.predictions()
    assert len(set(pool)) == len(pool)
    assert space.decode(space.encode(pool)) == pool
    if predicted is not None:
        assert predicted.shape == (len(pool), outcomes(asked).values.shape[1])
        assert bool(predicted.isfinite().all())
    assert all(isinstance(value, float | int) for value in optimizer.diagnostics().values())


def test_the_seed_decides_and_nothing_else(make: Make) -> None:
    first = rounds(make(seed=3), 2)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global state is meant
    state = torch.get_rng_state()
    assert rounds(make(seed=3), 2) == first
    assert torch.equal(torch.get_rng_state(), state)
    other = rounds(make(seed=4), 2)
    assert other[:8] != first[:8]
    assert set(other[8:]) != set(first[8:])


@pytest.mark.sample(12)
@pytest.mark.parametrize(
    "before", [0, pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_saved_state_continues_identically(make: Make, before: int) -> None:
    whole = make()
    rounds(whole, before)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    expected = rounds(whole, 1)
    file.seek(0)
    restored = make()
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert rounds(restored, 1) == expected


@pytest.mark.sample(12)
@pytest.mark.parametrize("before", [0, 1])
def test_told_architectures_are_never_asked(make: Make, before: int) -> None:
    """They need not stem from its own ``ask``: here a twin gives away what it would have asked next."""
    twin, optimizer = make(), make()
    rounds(twin, before)
    rounds(optimizer, before)
    told = twin.ask(24)
    optimizer.tell(told, SINGLE(told))
    asked = optimizer.ask(8)
    assert len(set(asked)) == 8
    assert not set(asked) & set(told)


@pytest.mark.sample(6)
@pytest.mark.parametrize("n", [1, 40])
def test_any_number_can_be_asked(make: Make, n: int) -> None:
    optimizer = make()
    for _ in range(2):
        asked = optimizer.ask(n)
        assert len(set(asked)) == n
        optimizer.tell(asked, SINGLE(asked))


def test_equal_values_are_no_obstacle(make: Make) -> None:
    constant = rounds(make(), 3, unlimited(lambda architectures: torch.zeros(len(architectures), 1).double()))
    assert len(set(constant)) == 24


def test_a_small_part_of_the_space_is_searched_to_its_end(
    build: Callable[..., Any], enumerable: AbstractSpace, name: str
) -> None:
    """Isolated cells: neighbours are missing, most of what is generated or bred is no member."""
    part = Subspace(enumerable, enumerable.enumerate()[:30])
    optimizer = build("optimizer", name, space=part, seed=0, initial=8, **SHORTER.get(name, {}))
    asked = rounds(optimizer, 3)
    asked += optimizer.ask(8)
    assert len(asked) == 30
    assert set(asked) == part.allowed


def test_reports_cannot_reach_an_optimizer(make: Make, enumerable: AbstractSpace, tmp_path: Path) -> None:
    """Two tables that differ in what is reported give the same search; the objective holds nothing else to see."""
    architectures = list(enumerable.enumerate())
    valid = one_value(architectures)[:, 0].numpy()
    histories = []
    for name, test in (("honest", valid), ("shuffled", np.random.default_rng(0).permutation(valid))):
        path = tmp_path / f"{name}.parquet"
        write_table(path, pa.table({"architecture": architectures, "x_valid": valid, "x_test": test}), {})
        objective, report = read_objective([path], maximize=["x_valid"], report=["x_test"])
        assert isinstance(objective, Objective)
        assert isinstance(report, Report)
        assert objective.table.columns == ("x_valid",)
        assert objective.table.values.shape == (enumerable.size, 1)
        history = run_search(enumerable, objective, make(), budget=16, initial=8, batch=8)
        histories.append([(query.architecture, query.values) for query in history.queries])
    assert histories[0] == histories[1]
