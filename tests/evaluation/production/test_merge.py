"""The table and the manifest that checked units become."""

import dataclasses
import hashlib
import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from agnet.errors import RunDirectoryError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import parse_column
from agnet.tables.conditions import read_details
from agnet.tables.table import read_metadata, read_table
from evaluation.networks.nasbench201 import count_macs, count_parameters
from evaluation.production.merge import cpu_seconds, merge, representatives, write_manifest
from evaluation.production.protocol import Protocol
from evaluation.production.store import Found, Store
from evaluation.production.unit import Failure, Unit, UnitRecord

METADATA = {"command": "python -m evaluation.run", "revision": "abc"}
LATENCY = "tiny_cpu_latency_ms"


def test_representatives_are_the_lowest_ids(space: NASBench201, catalogue: list[str]) -> None:
    assert catalogue == representatives(space)
    assert len(catalogue) == len(set(catalogue)) == 6_466
    ids = [space.enumerate().index(a) for a in catalogue[:300]]
    assert ids == sorted(ids)
    assert all(space.canonical(a) == a for a in catalogue)


@pytest.fixture(scope="module")
def made_up(space: NASBench201) -> Found:
    """Measurements of the largest class, a class of one, and classes whose members cost differently."""
    sizes = Counter(space.isomorphs)
    ((largest, _),) = sizes.most_common(1)
    single = next(i for i, n in sizes.items() if n == 1)
    cells = space.enumerate()
    records: dict[Unit, UnitRecord] = {}
    for rank, i in enumerate([largest, single, *(i for i, n in sizes.most_common(4)[1:])]):
        unit = Unit(cells[i], 0)
        records[unit] = UnitRecord(unit, {"tiny_valid": float(rank), "tiny_test": 50.0 - rank / 3}, {LATENCY: 1.0}, [])
    return Found(records)


