"""Working off what is missing: resuming, sharing out, failing, and the same numbers in any case."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.runtime.executors import WORKER, InlineExecutor, LocalExecutor
from agnet.runtime.files import locked
from evaluation.networks.nasbench201 import NetworkShape, count_macs
from evaluation.production.produce import device_of_worker, grouped, live_macs, produce
from evaluation.production.protocol import Protocol
from evaluation.production.store import Found, Store
from evaluation.production.unit import Failure, Unit, UnitEvaluator, UnitRecord
from evaluation.run import ordered

SEEDS = (0, 3)
CHAIN = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"


@pytest.fixture
def call(protocol: Protocol, cells: list[str], catalogue: list[str]) -> Any:
    """Produce with the settings of the finished folder, but for what is given."""

    def called(folder: Path, **changes: Any) -> Found:
        settings: dict[str, Any] = {
            "architectures": cells,
            "executor": InlineExecutor(),
            "seeds": SEEDS,
            "catalogue": catalogue,
            "progress": False,
        }
        return produce(changes.pop("protocol", protocol), folder=folder, **{**settings, **changes})

    return called


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """What is trained and evaluated, in order."""
    seen: list[tuple[tuple[str, ...], tuple[str, ...], int]] = []
    real = UnitEvaluator.__call__

    def spy(self: UnitEvaluator, group: Sequence[str], chosen: Sequence[str], seed: int) -> Any:
        seen.append((tuple(group), tuple(chosen), seed))
        return real(self, group, chosen, seed)

    monkeypatch.setattr(UnitEvaluator, "__call__", spy)
    return seen


def same(found: Found, other: Found, seeds: Sequence[int] = SEEDS) -> bool:
    """All records of these seeds but for what was timed."""
    return {u: (r.columns, r.outcomes) for u, r in found.records.items()} == {
        u: (r.columns, r.outcomes) for u, r in other.records.items() if u.seed in seeds
    }


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_all_units_of_all_seeds(finished: tuple[Path, Found], cells: list[str]) -> None:
    folder, found = finished
    assert list(found.records) == [Unit(cell, seed) for seed in SEEDS for cell in cells]
    assert len(list((folder / "units").iterdir())) == 10
    first, third = (found.records[Unit(cells[0], seed)].columns for seed in SEEDS)
    assert first != third
    status = json.loads((folder / "status.json").read_text())
    assert (status["units"], status["open"]) == (10, 0)
    assert status["units_per_minute"] > 0


def test_a_finished_production_does_nothing(
    folder: Path, finished: tuple[Path, Found], call: Any, groups: list[Any]
) -> None:
    before = content(folder / "units")
    assert call(folder) == finished[1]
    assert groups == []
    assert content(folder / "units") == before


def test_a_lost_unit_is_made_again_with_the_same_numbers(
    folder: Path, finished: tuple[Path, Found], call: Any, groups: list[Any], protocol: Protocol, cells: list[str]
) -> None:
    """With the one it was trained with, which is not evaluated again."""
    Store(folder, protocol).path(Unit(cells[3], 3)).unlink()
    before = content(folder / "units")
    assert same(call(folder), finished[1])
    assert groups == [((cells[2], cells[3]), (cells[3],), 3)]
    after = content(folder / "units")
    assert {name: after[name] for name in before} == before


def test_a_part_of_a_group_has_the_numbers_of_the_whole(
    finished: tuple[Path, Found], call: Any, tmp_path: Path, cells: list[str], catalogue: list[str], groups: list[Any]
) -> None:
    found = call(tmp_path, architectures=[cells[4]], seeds=[0])
    assert groups == [(tuple(catalogue[4:6]), (cells[4],), 0)], "its partner is trained although nobody asked for it"
    unit = Unit(cells[4], 0)
    assert found.records[unit].columns == finished[1].records[unit].columns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "seeds"), [(3, [3]), *(pytest.param(n, SEEDS, marks=pytest.mark.slow) for n in (2, 3, 7))]
)
def test_shares_make_the_whole(
    shares: int, seeds: Sequence[int], finished: tuple[Path, Found], call: Any, tmp_path: Path, cells: list[str]
) -> None:
    """Resharing in the middle, too: one share of another division comes first."""
    call(tmp_path, share=(2, 5), seeds=seeds)
    seen: list[Unit] = []
    for k in range(1, shares + 1):
        seen += call(tmp_path, share=(k, shares), seeds=seeds).records
    assert sorted(map(str, seen)) == sorted(str(Unit(cell, seed)) for seed in seeds for cell in cells)
    assert same(call(tmp_path, seeds=seeds), finished[1], seeds)


@pytest.mark.slow
def test_processes_make_the_same(finished: tuple[Path, Found], call: Any, tmp_path: Path) -> None:
    assert same(call(tmp_path, executor=LocalExecutor(2)), finished[1])


def test_an_interrupted_production_continues(
    finished: tuple[Path, Found], call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a group: its first member is kept."""
    real, calls = UnitEvaluator._examine, 0

    def dying(self: UnitEvaluator, *args: Any) -> UnitRecord:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(UnitEvaluator, "_examine", dying)
    with pytest.raises(KeyboardInterrupt):
        call(tmp_path, seeds=[0])
    assert len(list((tmp_path / "units").iterdir())) == 1
    assert same(call(tmp_path, seeds=[0]), finished[1], [0])
    assert calls == 2 + 4


