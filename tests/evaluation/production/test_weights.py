"""Networks that are kept: the same logits, whose they are, and what is not theirs."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from agnet.errors import AGNetError, CheckpointMismatch, ConfigurationError, UnreadableFile
from agnet.runtime.executors import InlineExecutor
from agnet.spaces.nasbench201 import NASBench201
from evaluation import load_network
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.production import unit as module
from evaluation.production.produce import produce
from evaluation.production.protocol import Protocol
from evaluation.production.store import Found, Store
from evaluation.production.unit import Unit, UnitRecord
from evaluation.production.weights import Weights, _digest
from evaluation.training.sgd import Recipe, fit

SEEDS = (0, 3)


@pytest.fixture
def call(protocol: Protocol, cells: list[str], catalogue: list[str]) -> Callable[..., Found]:
    def called(folder: Path, **changes: Any) -> Found:
        settings: dict[str, Any] = {"architectures": cells[:2], "seeds": [3], "catalogue": catalogue, "progress": False}
        return produce(
            protocol, folder=folder, executor=InlineExecutor(), **{"keep_weights": True, **settings, **changes}
        )

    return called


@pytest.fixture(scope="module")
def trained(protocol: Protocol, cells: list[str]) -> list[CellNetwork]:
    return fit(cells[:2], protocol.shape, protocol.images.train, protocol.recipe, seed=3)


@pytest.fixture
def weights(tmp_path: Path, protocol: Protocol, trained: list[CellNetwork]) -> Weights:
    kept = Weights(tmp_path, protocol.digest)
    for network in trained:
        kept.write(network, 3)
    return kept


def logits(network: CellNetwork, protocol: Protocol) -> torch.Tensor:
    with torch.no_grad():
        return network(protocol.images.test.pixels)


def test_a_production_keeps_the_networks_it_has_recorded(
    call: Callable[..., Found],
    tmp_path: Path,
    protocol: Protocol,
    cells: list[str],
    trained: list[CellNetwork],
    finished: tuple[Path, Found],
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = call(tmp_path)
    for cell, network in zip(cells[:2], trained, strict=True):
        kept = load_network(tmp_path, cell, 3)
        assert not kept.training
        assert (kept.architecture, kept.shape) == (cell, protocol.shape)
        assert logits(kept, protocol).equal(logits(network, protocol))
        record = found.records[Unit(cell, 3)]
        assert record.columns == finished[1].records[Unit(cell, 3)].columns, "as without weights"
        assert record.weights == Weights(tmp_path, protocol.digest).digest(cell, 3)
    assert len(list((tmp_path / "weights").glob("??/*.safetensors"))) == 2
    assert "trained again" not in capfd.readouterr().err


def test_channels_last_networks_too(tmp_path: Path, protocol: Protocol, cells: list[str]) -> None:
    """Wide networks are trained in another memory layout, on which rounding depends."""
    images = dataclasses.replace(protocol.images.train, stored=protocol.images.train.pixels.repeat(1, 1, 2, 2))
    shape = dataclasses.replace(protocol.shape, channels=8)
    [network] = fit(cells[4:5], shape, images.first(32), Recipe(epochs=1, batch_size=32), seed=0)
    weight = network.reductions[1].conv_b[1].weight  # type: ignore[index, union-attr]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    kept = Weights(tmp_path, "p")
    kept.write(network, 0)
    back, _ = kept.read(cells[4], 0)
    with torch.no_grad():
        assert back(images.pixels[:20]).equal(network(images.pixels[:20]))
    assert all(p.stride() == back.state_dict()[name].stride() for name, p in network.state_dict().items())


def test_every_way_to_name_a_network(weights: Weights, space: NASBench201, protocol: Protocol) -> None:
    """By a file, by any member of its class; without drawing weights, and fit for gradients in any case."""
    all_cells = space.enumerate()
    twin, cell = next((all_cells[i], all_cells[j]) for i, j in enumerate(space.isomorphs) if i != j)
    network = CellNetwork(cell, protocol.shape).eval()
    weights.write(network, 3)
    file = weights.path(cell, 3)
    for arguments in ((file,), (str(weights.folder), cell, 3), (weights.folder, twin, 3)):
        assert load_network(*arguments).state_dict()["stem.0.weight"].equal(network.state_dict()["stem.0.weight"])
    with torch.inference_mode():
        assert all(p.requires_grad for p in load_network(file).parameters())
    state = torch.random.get_rng_state()
    load_network(file)
    assert torch.random.get_rng_state().equal(state), "no weights are drawn"


def test_a_network_that_is_not_named_or_not_there(weights: Weights, cells: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="may hold several networks; give the architecture"):
        load_network(weights.folder)
    with pytest.raises(ConfigurationError, match="leave out the architecture"):
        load_network(weights.path(cells[0], 3), cells[0])
    with pytest.raises(UnreadableFile, match=r"no weights of .*, seed 7; evaluation.run keeps .* keep_weights=true"):
        load_network(weights.folder, cells[0], 7)


def test_a_table_names_the_networks_beside_it(weights: Weights, cells: list[str], protocol: Protocol) -> None:
    import pyarrow as pa

    from agnet.tables.table import write_table

    table = pa.table({"architecture": [cells[0]], "tiny_test": [50.0]})
    path = weights.folder / "table.parquet"
    write_table(path, table, {"protocol_digest": protocol.digest})
    assert load_network(path, cells[0], 3).architecture == cells[0]
    write_table(path, table, {"protocol_digest": "0123"})
    with pytest.raises(CheckpointMismatch, match="was made under protocol 0123, the weights beside it under"):
        load_network(path, cells[0], 3)


def test_the_same_network_is_the_same_file(weights: Weights, trained: list[CellNetwork]) -> None:
    path = weights.path(trained[0].architecture, 3)
    before = path.read_bytes()
    for _ in range(3):
        weights.write(trained[0], 3)
        assert path.read_bytes() == before


def rewritten(data: bytes, **changes: Any) -> bytes:
    """The file with other content and a hash that fits it, as a forger would write it."""
    size = int.from_bytes(data[:8], "little")
    about = {**json.loads(data[8 : 8 + size])["__metadata__"], **changes}
    del about["sha256"]
    tensors = load(data)
    if "stem.0.weight" in about:
        tensors["stem.0.weight"] = about.pop("stem.0.weight")
    return save(tensors, {**about, "sha256": _digest(about, tensors)})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "it ends early"),
        (lambda data: data[:-10], "damaged"),
        (lambda data: b"\xff" * 8 + data[8:], "it ends early"),
        (lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "does not match its hash"),
        (lambda data: data.replace(b'"seed": "3"', b'"seed": "4"'), "does not match its hash"),
        (lambda data: save({"a": torch.zeros(1)}), "does not say which network"),
        (lambda data: rewritten(data, format_version="2"), "format_version=2, this revision reads 1"),
        (lambda data: rewritten(data, shape=json.dumps({"channels": 3})), "not hold a network of the shape it names"),
        (lambda data: rewritten(data, shape=json.dumps({"cells_per_stage": 10**9})), "cells_per_stage=1000000000"),
        (lambda data: rewritten(data, shape="[]"), "not hold a network of the shape it names"),
        (lambda data: rewritten(data, architecture="|x~0|"), "not hold a network of the shape it names"),
        (lambda data: rewritten(data, **{"stem.0.weight": torch.zeros(2, 1, 3, 3).double()}), "is of torch.float64"),
    ],
    ids=["empty", "cut", "header", "bit", "seed", "foreign", "version", "shape", "deep", "list", "cell", "double"],
)
def test_a_damaged_file_is_one_line(
    weights: Weights, cells: list[str], damage: Callable[[bytes], bytes], said: str
) -> None:
    path = weights.path(cells[0], 3)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AGNetError, match=said) as raised:
        load_network(path)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", ["cell", "seed", "protocol"])
def test_weights_of_another_unit_are_named(weights: Weights, cells: list[str], what: str) -> None:
    asked = weights if what != "protocol" else Weights(weights.folder, "0123")
    cell, seed = cells[0] if what != "cell" else cells[1], 3 if what != "seed" else 4
    target = asked.path(cell, seed)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(weights.path(cells[0], 3).read_bytes())
    with pytest.raises(CheckpointMismatch, match=rf"holds the weights of {what} "):
        asked.read(cell, seed)


def test_units_without_weights_are_trained_again(
    call: Callable[..., Found],
    folder: Path,
    protocol: Protocol,
    cells: list[str],
    finished: tuple[Path, Found],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Those of a run that kept none, and those whose file was removed; a failure meanwhile is one."""
    found = call(folder, seeds=list(SEEDS), keep_weights=False)
    assert all(record.weights is None for record in found.records.values())
    found = call(folder)
    assert capfd.readouterr().err == "note: 2 units are done but have no weights; they are trained again\n"
    unit = Unit(cells[0], 3)
    assert found.records[unit].columns == finished[1].records[unit].columns
    assert (found.stale, found.missing) == ([], [])
    call(folder)
    assert capfd.readouterr().err == ""
    Weights(folder, protocol.digest).path(cells[0], 3).unlink()
    assert "note: 1 units are done but have no weights" in (call(folder), capfd.readouterr().err)[1]
    assert Store(folder, protocol).find([Unit(cells[0], 0)]).records[Unit(cells[0], 0)].weights is None