@pytest.fixture(scope="module")
def table_path(
    made_up: Found, protocol: Protocol, space: NASBench201, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("merged")
    count = merge(made_up, protocol, space, folder / "table.parquet", folder / "details.parquet", METADATA)
    classes = {space.isomorphs[space.enumerate().index(unit.architecture)] for unit in made_up.records}
    assert count == sum(n for i, n in Counter(space.isomorphs).items() if i in classes)
    return folder / "table.parquet"


def test_every_member_has_its_representatives_measurements(
    table_path: Path, made_up: Found, space: NASBench201
) -> None:
    table = read_table([table_path], ["isomorph", "tiny_valid", "tiny_test"])
    known = {unit.architecture: record.columns for unit, record in made_up.records.items()}
    expected = [a for a in space.enumerate() if space.canonical(a) in known]
    assert sorted(table.rows) == sorted(expected)
    assert len(expected) > 275 + 1
    for architecture, values in zip(expected, table.lookup(expected).tolist(), strict=True):
        representative = space.canonical(architecture)
        row = known[representative]
        assert values == [space.enumerate().index(representative), row["tiny_valid"], row["tiny_test"]]


def test_costs_are_counted_for_the_string(table_path: Path, protocol: Protocol, space: NASBench201) -> None:
    """A class has one accuracy, but its members need not have one number of parameters."""
    table = read_table([table_path], ["parameters", "macs", "isomorph"])
    chosen = [a for a in space.enumerate() if a in table.rows][::40]
    for architecture, (parameters, macs, _) in zip(chosen, table.lookup(chosen).tolist(), strict=True):
        assert parameters == count_parameters(architecture, protocol.shape), architecture
        assert macs == count_macs(architecture, protocol.shape, protocol.image_size), architecture
    costs: dict[float, set[float]] = {}
    for parameters, _, isomorph in table.values.tolist():
        costs.setdefault(isomorph, set()).add(parameters)
    assert max(map(len, costs.values())) > 1


def test_a_table_says_where_it_comes_from(table_path: Path, protocol: Protocol) -> None:
    metadata = read_metadata(table_path)
    assert metadata["space"] == "nasbench201"
    assert metadata["dataset"] == "tiny"
    assert metadata["seeds"] == "[0]"
    assert metadata["command"] == METADATA["command"]
    assert metadata["revision"] == "abc"
    assert metadata["torch"] == torch.__version__
    assert metadata["protocol_digest"] == protocol.digest
    assert json.loads(metadata["protocol"]) == json.loads(json.dumps(protocol.describe()))


def test_the_order_of_units_does_not_matter(
    table_path: Path, made_up: Found, protocol: Protocol, space: NASBench201, tmp_path: Path
) -> None:
    backwards = Found(dict(reversed(made_up.records.items())))
    merge(backwards, protocol, space, tmp_path / "again.parquet", tmp_path / "details.parquet", {})
    again = read_metadata(tmp_path / "again.parquet")["content_sha256"]
    assert again == read_metadata(table_path)["content_sha256"]


# ------------------------------------------------------------------------------------------------------- real units


@pytest.fixture(scope="module")
def merged(
    finished: tuple[Path, Found], protocol: Protocol, space: NASBench201, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("real")
    merge(finished[1], protocol, space, folder / "table.parquet", folder / "details.parquet", METADATA)
    return folder


def test_several_seeds_are_averaged(merged: Path, finished: tuple[Path, Found], cells: list[str]) -> None:
    records = finished[1].records
    names = list(records[Unit(cells[0], 0)].columns)
    assert len(names) > 20
    table = read_table([merged / "table.parquet"], [*names, LATENCY])
    for cell in cells:
        *means, latency = table.lookup([cell])[0].tolist()
        seeds = [records[Unit(cell, seed)] for seed in (0, 3)]
        assert means == pytest.approx([np.mean([r.columns[name] for r in seeds]) for name in names])
        assert latency == min(r.timed[LATENCY] for r in seeds)
    assert read_metadata(merged / "table.parquet")["seeds"] == "[0, 3]"


def test_confidences_of_right_and_wrong_test_images(
    merged: Path, finished: tuple[Path, Found], cells: list[str], protocol: Protocol
) -> None:
    names = [name for name in _columns(merged) if "confidence" in name]
    columns = [parse_column(name) for name in names]
    assert {(c.split, c.key, c.quantity) for c in columns if c} == {
        ("test", key, f"confidence_{side}") for key in ("clean", "fgsm", "pgd") for side in ("right", "wrong")
    }
    row = read_table([merged / "table.parquet"], ["tiny_test_fgsm_eps8_confidence_right"], missing="drop")
    for cell in cells:
        found = [
            outcome["confidence_right"]
            for seed in (0, 3)
            for outcome in finished[1].records[Unit(cell, seed)].outcomes
            if (outcome["split"], outcome["key"]) == ("test", "fgsm")
        ]
        assert row.lookup([cell]).item() == pytest.approx(np.mean([v for v in found if v is not None]), abs=1e-4)


def _columns(merged: Path) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_schema(merged / "table.parquet").names


def test_details_have_every_outcome_of_every_network(merged: Path, finished: tuple[Path, Found]) -> None:
    details = read_details(merged / "details.parquet").to_pylist()
    records = finished[1].records
    assert len(details) == sum(len(record.outcomes) for record in records.values())
    for row in details:
        record = records[Unit(row["architecture"], row["seed"])]
        keys = ("split", "kind", "key", "level")
        [outcome] = [o for o in record.outcomes if all(o[key] == row[key] for key in keys)]
        assert row["dataset"] == "tiny"
        assert row["robust"].hex() == outcome["robust"]
        assert row["confusion"] == outcome["confusion"]
        assert row["accuracy"] == outcome["accuracy"]


def test_a_cell_that_lacks_a_seed_is_left_out(
    finished: tuple[Path, Found], protocol: Protocol, space: NASBench201, tmp_path: Path, cells: list[str]
) -> None:
    records = dict(finished[1].records)
    failed, open_ = Unit(cells[0], 3), Unit(cells[1], 0)
    for unit in (failed, open_):
        del records[unit]
    found = Found(records, {failed: Failure(failed, "out of memory", "")}, [open_])
    merge(found, protocol, space, tmp_path / "table.parquet", tmp_path / "details.parquet", {})
    rows = {space.canonical(a) for a in read_table([tmp_path / "table.parquet"], ["tiny_test"]).rows}
    assert rows == set(cells[2:])


def test_nothing_to_merge(protocol: Protocol, space: NASBench201, tmp_path: Path) -> None:
    unit = Unit("x", 0)
    found = Found({}, {unit: Failure(unit, "out of memory", "")})
    with pytest.raises(RunDirectoryError, match="no unit is done of 1"):
        merge(found, protocol, space, tmp_path / "table.parquet", tmp_path / "details.parquet", {})


def test_a_manifest_vouches_for_units_and_files(
    folder: Path, merged: Path, finished: tuple[Path, Found], protocol: Protocol
) -> None:
    store, found = Store(folder, protocol), finished[1]
    failed = Failure(Unit("x", 1), "out of memory", "")
    table = merged / "table.parquet"
    partly, seconds = dataclasses.replace(found, failures={failed.unit: failed}), cpu_seconds(found)
    write_manifest(store, partly, seconds, {"table": table}, METADATA)
    written: dict[str, Any] = json.loads((folder / "production.json").read_text())
    assert written["units"] == {"done": 10, "failed": 1, "missing": 0}
    assert written["failures"] == {"x, seed 1": "out of memory"}
    assert written["files"]["table"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert sum(written["cpu_seconds"].values()) == pytest.approx(sum(seconds.values()), abs=0.2)
    path = next(iter((folder / "units").iterdir()))
    path.write_bytes(path.read_bytes() + b"x")
    write_manifest(store, found, seconds, {"table": table}, METADATA)
    assert json.loads((folder / "production.json").read_text())["units_sha256"] != written["units_sha256"]


def test_latencies_measured_again_replace_those_of_the_units(
    finished: tuple[Path, Found],
    protocol: Protocol,
    space: NASBench201,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fastest of several rounds over all cells; nothing else changes."""
    passes = iter(range(1000, 0, -1))
    module = importlib.import_module("evaluation.production.merge")
    monkeypatch.setattr(module, "latency_ms", lambda *_, **__: float(next(passes)))
    tables = []
    for retime in (False, True):
        path = tmp_path / f"{retime}.parquet"
        merge(finished[1], protocol, space, path, tmp_path / "details.parquet", {}, retime=retime)
        tables.append(pq.read_table(path))
    before, after = tables
    assert after.drop_columns(protocol.latency).equals(before.drop_columns(protocol.latency))
    cells = len(set(after["isomorph"].to_pylist()))
    calls = 1000 - next(passes)
    assert calls % cells == 0
    assert calls > cells, "more than one round"
    assert set(after[protocol.latency].to_pylist()) == {1000.0 - calls + i for i in range(1, cells + 1)}, "the last"
