"""What every attack of ``conf/attack`` must do, run with a small budget on a small network."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from agnet.runtime.paths import CONF_DIR
from evaluation import evaluate
from evaluation.attacks.auto_attack import Ensemble
from evaluation.attacks.base import AbstractAttack, BatchAttack, SteppedAttack
from evaluation.attacks.configured import build_attacks
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
SMALL = {"steps": 3, "queries": 12, "targets": 2}
FILES = sorted((CONF_DIR / "attack").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def attack(request: pytest.FixtureRequest) -> AbstractAttack:
    path: Path = request.param
    (settings,) = OmegaConf.load(path).values()
    small = {key: value for key, value in SMALL.items() if key in settings}
    [attack] = build_attacks({"it": OmegaConf.merge(settings, small, {"eps_255": [0, 2, 16]})})
    return attack


@pytest.fixture(scope="module")
def network() -> CellNetwork:
    torch.manual_seed(3)
    return CellNetwork(CELL, NetworkShape(channels=2, cells_per_stage=1, mean=0.5, std=0.25)).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def labels(network: CellNetwork, images: Tensor) -> Tensor:
    """The network's own answers, two of them made wrong."""
    with torch.no_grad():
        answers = network(images).argmax(dim=1)
    answers[:2] = (answers[:2] + 1) % 10
    return answers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_holds_one_attack_under_the_name_of_its_columns(path: Path) -> None:
    (entry,) = OmegaConf.load(path).items()
    [attack] = build_attacks(dict([entry]))
    assert attack.name == entry[0]
    assert list(attack.eps_255) == entry[1].eps_255


def test_kind_and_description(attack: AbstractAttack) -> None:
    assert isinstance(attack, SteppedAttack | BatchAttack | Ensemble)
    assert json.loads(json.dumps(attack.describe()))["eps"] == [0, 2, 16]


@pytest.mark.parametrize("mode", ["published", "worst_case"])
def test_outcomes(attack: AbstractAttack, mode: str, network: CellNetwork, images: Tensor, labels: Tensor) -> None:
    found = evaluate(network, images, labels, [attack], mode=mode, keep_images=True)
    clean, *outcomes = found.outcomes
    columns = [f"{stage}_eps{eps}" for stage in attack.stages for eps in (0, 2, 16)]
    assert [outcome.column for outcome in outcomes] == columns
    assert attack.stages[-1] == attack.name
    outcomes = outcomes[-3:]
    assert outcomes[0].accuracy == clean.accuracy == pytest.approx(100 * 10 / 12)
    for eps_255, outcome in zip((0, 2, 16), outcomes, strict=True):
        points = found.adversarial[outcome.column]
        assert float((points - images).abs().max()) <= eps_255 / 255 + 1e-6
        assert 0 <= float(points.min()) <= float(points.max()) <= 1
        with torch.no_grad():
            answers = network(points).argmax(dim=1)
        assert outcome.predicted.equal(answers), "the compiled network judges as the plain one"
        assert bool((answers == labels)[outcome.robust].all())
        assert outcome.mode == mode
    if mode == "worst_case":
        assert not bool((outcomes[2].robust & ~outcomes[1].robust).any())


def test_seeds_and_repetition(attack: AbstractAttack, network: CellNetwork, images: Tensor, labels: Tensor) -> None:
    first, second = (evaluate(network, images, labels, [attack], seed=1) for _ in range(2))
    for a, b in zip(first.outcomes, second.outcomes, strict=True):
        assert a.confidence.equal(b.confidence)
        assert a.robust.equal(b.robust)
        assert a.forwards.equal(b.forwards)


def test_random_numbers_of_others_are_left_alone(
    attack: AbstractAttack, network: CellNetwork, images: Tensor, labels: Tensor
) -> None:
    before = torch.random.get_rng_state()
    evaluate(network, images, labels, [attack])
    assert torch.random.get_rng_state().equal(before)
