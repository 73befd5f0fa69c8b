"""The campaign of malicious files: nothing that happens escapes the judge."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agnet.errors import UnreadableFile
from benchmarks.reliability import hostile_case
from benchmarks.reliability.frame import ACCEPTED, EXECUTED, HUNG, OUTSIDE, REFUSED, SAME, TRACEBACK, Outcome
from benchmarks.reliability.hostile import CANARY, GENOTYPES, NAMES, Payload, doubling_pickle, npy, payloads, yaml_bombs
from benchmarks.reliability.hostile_case import GREEDY, Hostile
from benchmarks.reliability.hostile_searched import PLACES, TARGETS, benchmarks_of_others, manifests, tables
from benchmarks.reliability.malicious import MALICIOUS


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """How a hostile file's reader is judged; without the limit of memory, which would stay with this process."""
    monkeypatch.setattr(hostile_case.resource, "setrlimit", lambda *_: None)
    number = iter(range(99))

    def run(read: Callable[[], object], **settings) -> Outcome:
        folder = tmp_path / str(next(number))
        folder.mkdir()
        return Hostile("x", lambda: Path("in").write_text("x"), read, **settings).case().run(folder)

    return run


def refusing() -> None:
    raise UnreadableFile("x is damaged; restore it")


def test_whatever_happens_is_seen(judged: Callable[..., Outcome]) -> None:
    def hiding() -> None:
        """It runs, and then it refuses."""
        os.system(f"touch {CANARY}")
        refusing()

    def in_out() -> None:
        Path("out").mkdir()
        Path("out", CANARY).touch()

    def greedy() -> None:
        raise MemoryError

    assert judged(refusing).kind == REFUSED
    assert judged(list).kind == ACCEPTED
    assert judged(list, refused=False).kind == SAME
    assert judged(hiding).kind == EXECUTED
    assert judged(in_out, refused=False).kind == EXECUTED
    assert judged(lambda: Path("../precious.txt").write_text("x"), refused=False).kind == OUTSIDE
    assert judged(lambda: Path("../precious.txt").unlink(), refused=False).kind == OUTSIDE
    assert judged(lambda: Path("new").mkdir(), refused=False).kind == OUTSIDE
    assert judged(lambda: Path("in").write_text("y"), refused=False).kind == OUTSIDE
    assert judged(lambda: Path("out").mkdir(), refused=False).kind == SAME
    assert judged(lambda: 1 // 0).kind == TRACEBACK
    assert judged(sys.exit).kind == TRACEBACK
    assert judged(greedy).kind == GREEDY
    assert judged(list, refused=False, look=lambda: "a formula").kind == EXECUTED


def test_a_reader_without_end_is_ended(judged: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_case, "MOST_SECONDS", 0.05)

    def endless() -> None:
        while True:
            pass

    assert judged(endless).kind == HUNG


def test_payloads_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, payload in payloads().items():
        assert isinstance(payload, Payload)
        pickle.loads(pickle.dumps(payload))
        assert Path(CANARY).exists(), name
        Path(CANARY).unlink()
    assert b"system" in npy(payloads()["os.system"])
    assert len(doubling_pickle()) < 1000


def test_there_are_enough_and_none_twice(tmp_path: Path) -> None:
    cheap = [case.name for cases in (manifests(), benchmarks_of_others(), tables()) for case in cases]
    assert len(set(cheap)) == len(cheap)
    assert cheap == [case.name for cases in (manifests(), benchmarks_of_others(), tables()) for case in cases]
    assert len(cheap) + len(TARGETS) + len(yaml_bombs()) + len(GENOTYPES) + len(NAMES) > MALICIOUS.least == 80
    assert len(TARGETS) > len(PLACES)


def test_some_of_them(judged: Callable[..., Outcome], tmp_path: Path) -> None:
    for number, case in enumerate(case for case in manifests() if "of 10^9" in case.name or "exec" in case.name):
        folder = tmp_path / f"some {number}"
        folder.mkdir()
        assert case.case().run(folder).kind == REFUSED, case.name
