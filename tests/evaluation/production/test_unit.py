"""What is recorded of one network."""

import dataclasses
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet.errors import ConfigurationError
from agnet.tables.columns import SPLITS, parse_column
from evaluation import evaluate
from evaluation.attacks.auto_attack import AutoAttack
from evaluation.corruptions import CorruptedImages, corrupt, write_corrupted
from evaluation.corruptions.pixels import to_levels
from evaluation.data.images import Images
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.production import unit as module
from evaluation.production.merge import overfitted
from evaluation.production.protocol import Corruptions, Protocol
from evaluation.production.store import Store
from evaluation.production.unit import Failure, Unit, UnitEvaluator, UnitRecord
from evaluation.sensitivity.table_measures import sensitivity
from evaluation.training.fgsm_rs import FGSMRS
from evaluation.training.sgd import fit


@pytest.fixture(scope="module")
def record(protocol: Protocol, cells: list[str]) -> UnitRecord:
    [result] = UnitEvaluator(protocol)(cells[:2], cells[1:2], 3)
    assert isinstance(result, UnitRecord)
    return result


@pytest.fixture(scope="module")
def network(protocol: Protocol, cells: list[str]) -> CellNetwork:
    return fit(cells[:2], protocol.shape, protocol.images.train, protocol.recipe, seed=3)[1]


def test_columns_of_every_kind(record: UnitRecord) -> None:
    assert {parse_column(name).kind for name in record.columns} == {"clean", "attack", "corruption", "measure"}  # type: ignore[union-attr]
    assert list(record.timed) == ["tiny_cpu_latency_ms"]
    assert record.timed["tiny_cpu_latency_ms"] > 0
    assert len([name for name in record.columns if "_s" in name and "hessian" not in name]) == 2 * 5, "test images only"
    assert json.loads(json.dumps(record.outcomes)) == record.outcomes


def test_accuracies_are_those_of_the_evaluator(record: UnitRecord, network: CellNetwork, protocol: Protocol) -> None:
    for split in SPLITS:
        images = getattr(protocol.images, split)
        fgsm, pgd = protocol.attacks
        found = evaluate(network, images.stored, images.labels, [fgsm], seed=3)
        assert record.columns[f"tiny_{split}"] == found["clean"].accuracy
        assert record.columns[f"tiny_{split}_fgsm_eps8"] == found["fgsm_eps8"].accuracy
        first = images.first(20)
        found = evaluate(network, first.stored, first.labels, [pgd], seed=3)
        assert record.columns[f"tiny_{split}_pgd_eps16"] == found["pgd_eps16"].accuracy, "of the first 20 images"


def test_corruptions_are_those_of_the_generator(record: UnitRecord, network: CellNetwork, protocol: Protocol) -> None:
    images = protocol.images.test.first(10)
    for name, severity in (("fog", 1), ("contrast", 5)):
        corrupted = corrupt(to_levels(images.pixels), name, severity, seed=0)
        with torch.no_grad():
            right = network(corrupted.float() / 255).argmax(1) == images.labels
        assert record.columns[f"tiny_test_{name}_s{severity}"] == pytest.approx(100 * float(right.float().mean()))


def test_measures_before_and_after_training(record: UnitRecord, network: CellNetwork, protocol: Protocol) -> None:
    images = protocol.images.train.first(8)
    for key, value in sensitivity(network, images.pixels, images.labels, seed=3).items():
        assert record.columns[f"tiny_{key}_trained"] == pytest.approx(value, rel=1e-5)
        assert record.columns[f"tiny_{key}_initialised"] != record.columns[f"tiny_{key}_trained"]


