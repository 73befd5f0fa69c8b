"""Which races are drawn, and that the judges tell mixed versions and wrong ends."""

import json
import random
from pathlib import Path

import pytest

from benchmarks.reliability.frame import CHANGED, HUNG, TRACEBACK
from benchmarks.reliability.processes import Running
from benchmarks.reliability.races import RACES, draw, judge_ends, judge_version


def test_cases_are_distinct_and_equal_for_equal_seeds() -> None:
    races = draw(random.Random(3), RACES.least)
    assert len({race.name for race in races}) == RACES.least == 100
    assert races == draw(random.Random(3), RACES.least)
    assert races[:20] == draw(random.Random(3), 20)
    assert races != draw(random.Random(4), RACES.least)
    assert {race.kind for race in races} == {"together", "rivals", "replaced", "removed"}


@pytest.mark.parametrize(
    ("status", "said", "kind", "refused"),
    [
        (0, "note: a state\n", None, False),
        (2, "error: another process works in x; wait for it or stop it\n", None, True),
        (2, "", TRACEBACK, False),
        (1, "Traceback (most recent call last):\nKeyError\n", TRACEBACK, False),
        (0, "RuntimeWarning: mean of empty slice\n", CHANGED, False),
        (None, "", HUNG, False),
    ],
)
def test_how_commands_end(tmp_path: Path, status: int | None, said: str, kind: str | None, refused: bool) -> None:
    (tmp_path / "stderr").write_text(said)
    found, refusal = judge_ends([Running(0, tmp_path / "stderr", 0.0, status)])
    assert ((found and found.kind), refusal) == (kind, refused)


@pytest.mark.parametrize(("queried", "objective", "report"), [(0, 0, 0), (1, 1, 1), (0, 0, 1), (0, 1, 1), (1, 0, 0)])
def test_numbers_of_two_versions_are_told(tmp_path: Path, queried: int, objective: int, report: int) -> None:
    (tmp_path / "history.jsonl").write_text(json.dumps({"values": {"own_valid": 1000 * queried + 0.5}}) + "\n")
    best = {"objective": {"own_valid": 1000 * objective + 0.5}, "report": {"own_test": 1000 * report + 0.25}}
    (tmp_path / "result.json").write_text(json.dumps({"best": best}))
    found = judge_version(tmp_path, [])
    assert (found is None) == (queried == objective == report)


def test_a_report_is_of_one_version(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>2</p>")
    (tmp_path / "summary.json").write_text('{"table": "here"}')
    first, second, third = ({"index.html": f"<p>{number}</p>", "summary.json": {}} for number in (1, 2, 3))
    assert judge_version(tmp_path, [first, second]) is None
    assert judge_version(tmp_path, [first, third]) is not None
