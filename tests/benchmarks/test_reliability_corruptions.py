"""The campaign of corrupted files: equal for equal seeds, and a judge that can fail."""

import json
import random
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from agnet.errors import UnreadableFile
from benchmarks.reliability.calling import Ended
from benchmarks.reliability.corruptions import CORRUPTIONS, drawn
from benchmarks.reliability.damage import BINARY, TEXT, WHOLE, Damage, draw
from benchmarks.reliability.frame import CHANGED, REFUSED, SAME, TRACEBACK, Outcome
from benchmarks.reliability.searched import small_table, table, untimed
from benchmarks.reliability.subject import Reference, Subject, differ, differ_in_part, judge

FILE = Path("value.json")


def build(variant: int) -> None:
    FILE.write_text(json.dumps({"score": 10 + variant, "note": "x" * 40}), encoding="utf-8")


def careless() -> object:
    """A reader that believes whatever it can parse."""
    try:
        return json.loads(FILE.read_text(encoding="utf-8"))["score"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(f"{FILE} is damaged; restore it") from error


def reference(shared: Path, read: Callable[[], object] = careless) -> Reference:
    return Reference.built(Subject("careless", (str(FILE),), build, read, 1), shared)


def test_cases_are_distinct_and_follow_from_the_seed(tmp_path: Path) -> None:
    whole = [reference(tmp_path)]
    names = [[case.name for case in drawn(whole, random.Random(seed), 300)] for seed in (0, 0, 1)]
    assert len(set(names[0])) == 300
    assert names[0] == names[1] != names[2]
    assert CORRUPTIONS.least == 2000
    assert all(any(f": {kind}" in name for name in names[0]) for kind in (*BINARY, *TEXT, *WHOLE))


def outcome(whole: Reference, tmp_path: Path, damage: Damage) -> Outcome:
    folder = tmp_path / str(damage)
    folder.mkdir()
    return whole.case(str(FILE), damage).run(folder)


def test_the_judge_tells_another_result_from_the_same(tmp_path: Path) -> None:
    whole = reference(tmp_path / "shared")
    changed = outcome(whole, tmp_path, Damage("edited digit", 0.0, 0.5))
    assert changed.kind == CHANGED
    assert changed.detail.endswith("instead of 10")
    assert outcome(whole, tmp_path, Damage("replaced")).kind == CHANGED
    assert outcome(whole, tmp_path, Damage("bit flip", 0.7, 0.0)).kind == SAME, "in the note, which is not read"
    assert outcome(whole, tmp_path, Damage("truncation", 0.5)).kind == REFUSED
    assert outcome(whole, tmp_path, Damage("deleted")).kind == REFUSED
    assert json.loads((whole.folder / FILE).read_text())["score"] == 10


def test_the_judge_sees_tracebacks_and_advice() -> None:
    def advising() -> None:
        raise UnreadableFile("call it with allow_pickle=True")

    def rambling() -> None:
        raise UnreadableFile("one\ntwo")

    def ending() -> None:
        raise Ended(Outcome(TRACEBACK, "x"))

    for read in (advising, rambling, ending):
        assert judge(Subject("s", (), build, read, 1), None).kind == TRACEBACK
    with pytest.raises(ZeroDivisionError):  # the frame notes it as a traceback
        judge(Subject("s", (), build, lambda: 1 // 0, 1), None)


def test_a_reference_that_differs_from_itself_is_refused(tmp_path: Path) -> None:
    numbers = iter(range(9))
    with pytest.raises(RuntimeError, match="not the same twice: 1 instead of 0"):
        reference(tmp_path, lambda: next(numbers))


def test_every_damage_changes_the_file(tmp_path: Path) -> None:
    path, other, rng = tmp_path / "a.json", tmp_path / "b.json", random.Random(0)
    other.write_bytes(b"other")
    for content in (b"", b"\0", b"no number\nno number\n", bytes(range(256))):
        for _ in range(60):
            damage = draw(rng, path.name, replaceable=True)
            path.write_bytes(content)
            damage.apply(path, other)
            if (damage.kind, content) != ("emptied", b""):
                assert not path.exists() or path.read_bytes() != content, damage


def test_values_are_compared_as_a_user_sees_them() -> None:
    assert differ({"a": [1, 2.0]}, {"a": [1, 2.5]}) == "a: 1: 2.5 instead of 2.0"
    assert differ({"a": 1}, {"b": 1}) == "keys a, b"
    assert differ([1], [1, 2]) == "2 instead of 1"
    assert differ(1, 1.0) == "1.0 instead of 1"
    assert differ(float("nan"), float("nan")) == ""
    assert differ_in_part({"a": 1, "b": 2}, {"a": 1}) == ""
    assert differ_in_part({"a": 1}, {"a": 2}) == "a: 2 instead of 1"
    assert differ_in_part({"a": 1}, {"c": 1}) == "keys c"
    assert untimed({"wall_seconds": 1, "x": [{"seconds": 2, "y": 3}]}) == {"x": [{"y": 3}]}


def test_a_written_table_is_never_believed_when_damaged(tmp_path: Path) -> None:
    whole = Reference.built(table("t", lambda: small_table(0), 1), tmp_path / "shared")
    other = Reference.built(table("u", lambda: small_table(1), 1), tmp_path / "shared")
    for i, case in enumerate(drawn([whole], random.Random(0), 40)):
        folder = tmp_path / str(i)
        folder.mkdir()
        assert case.run(folder).kind in (SAME, REFUSED), case.name
    with chdir(other.folder):
        assert judge(whole.subject, whole.seen).kind == CHANGED, "nothing tells another whole table from the one"