def test_outcomes_have_everything_the_attack_found_out(record: UnitRecord, protocol: Protocol) -> None:
    for outcome in record.outcomes:
        confusion = np.array(outcome["confusion"]).reshape(10, 10)
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(outcome["robust"]), np.uint8))[: outcome["images"]]
        assert confusion.sum() == outcome["images"]
        assert 100 * bits.mean() == pytest.approx(outcome["accuracy"])
        labels = getattr(protocol.images, outcome["split"]).labels[: outcome["images"]]
        assert confusion.sum(axis=1).tolist() == torch.bincount(labels, minlength=10).tolist(), "rows are true classes"
    kinds = [(o["split"], o["kind"], o["key"], o["level"], o["images"]) for o in record.outcomes]
    assert len(set(kinds)) == len(kinds)
    assert ("valid", "clean", "clean", 0.0, 30) in kinds
    assert ("test", "attack", "pgd", 16.0, 20) in kinds
    assert ("test", "corruption", "contrast", 5.0, 10) in kinds


def test_a_member_is_the_same_whoever_else_is_wanted(protocol: Protocol, cells: list[str], record: UnitRecord) -> None:
    _, second = UnitEvaluator(protocol)(cells[:2], cells[:2], 3)
    assert isinstance(second, UnitRecord)
    assert (second.columns, second.outcomes) == (record.columns, record.outcomes)