def test_a_unit_that_fails_when_it_is_trained_again(
    call: Callable[..., Found], folder: Path, cells: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object, **named: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(module, "fit_and_validate", failing)
    found = call(folder)
    assert [failure.error for failure in found.failures.values()] == ["RuntimeError: broken"] * 2
    assert found.stale == list(found.failures)
    assert len(found.records) == 0
    monkeypatch.undo()
    assert len(call(folder, retry=True).records) == 2


def test_a_record_is_whole_only_with_its_weights(
    call: Callable[..., Found], tmp_path: Path, cells: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights come first: after a kill between the two the unit is made again."""
    seen: list[bool] = []
    real = Store.write

    def spy(self: Store, result: Any) -> None:
        assert isinstance(result, UnitRecord)
        seen.append(Weights(tmp_path, self.digest).path(result.unit.architecture, result.unit.seed).exists())
        real(self, result)

    monkeypatch.setattr(Store, "write", spy)
    call(tmp_path)
    assert seen == [True, True]


def test_shapes_with_a_mean_for_each_channel(tmp_path: Path, cells: list[str]) -> None:
    shape = NetworkShape(4, 3, 2, 1, (0.1, 0.2, 0.3), (0.5, 0.5, 0.25))
    network = CellNetwork(cells[3], shape).eval()
    kept = Weights(tmp_path, "p")
    kept.write(network, 0)
    assert kept.read(cells[3], 0)[0].shape == shape
