"""The bad disks of the campaign, and how commands on them are judged."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reliability.contents import contents, judge_contents
from benchmarks.reliability.disks import DISKS, KINDS, disks, judge_first, leftovers
from benchmarks.reliability.frame import CRASHED, HUNG, REFUSED, TRACEBACK
from benchmarks.reliability.tiny import COMMANDS, Said

SIZES = dict.fromkeys(COMMANDS, (100_000, 12))


def test_cases_are_distinct_and_equal_for_equal_seeds() -> None:
    first, same, other = (disks(random.Random(seed), DISKS.least, SIZES) for seed in (1, 1, 2))
    assert first == same != other
    assert len(set(map(str, first))) == DISKS.least


def test_every_command_meets_every_kind() -> None:
    picked = disks(random.Random(0), DISKS.least, SIZES)
    assert {(key, disk.kind) for key, disk in picked} == {(key, kind) for key in COMMANDS for kind in KINDS}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(2, "", "error: cannot write /tmp/a (No space left on device); make room\n"), REFUSED),
        (Said(2, "", "error: no space\n"), TRACEBACK),
        (Said(1, "", "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"), TRACEBACK),
        (Said(-7, "", ""), CRASHED),
        (Said(None, "", ""), HUNG),
    ],
)
def test_judgement(said: Said, kind: str) -> None:
    outcome = judge_first(said)
    assert outcome is not None
    assert outcome.kind == kind


def test_success_is_left_to_the_comparison() -> None:
    assert judge_first(Said(0, "done\n", "")) is None


def test_results_are_compared_wherever_they_lie(tmp_path: Path) -> None:
    found = []
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "result.json").write_text(f'{{"path": "{folder}", "value": {value}}}')
        np.savez(folder / "arrays.npz", x=np.arange(3))
        found.append(contents(folder))
    assert judge_contents(found[0], found[1]) is None
    changed, missing = judge_contents(found[0], found[2]), judge_contents(found[0], {})
    assert changed is not None
    assert "result.json" in changed.detail
    assert missing is not None
    assert "missing" in missing.detail


def test_leftovers_are_found(tmp_path: Path) -> None:
    (tmp_path / ".a.csv.0123abcd.partial.csv").touch()
    assert leftovers(tmp_path) == [".a.csv.0123abcd.partial.csv"]