def test_an_error_of_one_network_is_recorded(
    protocol: Protocol, cells: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def latency(architecture: str, *args: object) -> float:
        if architecture == cells[0]:
            raise RuntimeError("out of\nmemory")
        return 1.0

    monkeypatch.setattr(module, "latency_ms", latency)
    first, second = UnitEvaluator(protocol)(cells[:2], cells[:2], 0)
    assert isinstance(first, Failure)
    assert first.error == "RuntimeError: out of memory"
    assert "in latency" in first.trace
    assert isinstance(second, UnitRecord)


def test_a_diverged_training_is_a_failure(protocol: Protocol, cells: list[str]) -> None:
    recipe = dataclasses.replace(protocol.recipe, learning_rate=1e30)
    for result in UnitEvaluator(dataclasses.replace(protocol, recipe=recipe))(cells[:2], cells[:2], 0):
        assert isinstance(result, Failure)
        assert "NaN" in result.error or "finite" in result.error


@pytest.mark.parametrize("error", [ConfigurationError("no classes"), OSError(28, "No space left on device")])
def test_what_concerns_all_networks_is_raised(
    error: Exception, protocol: Protocol, cells: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(group: Sequence[str], *args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(module, "fit_and_validate", failing)
    with pytest.raises(type(error)):
        list(UnitEvaluator(protocol)(cells[:2], cells[:2], 0))


def test_corrupted_images_of_a_folder(protocol: Protocol, cells: list[str], tmp_path: Path, record: UnitRecord) -> None:
    """Written with the same seed they are the same images."""
    test = protocol.images.test
    write_corrupted(tmp_path, to_levels(test.pixels), test.labels, seed=0, names=["fog", "contrast"])
    wanted = Corruptions(("fog", "contrast"), num_images=10, folder=CorruptedImages(tmp_path))
    [other] = UnitEvaluator(dataclasses.replace(protocol, corruptions=wanted))(cells[:2], cells[1:2], 3)
    assert isinstance(other, UnitRecord)
    assert other.columns == record.columns


def test_corrupted_images_of_another_set(protocol: Protocol, tmp_path: Path) -> None:
    valid = protocol.images.valid
    write_corrupted(tmp_path, to_levels(valid.pixels), valid.labels, seed=0, names=["fog"])
    with pytest.raises(ConfigurationError, match="not the 25 test images in their order"):
        dataclasses.replace(protocol, corruptions=Corruptions(("fog",), folder=CorruptedImages(tmp_path)))


def test_what_validation_images_told_is_kept(
    protocol: Protocol, cells: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the record and in the store's file, where it is guarded as the numbers are."""

    def fooled(subject: object, images: Images, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        return {"pgd": torch.tensor([0.0, 40.0]), "fgsm": torch.tensor([90.0, 60.0])}

    monkeypatch.setattr("evaluation.training.robust_validation.robust_accuracies", fooled)
    recipe = dataclasses.replace(protocol.recipe, adversarial=FGSMRS())
    other = dataclasses.replace(protocol, recipe=recipe, attack_images={}, corruptions=None, sensitivities=None)
    first, second = UnitEvaluator(other)(cells[:2], cells[:2], 0)
    assert isinstance(first, UnitRecord)
    assert isinstance(second, UnitRecord)
    assert first.training == {"pgd": 0.0, "fgsm": 90.0, "catastrophic_overfitting": True}
    assert second.training == {"pgd": 40.0, "fgsm": 60.0, "catastrophic_overfitting": False}
    assert all(name.startswith("tiny_at_") for name in first.columns)
    store = Store(tmp_path, other)
    store.write(first)
    store.write(second)
    found = store.find([first.unit, second.unit])
    assert found.records[first.unit] == first
    assert [record.unit for record in overfitted(found)] == [first.unit]
    path = store.path(first.unit)
    content = json.loads(gzip.decompress(path.read_bytes()))
    content["training"]["catastrophic_overfitting"] = False
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert store.find([first.unit]).missing == [first.unit]


@pytest.mark.parametrize("adversary", [None, FGSMRS()], ids=["standard", "adversarial"])
def test_diverged_training_is_a_failure_that_says_so(
    protocol: Protocol, cells: list[str], adversary: FGSMRS | None
) -> None:
    recipe = dataclasses.replace(protocol.recipe, learning_rate=1e30, adversarial=adversary)
    [found] = UnitEvaluator(dataclasses.replace(protocol, recipe=recipe))(cells[1:2], cells[1:2], 0)
    assert isinstance(found, Failure)
    assert "the loss became NaN or infinite in training" in found.error
    assert "lower recipe.learning_rate" in found.error


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_clean_images_where_every_attack_takes_fewer(
    protocol: Protocol, cells: list[str], network: CellNetwork, precision: str
) -> None:
    """As where an attack takes all."""
    fgsm, pgd = protocol.attacks
    plain = dataclasses.replace(protocol, corruptions=None, sensitivities=None, precision=precision)
    both = [
        UnitEvaluator(dataclasses.replace(plain, attacks=attacks, attack_images={"pgd": 20}))
        for attacks in ([fgsm, pgd], [pgd])
    ]
    more, fewer = (evaluator._examine(Unit(cells[1], 3), network) for evaluator in both)
    assert fewer.outcomes == [outcome for outcome in more.outcomes if outcome["key"] != "fgsm"]


def test_autoattack_and_what_each_member_has_left(protocol: Protocol, cells: list[str]) -> None:
    """In the columns that the protocol promises, and as by hand on the images of both splits."""
    attack = AutoAttack([16 / 255], targets=2, steps=2, queries=4)
    mine = dataclasses.replace(
        protocol, attacks=[attack], attack_images={"autoattack": 12}, corruptions=None, sensitivities=None, group_size=1
    )
    [record] = UnitEvaluator(mine)(cells[:1], cells[:1], 3)
    assert isinstance(record, UnitRecord), record
    assert [*record.columns, "tiny_cpu_latency_ms"] == mine.columns
    [network] = fit(cells[:1], mine.shape, mine.images.train, mine.recipe, seed=3)
    splits = [getattr(mine.images, split).first(12) for split in SPLITS]
    images, labels = (torch.cat([getattr(s, name) for s in splits]) for name in ("stored", "labels"))
    index = torch.arange(12).repeat(2)
    left = (network(torch.cat([s.pixels for s in splits])).argmax(1) == labels).nonzero().squeeze(1)
    for stage, member in zip(attack.stages, attack.members, strict=True):
        found = evaluate(network, images[left], labels[left], [member], seed=3, indices=index[left])
        left = left[found[f"{member.name}_eps16"].robust]
        for i, split in enumerate(SPLITS):
            share = 100 * int(((left >= 12 * i) & (left < 12 * (i + 1))).sum()) / 12
            assert record.columns[f"tiny_{split}_{stage}_eps16"] == pytest.approx(share)
    outcomes = [(o["split"], o["key"], o["level"]) for o in record.outcomes if o["kind"] == "attack"]
    assert outcomes == [(split, stage, 16.0) for split in SPLITS for stage in attack.stages]
