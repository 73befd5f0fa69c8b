from collections.abc import Sequence
from functools import partial

import pytest
import torch

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.cell_by_cell import CellByCell
from agnet.spaces.darts.notation import CELLS, parse
from agnet.spaces.darts.space import DARTS
from agnet.spaces.nasbench201 import NASBench201
from search.baselines.local_search import LocalSearch


def made(seed: int = 0) -> CellByCell:
    return CellByCell(DARTS(), inner=partial(LocalSearch), queries=24, seed=seed, initial=8)


def values(architectures: Sequence[str]) -> Outcomes:
    """Convolutions of the normal cell, poolings of the reduction cell."""
    cells = [architecture.split("/") for architecture in architectures]
    counts = [[float(normal.count("sep_conv") + 2 * reduce.count("max_pool"))] for normal, reduce in cells]
    return Outcomes.unlimited(torch.tensor(counts, dtype=torch.float64))


def rounds(optimizer: CellByCell, num: int) -> list[str]:
    asked: list[str] = []
    for _ in range(num):
        batch = optimizer.ask(8)
        optimizer.tell(batch, values(batch))
        asked += batch
    return asked


def test_first_the_normal_cell_then_the_reduction_cell_beside_the_best() -> None:
    drawn = rounds(made(), 6)
    asked = [parse(a) for a in drawn]
    assert len(set(drawn)) == 48
    first, second = asked[:24], asked[24:]
    assert len({cells["reduce"] for cells in first}) == 1
    assert len({cells["normal"] for cells in first}) == 24
    best = max(drawn[:24], key=lambda a: values([a]).values.item())
    assert {cells["normal"] for cells in second} == {parse(best)["normal"]}
    assert len({cells["reduce"] for cells in second}) == 24
    assert best not in drawn[24:], "it is known to the second turn"


def test_the_cell_beside_the_normal_one_is_drawn_by_the_seed() -> None:
    drawn = {seed: {parse(a)["reduce"] for a in made(seed).ask(4)} for seed in range(4)}
    assert all(len(cells) == 1 for cells in drawn.values())
    assert len(set.union(*drawn.values())) == 4


def test_what_belongs_to_no_turn_is_known_but_not_learned_from() -> None:
    optimizer = made()
    outside = DARTS().sample(30, rng=torch.Generator().manual_seed(7))
    optimizer.tell(outside, values(outside))
    best = max(outside, key=lambda a: values([a]).values.item())
    asked = [parse(a) for a in optimizer.ask(8)]
    assert {cells["normal"] for cells in asked} == {parse(best)["normal"]}, "30 are known: the second turn"


def test_bad_arguments() -> None:
    with pytest.raises(ConfigurationError, match="space=nasbench201 has no two cells"):
        CellByCell(NASBench201(), inner=LocalSearch)
    [pair] = DARTS().sample(1, rng=torch.Generator().manual_seed(0))
    with pytest.raises(ConfigurationError, match="space=darts_cell has no two cells"):
        CellByCell(DARTS(fixed={CELLS[0]: pair.split("/")[0]}), inner=LocalSearch)
    with pytest.raises(ConfigurationError, match="queries=0"):
        CellByCell(DARTS(), inner=LocalSearch, queries=0)
