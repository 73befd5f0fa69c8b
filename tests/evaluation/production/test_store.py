"""What a folder of units detects, names and keeps."""

import dataclasses
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agnet.errors import RunDirectoryError, UnreadableFile
from agnet.runtime.files import replacing
from agnet.runtime.reading import read_json
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.corruptions import CorruptedImages, write_corrupted
from evaluation.corruptions.pixels import to_levels
from evaluation.data.images import Images, ImageSplits
from evaluation.production.protocol import Corruptions, Protocol
from evaluation.production.store import Found, Store
from evaluation.production.unit import Failure, Unit, UnitRecord
from evaluation.training.sgd import Recipe


@pytest.fixture
def store(folder: Path, protocol: Protocol) -> Store:
    return Store(folder, protocol)


@pytest.fixture
def units(cells: list[str]) -> list[Unit]:
    return [Unit(cell, 0) for cell in cells]


def test_what_is_written_is_read(store: Store, units: list[Unit], finished: tuple[Path, Found]) -> None:
    found = store.find(units)
    assert list(found.records) == units
    assert found.records == {unit: finished[1].records[unit] for unit in units}
    assert all(record.cost["evaluation_cpu_seconds"] > 0 for record in found.records.values())
    assert (found.failures, found.missing, found.damaged) == ({}, [], [])


def test_the_same_record_is_the_same_file(store: Store, units: list[Unit]) -> None:
    path = store.path(units[0])
    before = path.read_bytes()
    store.write(store.find(units[:1]).records[units[0]])
    assert path.read_bytes() == before


def test_failures_and_what_comes_after(store: Store, units: list[Unit]) -> None:
    record = store.find(units[:1]).records[units[0]]
    store.path(units[0]).unlink()
    failure = Failure(units[0], "RuntimeError: out of memory", "trace")
    store.write(failure)
    assert store.find(units[:1]).failures == {units[0]: failure}
    assert store.present(units) == set(units)
    store.write(record)
    assert store.find(units[:1]).records == {units[0]: record}
    assert not store.failure_path(units[0]).exists()
    store.write(failure)
    store.path(units[0]).unlink()
    store.forget_failures(units[:1])
    assert store.find(units[:1]).missing == units[:1]


def changed(**changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        return gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | changes).encode())

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-10],
        lambda data: data[: len(data) // 2],
        lambda data: gzip.compress(b"[]"),
        lambda data: gzip.compress(b"{}"),
        lambda data: gzip.compress(gzip.decompress(data)[:-20]),
        changed(columns={"tiny_test": 99.0}),
        changed(outcomes=[]),
        changed(seed=1),
        changed(architecture="|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
        changed(sha256="0"),
    ],
    ids=["empty", "cut", "half", "list", "nothing", "half text", "number", "outcomes", "seed", "architecture", "hash"],
)
def test_a_damaged_file_is_moved_aside_and_named(
    store: Store, units: list[Unit], damage: Callable[[bytes], bytes]
) -> None:
    victim = store.path(units[1])
    broken = damage(victim.read_bytes())
    victim.write_bytes(broken)
    found = store.find(units)
    assert found.missing == [units[1]]
    assert len(found.records) == 4
    [aside] = found.damaged
    assert aside.read_bytes() == broken, "nothing is lost"
    assert not victim.exists()
    assert victim.name in aside.name


def test_a_unit_of_another_protocol_is_named(store: Store, units: list[Unit]) -> None:
    victim = store.path(units[0])
    victim.write_bytes(changed(protocol="0123")(victim.read_bytes()))
    with pytest.raises(RunDirectoryError, match=rf"{victim.name} was made under another protocol"):
        store.find(units)
    assert victim.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"channels": 3}, "shape"),
        ({"recipe": Recipe(epochs=2, batch_size=32)}, "recipe"),
        ({"attacks": [FGSM([8 / 255])], "attack_images": {}}, "attack_images, attacks"),
        ({"group_size": 3, "mode": "worst_case"}, "group_size, mode"),
        ({"precision": "bfloat16"}, "precision"),
        ({"corruptions": None}, "corruptions"),
        ({"sensitivities": None}, "sensitivities"),
        ({"name": "other"}, "name"),
    ],
)
def test_another_protocol_is_refused(folder: Path, protocol: Protocol, change: dict[str, Any], named: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunDirectoryError, match=rf"run holds units of another protocol \(differs in {named}\).*out="):
        Store(folder, dataclasses.replace(protocol, **change)).claim()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_other_images_of_the_same_description_are_refused(folder: Path, protocol: Protocol) -> None:
    """Mirrored images: same name, numbers, mean and deviation."""
    mirrored = Images(protocol.images.test.pixels.flip(-1), protocol.images.test.labels)
    other = dataclasses.replace(protocol, images=dataclasses.replace(protocol.images, test=mirrored))
    assert other.describe() == protocol.describe()
    with pytest.raises(RunDirectoryError, match="differs in the images"):
        Store(folder, other).claim()