def test_failures_are_kept_and_tried_again_on_request(
    finished: tuple[Path, Found], call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str]
) -> None:
    unit, real = Unit(cells[1], 0), UnitEvaluator._examine

    def failing(self: UnitEvaluator, examined: Unit, network: Any) -> UnitRecord:
        if examined == unit:
            raise RuntimeError("out of memory")
        return real(self, examined, network)

    with monkeypatch.context() as patch:
        patch.setattr(UnitEvaluator, "_examine", failing)
        found = call(tmp_path, seeds=[0])
    assert list(found.failures) == [unit]
    assert isinstance(found.failures[unit], Failure)
    assert len(found.records) == 4
    assert list(call(tmp_path, seeds=[0]).failures) == [unit], "without being asked nothing is tried again"
    again = call(tmp_path, seeds=[0], retry=True)
    assert again.failures == {}
    assert same(again, finished[1], [0])


def test_a_damaged_unit_is_moved_aside_and_made_again(
    folder: Path, finished: tuple[Path, Found], call: Any, protocol: Protocol, cells: list[str]
) -> None:
    path = Store(folder, protocol).path(Unit(cells[0], 0))
    path.write_bytes(path.read_bytes()[:100])
    found = call(folder)
    assert [aside.parent.name for aside in found.damaged] == ["damaged"]
    assert same(found, finished[1])


def test_two_producers_in_one_folder(folder: Path, call: Any) -> None:
    with locked(folder), pytest.raises(RunDirectoryError, match="another process works in"):
        call(folder)


@pytest.mark.slow
def test_shares_go_on_side_by_side_but_not_the_same_one(folder: Path, call: Any) -> None:
    with locked(folder, shared=True), locked(folder / "shares" / "1_of_2"):
        call(folder, share=(2, 2))
        with pytest.raises(RunDirectoryError, match="1_of_2"):
            call(folder, share=(1, 2))
        with pytest.raises(RunDirectoryError, match="another process works in"):
            call(folder)


def test_a_full_disk_loses_nothing(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = Store.write, 0

    def full(self: Store, result: UnitRecord | Failure) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise OSError(28, "No space left on device")
        real(self, result)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(OSError, match="No space left"):
        call(tmp_path)
    assert len(list((tmp_path / "units").iterdir())) == 2


def test_threads_are_given_back(call: Any, cells: list[str], tmp_path: Path) -> None:
    """Units run on one thread, so that rounding does not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        call(tmp_path, architectures=cells[:1], seeds=[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("change", [{"architectures": []}, {"seeds": []}, {"seeds": [1, 1]}])
def test_nothing_to_do_is_an_error(change: dict[str, Any], call: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give distinct ones, one at least"):
        call(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()


def test_an_architecture_twice(call: Any, cells: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="distinct"):
        call(tmp_path, architectures=[*cells, cells[0]])


def test_a_worker_with_other_images_is_refused(call: Any, protocol: Protocol, tmp_path: Path, tiny: Any) -> None:
    other = dataclasses.replace(protocol, images=dataclasses.replace(tiny, test=tiny.test.first(20)))
    with pytest.raises(ConfigurationError, match="are the data set's files the same there"):
        call(tmp_path, source=lambda: other)


# ---------------------------------------------------------------------------------------------------------- groups


def test_groups_are_those_of_the_catalogue() -> None:
    units = [Unit(name, 0) for name in "ebfa"]
    found = grouped(units, list("abcdefg"), 3)
    assert [(g.members, g.chosen) for g in found] == [
        (("d", "e", "f"), ("e", "f")),
        (("a", "b", "c"), ("b", "a")),
    ]
    assert [g.members for g in grouped(units, None, 1)] == [("e",), ("b",), ("f",), ("a",)]
    assert str(found[0]) == "e and 1 more, seed 0"


@pytest.mark.parametrize("catalogue", [None, list("abc")])
def test_groups_need_a_catalogue(catalogue: list[str] | None) -> None:
    with pytest.raises(ConfigurationError, match=r"group_size=3: .*give group_size=1"):
        grouped([Unit("x", 0)], catalogue, 3)


def test_a_draw_in_the_groups_order_is_of_whole_groups() -> None:
    catalogue = [f"cell {i}" for i in range(100)]
    drawn = ordered(catalogue, 5)[:32]
    groups = grouped([Unit(cell, 0) for cell in drawn], ordered(catalogue, 5), 16)
    assert (
        [group.chosen for group in groups]
        == [group.members for group in groups]
        == [tuple(drawn[:16]), tuple(drawn[16:])]
    )
    assert drawn != catalogue[:32]
    assert len(grouped([Unit(cell, 0) for cell in drawn], catalogue, 16)) == 7


def test_the_order_of_groups_is_in_the_protocol(protocol: Protocol) -> None:
    assert "group_seed" not in protocol.describe()
    assert dataclasses.replace(protocol, group_seed=0).digest != protocol.digest
    with pytest.raises(ConfigurationError, match=r"^group_seed=0 without groups; give group_size above 1, or null"):
        dataclasses.replace(protocol, group_size=1, group_seed=0)


def test_cost_is_of_what_is_computed() -> None:
    """An edge that does not reach the output costs nothing; the order of edges does not matter."""
    shape = NetworkShape()
    dead = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    assert live_macs(dead, shape, 32) == 7_783_050
    assert live_macs(CHAIN, shape, 32) == count_macs(CHAIN, shape, 32)


def test_workers_take_devices_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = []
    for worker in "0123":
        monkeypatch.setenv(WORKER, worker)
        found.append(device_of_worker("cuda"))
    assert found == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert device_of_worker("cpu") == "cpu"
