"""The wrong command lines of the campaign, and how they are judged."""

import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.reliability.frame import ACCEPTED, HUNG, REFUSED, TRACEBACK
from benchmarks.reliability.lines import all_lines, chosen, judge
from benchmarks.reliability.tiny import COMMANDS, Said, call
from benchmarks.reliability.written import WRITTEN

SOME = ("evaluation.corrupt", "search.propose", "evaluation.train_network", "search.pretrain")


def test_lines_are_made_of_the_keys_of_the_configurations() -> None:
    lines = all_lines(SOME)
    assert len(lines) == len(set(lines)) > len(WRITTEN) + 100
    assert any(module == "search.pretrain" and "schedule.steps=nan" in arguments for module, arguments in lines)


def test_every_command_has_written_lines() -> None:
    assert {module for module, _ in WRITTEN} == set(COMMANDS)


def test_cases_are_equal_for_equal_seeds() -> None:
    first, same, other = (
        [case.name for case in chosen(random.Random(seed), 400, Path("/nowhere"), all_lines(SOME))]
        for seed in (1, 1, 2)
    )
    assert first == same != other
    assert len(set(first)) == 400
    assert first[: len(WRITTEN)] == other[: len(WRITTEN)]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(2, "", "note: a is called b now\nerror: seed=x should be an integer\n"), REFUSED),
        (Said(2, "", "error: one\nerror: two\n"), TRACEBACK),
        (Said(2, "", "error: numpy says: set allow_pickle=True\n"), TRACEBACK),
        (Said(1, "", "Traceback (most recent call last):\nValueError: x\n"), TRACEBACK),
        (Said(0, "accuracy 10 %\n", ""), ACCEPTED),
        (Said(None, "3 of 20\n", ""), ACCEPTED),
        (Said(None, "", ""), HUNG),
    ],
)
def test_judgement(said: Said, kind: str, tmp_path: Path) -> None:
    assert judge(said, tmp_path).kind == kind


def test_lines_run_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        if "x=1" not in sys.argv:
            sys.stderr.write("error: x=2; give 1\n")
            sys.exit(2)
        Path("made").write_text("in the folder of the case")

    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(main=main))
    here = tmp_path / "here"
    here.mkdir()
    refused = call("made_up", ["x=2"], here, seconds=60.0)
    assert (judge(refused, here).kind, refused.stderr) == (REFUSED, "error: x=2; give 1\n")
    accepted = call("made_up", ["x=1"], here, seconds=60.0)
    assert judge(accepted, here).kind == ACCEPTED
    assert (here / "made").exists()