def test_a_protocol_binds_nothing_before_the_first_unit(tmp_path: Path, protocol: Protocol) -> None:
    Store(tmp_path, protocol).claim()
    other = dataclasses.replace(protocol, channels=3)
    Store(tmp_path, other).claim()
    assert json.loads((tmp_path / "protocol.json").read_text())["digest"] == other.digest


def test_a_damaged_protocol_file_is_named(folder: Path, protocol: Protocol) -> None:
    """A digit of a setting, which nobody compares while the digests agree, included; without the file all is well."""
    path = folder / "protocol.json"
    text = path.read_text()
    for damage in ('{"digest": ', text.replace('"epochs": 1', '"epochs": 3'), "[]", ""):
        path.write_text(damage)
        with pytest.raises(UnreadableFile, match=r"protocol\.json is damaged .*; delete that file, for every unit"):
            Store(folder, protocol).claim()
    path.unlink()
    Store(folder, protocol).claim()
    assert path.read_text() == text


def test_a_protocol_file_of_an_earlier_revision_is_sealed(folder: Path, protocol: Protocol) -> None:
    path = folder / "protocol.json"
    text = path.read_text()
    path.write_text(
        json.dumps({key: value for key, value in json.loads(text).items() if key not in ("sha256", "inputs")})
    )
    Store(folder, protocol).claim()
    assert path.read_text() == text


def test_corrupted_images_that_changed_meanwhile_are_noticed(tmp_path: Path, tiny: ImageSplits) -> None:
    """The protocol's digest has the first hundred images of each file; the others count too."""
    test = tiny.test
    write_corrupted(tmp_path / "C", to_levels(test.pixels), test.labels, seed=0, names=("fog",))
    (tmp_path / "C" / "corruptions.json").unlink()  # as published

    def protocol() -> Protocol:
        images = Corruptions(("fog",), folder=CorruptedImages(tmp_path / "C"))
        recipe = Recipe(epochs=1, batch_size=32)
        return Protocol(tiny, 2, 1, recipe, [FGSM([8 / 255])], corruptions=images)

    first = protocol()
    Store(tmp_path / "run", first).claim()
    (tmp_path / "run" / "units").mkdir()
    (tmp_path / "run" / "units" / "some.json.gz").touch()
    content = bytearray((tmp_path / "C" / "fog.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "C" / "fog.npy").write_bytes(content)
    assert protocol().digest == first.digest
    with pytest.raises(RunDirectoryError, match=r"holds units of other files \(fog\.npy is [0-9a-f]{12}\.\.\. there"):
        Store(tmp_path / "run", protocol()).claim()


def test_a_bomb_is_a_damaged_file(store: Store, units: list[Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_json, "__kwdefaults__", {"most": 10**6})
    store.path(units[0]).write_bytes(gzip.compress(b" " * 10**7))
    assert store.find(units).missing == [units[0]]


def test_what_a_kill_has_left_is_removed(store: Store, units: list[Unit]) -> None:
    path = store.path(units[0])
    left = path.with_name(f".{path.name}.0123abcd.partial.gz")
    left.write_bytes(path.read_bytes()[:40])
    with replacing(path) as living:
        living.write_bytes(path.read_bytes())
        store.tidy()
        assert living.exists()
        assert not left.exists()
    assert len(store.find(units).records) == 5, "nobody reads them"


def test_numbers_that_are_none_are_not_written(store: Store, units: list[Unit]) -> None:
    record = store.find(units[:1]).records[units[0]]
    broken = UnitRecord(record.unit, {"tiny_test": float("nan")}, record.timed, record.outcomes)
    with pytest.raises(ValueError, match="JSON"):
        store.write(broken)
