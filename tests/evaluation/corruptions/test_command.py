"""The command ``python -m evaluation.corrupt``, in this process."""

import json
import sys
from pathlib import Path

import pytest

from evaluation.corrupt import main
from evaluation.corruptions import CorruptedImages


def here(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int | str | None:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["evaluation/corrupt.py", "dataset=digits", *overrides])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_digits_are_corrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "digits"
    assert here(monkeypatch, f"out={out}", "corruptions=[contrast,frost]", "num_images=20") == 0
    assert capsys.readouterr().out == f"{out}: 2 corruptions of 20 images, frost: procedural\n"
    images, labels = CorruptedImages(out, num_classes=10).images("frost", 2)
    assert images.shape == (20, 1, 8, 8)
    assert len(labels) == 20
    metadata = json.loads((out / "corruptions.json").read_text())
    assert metadata["dataset"] == "digits"
    assert metadata["command"].startswith("python -m evaluation.corrupt dataset=digits")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("corruptions=[smog]", "no corruption 'smog'"),
        ("num_images=301", "num_images=301; give 1..300"),
        ("frost=nowhere", "no folder nowhere"),
        ("device=nowhere", "device=nowhere"),
    ],
)
def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str, message: str
) -> None:
    assert here(monkeypatch, f"out={tmp_path}", override) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
