import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.attacks.outcome import AttackOutcome, Evaluation

LABELS = torch.tensor([0, 0, 1, 2, 2])


def outcome(attack: str = "pgd", eps_255: float = 2.0, **changes: torch.Tensor) -> AttackOutcome:
    values = {
        "labels": LABELS,
        "predicted": torch.tensor([0, 1, 1, 0, 2]),
        "robust": torch.tensor([True, False, True, False, True]),
        "confidence": torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
        "true_confidence": torch.tensor([0.9, 0.1, 0.7, 0.2, 0.5]),
        "forwards": torch.tensor([1, 2, 3, 4, 5]),
        "gradients": torch.tensor([0, 1, 2, 3, 4]),
    }
    norm = "" if attack == "clean" else "linf"
    return AttackOutcome(attack, norm, eps_255 / 255, "published", **(values | changes))


def evaluation(*outcomes: AttackOutcome) -> Evaluation:
    return Evaluation((outcome("clean", 0.0), *outcomes), 3, {"mode": "published", "attacks": {}})


def test_columns_and_accuracy() -> None:
    assert [outcome("clean", 0.0).column, outcome(eps_255=2.0).column, outcome(eps_255=0.5).column] == [
        "clean",
        "pgd_eps2",
        "pgd_eps0.5",
    ]
    assert outcome().accuracy == pytest.approx(60)
    found = evaluation(outcome(), outcome("fgsm", 0.5))
    assert list(found.accuracies) == ["clean", "pgd_eps2", "fgsm_eps0.5"]
    assert (found["fgsm_eps0.5"].eps, found["fgsm_eps0.5"].eps_255) == (0.5 / 255, 0.5)
    with pytest.raises(KeyError, match=r"no outcome fgsm; there are clean, pgd_eps2, fgsm_eps0\.5"):
        found["fgsm"]


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    assert outcome().confusion(3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert outcome().confusion(4).shape == (4, 4), "also of a class that nobody predicted"


def test_summary() -> None:
    row = outcome().summary()
    assert row["images"] == 5
    assert row["confidence"] == pytest.approx(0.7)
    assert row["confidence_right"] == pytest.approx((0.9 + 0.7 + 0.5) / 3)
    assert row["confidence_wrong"] == pytest.approx((0.8 + 0.6) / 2)
    assert row["confidence_true"] == pytest.approx((0.9 + 0.1 + 0.7 + 0.2 + 0.5) / 5)
    assert (row["forwards"], row["gradients"]) == (3.0, 2.0)
    assert outcome(predicted=LABELS).summary()["confidence_wrong"] is None


def test_saved_files(tmp_path: Path) -> None:
    found = evaluation(outcome(eps_255=0.5), outcome(eps_255=8.0))
    found.save(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "summary.csv", "images.npz", "evaluation.json", "accuracy.png"
    }  # fmt: skip
    with (tmp_path / "new" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(list(found.accuracies.values()))
    with np.load(tmp_path / "new" / "images.npz", allow_pickle=False) as arrays:
        assert arrays["labels"].tolist() == LABELS.tolist()
        for name in ("robust", "predicted", "confidence", "true_confidence", "forwards", "gradients"):
            assert np.array_equal(arrays[f"pgd_eps0.5/{name}"], getattr(found["pgd_eps0.5"], name).numpy())
    content = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert content["settings"] == found.settings
    assert "[[1, 1, 0], [0, 1, 0], [1, 0, 1]]" in json.dumps(content)
    assert (tmp_path / "new" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    found.save(tmp_path / "new")


@pytest.mark.parametrize("radii", [(), (0.0,), (0.0, 1.0), (3.0,)], ids=str)
def test_any_radii_can_be_drawn(radii: tuple[float, ...], tmp_path: Path) -> None:
    evaluation(*(outcome(eps_255=eps_255) for eps_255 in radii)).save(tmp_path)
    assert (tmp_path / "accuracy.png").exists()


def test_expected_calibration_error_is_that_of_a_loop_over_bins() -> None:
    rng = torch.Generator().manual_seed(0)
    labels, predicted = (torch.randint(0, 3, (200,), generator=rng) for _ in range(2))
    confidence = torch.rand(200, generator=rng)
    confidence[:2] = torch.tensor([1.0, 0.0])
    ones = torch.ones_like(labels)
    robust = predicted == labels
    measured = (labels, predicted, robust, confidence, confidence, ones, ones)
    clean = AttackOutcome("clean", "", 0.0, "published", *measured)
    expected = 0.0
    for b in range(15):
        inside = (confidence.double() > b / 15) & (confidence.double() <= (b + 1) / 15)
        if b == 0:
            inside |= confidence == 0
        if inside.any():
            gap = robust[inside].double().mean() - confidence[inside].double().mean()
            expected += float(gap.abs()) * int(inside.sum()) / 200
    assert clean.calibration_error() == pytest.approx(100 * expected)
    assert replace(clean, predicted=labels, confidence=torch.ones(200)).calibration_error() == 0
