"""The history file under torn writes, and the record in memory."""

import json
from pathlib import Path

import pytest

from agnet.errors import RunDirectoryError
from agnet.tables.goal import Goal, Limit
from search.history import History, Query, append_queries, keep_queries, read_queries


def queries(*values: float, start: int = 0) -> list[Query]:
    return [Query(i, f"cell {i}", {"x": float(value)}, i // 2, 0.5) for i, value in enumerate(values, start)]


def test_lines_are_what_was_agreed(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_queries(path, queries(0.1, 93.33333333333333))
    append_queries(path, queries(3.0, start=2))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1] == {
        "index": 1,
        "architecture": "cell 1",
        "values": {"x": 93.33333333333333},
        "round": 0,
        "seconds": 0.5,
    }
    assert read_queries(path) == queries(0.1, 93.33333333333333, 3.0)


def test_a_torn_last_line_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_queries(path, queries(1, 2))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        assert read_queries(path) == queries(1)
        assert keep_queries(path, 1) == queries(1)
        append_queries(path, queries(7, start=1))
        assert read_queries(path) == queries(1, 7)


def test_keeping_cuts_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_queries(path) == keep_queries(path, 0) == []
    append_queries(path, queries(1, 2, 3))
    assert keep_queries(path, 2) == queries(1, 2)
    assert read_queries(path) == queries(1, 2)
    with pytest.raises(RunDirectoryError, match=r"holds 2 queries, but 3 were finished.*force=true"):
        keep_queries(path, 3)
    assert keep_queries(path, 0) == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"[]", b'{"index": 1}'])
def test_a_damaged_line_is_no_torn_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "history.jsonl"
    append_queries(path, queries(1, 2, 3))
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(RunDirectoryError, match="line 2 is not query 1"):
        read_queries(path)


def test_a_missing_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_queries(path, [*queries(1), *queries(3, start=2), *queries(4, start=3)])
    with pytest.raises(RunDirectoryError, match="line 2 is not query 1"):
        read_queries(path)


def history(goal: Goal, *values: float) -> History:
    grown = History(goal)
    grown.extend(queries(*values))
    return grown


def test_incumbents_follow_the_direction() -> None:
    up, down = (history(goal, 5.0, 7.0, 7.0, 3.0, 9.0) for goal in (Goal(maximize=("x",)), Goal(minimize=("x",))))
    assert up.incumbents == [0, 1, 1, 1, 4]
    assert down.incumbents == [0, 0, 0, 3, 3]
    assert up.best is not None
    assert down.best is not None
    assert (up.best.index, down.best.index) == (4, 3)
    assert "cell 3" in up
    assert "cell 5" not in up
    assert len(up) == 5


def test_the_front_of_one_objective_is_all_that_are_best() -> None:
    assert [query.index for query in history(Goal(maximize=("x",)), 7, 5, 7).front] == [0, 2]


def test_what_misses_a_limit_is_never_the_best() -> None:
    limited = history(Goal(maximize=("x",), limits=(Limit("x", 6.0, upper=True),)), 9.0, 7.0, 5.0, 8.0, 6.0)
    assert limited.feasible == [False, False, True, False, True]
    assert limited.incumbents == [None, None, 2, 2, 4]
    assert [query.index for query in limited.front] == [4]
    assert limited.outcomes.slacks.flatten().tolist() == pytest.approx([-0.5, -1 / 6, 1 / 6, -1 / 3, 0])


def test_nothing_feasible_has_a_closest() -> None:
    limited = history(Goal(maximize=("x",), limits=(Limit("x", 3.0, upper=True),)), 9.0, 5.0, 7.0, 5.0)
    assert limited.best is None
    assert limited.front == []
    assert limited.closest.index == 1
    assert History(limited.goal).best is None
