"""The tables this project ships: of one piece, what their metadata say, and of cells that follow from a seed."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from agnet.runtime.digests import of_file
from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR, ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION, MEASURE, Column
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import read_table
from evaluation.corruptions import CORRUPTIONS, SEVERITIES
from evaluation.networks.nasbench201 import NetworkShape, count_macs, count_parameters
from evaluation.production.merge import representatives
from evaluation.run import chosen_architectures

SPACE = NASBench201()


class Shipped:
    """A table, read and checked against its hash."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def table(self) -> RobustnessTable:
        return RobustnessTable.read(self.path)

    @cached_property
    def protocol(self) -> dict[str, Any]:
        return json.loads(self.table.metadata["protocol"])

    def column(self, name: str) -> np.ndarray:
        return self.table.table[name].to_numpy()

    @cached_property
    def accuracies(self) -> list[Column]:
        return [c for c in self.table.known if c.kind != MEASURE and c.quantity == "accuracy"]

    def images(self, column: Column) -> int:
        """How many images an accuracy is of, by the protocol."""
        count = self.protocol["images"][column.split]
        if column.kind == ATTACK:
            return min(count, self.protocol.get("attack_images", {}).get(column.key, count))
        return self.protocol["corruptions"]["num_images"] if column.kind == CORRUPTION else count


@pytest.fixture(scope="module", params=sorted(CHECKPOINT_DIR.glob("*.parquet")), ids=lambda path: path.stem)
def shipped(request: pytest.FixtureRequest) -> Shipped:
    return Shipped(request.param)


@pytest.fixture(scope="module")
def digits() -> Shipped:
    return Shipped(CHECKPOINT_DIR / "nasbench201_digits.parquet")


@pytest.fixture(scope="module")
def micro() -> Shipped:
    return Shipped(CHECKPOINT_DIR / "nasbench201_cifar10_micro.parquet")


def test_the_manifest_has_the_files_hash(shipped: Shipped) -> None:
    entry = json.loads((CHECKPOINT_DIR / "MANIFEST.json").read_text())[shipped.path.name]
    assert entry["sha256"] == of_file(shipped.path)
    assert entry["revision"] == shipped.table.metadata["revision"]
    assert entry["metrics"]["protocol_digest"] == shipped.table.metadata["protocol_digest"]


def test_all_members_of_its_classes_have_a_row(shipped: Shipped) -> None:
    """In the benchmark's order."""
    classes = set(shipped.column("isomorph").tolist())
    expected = [i for i, isomorph in enumerate(SPACE.isomorphs) if isomorph in classes]
    assert list(shipped.table.architectures) == [SPACE.enumerate()[i] for i in expected]
    assert shipped.column("isomorph").tolist() == [SPACE.isomorphs[i] for i in expected]


def test_members_of_a_class_share_its_measurements(shipped: Shipped) -> None:
    row = {cell: number for number, cell in enumerate(shipped.table.architectures)}
    first = np.array([row[SPACE.enumerate()[i]] for i in shipped.column("isomorph")])
    latency = next(name for name in shipped.table.table.column_names if name.endswith("_cpu_latency_ms"))
    for name in [*(column.name for column in shipped.table.known), latency]:
        values = shipped.column(name)
        assert np.array_equal(values, values[first], equal_nan=True), name


def test_accuracies_are_whole_images_in_percent(shipped: Shipped) -> None:
    assert len(shipped.accuracies) >= 12
    for column in shipped.accuracies:
        values = shipped.column(column.name)
        hits = values * shipped.images(column) / 100
        assert np.allclose(hits, hits.round(), atol=1e-9), column.name
        assert values.min() >= 0, column.name
        assert values.max() <= 100, column.name


def test_a_constant_network_cannot_be_attacked(shipped: Shipped) -> None:
    """What leaves such a cell is the same for every image, whatever is done to it."""
    keys = [SPACE.functional_key(cell) for cell in shipped.table.architectures]
    dead = np.array([key.split("|")[1] == "" for key in keys])
    if not dead.any():
        pytest.skip("none of the classes drawn is constant")
    rows = np.flatnonzero(dead)
    for column in shipped.accuracies:
        values, clean = shipped.column(column.name)[rows], shipped.column(f"{column.dataset}_{column.split}")[rows]
        same = shipped.images(column) == shipped.protocol["images"][column.split]
        assert (values == clean).all() if same else len(set(values.tolist())) <= 10, column.name
        assert values.max() < 25, column.name


def test_costs_are_the_strings_own(shipped: Shipped) -> None:
    stored = {k: tuple(v) if isinstance(v, list) else v for k, v in shipped.protocol["shape"].items()}
    shape = NetworkShape(**stored)
    size = shipped.protocol.get("image_size", 8)
    for row in np.random.default_rng(0).integers(0, len(shipped.table.architectures), 12):
        cell = shipped.table.architectures[row]
        assert shipped.column("parameters")[row] == count_parameters(cell, shape)
        assert shipped.column("macs")[row] == count_macs(cell, shape, size)


def test_attacks_bite_and_their_radii_spread_over_the_scale(shipped: Shipped) -> None:
    for split in ("valid", "test"):
        for key in ("fgsm", "pgd"):
            columns = [c for c in shipped.accuracies if (c.split, c.key) == (split, key)]
            assert len(columns) >= 2
            medians = [np.median(shipped.column(c.name)) for c in sorted(columns, key=lambda c: c.level)]
            assert medians == sorted(medians, reverse=True)
            assert medians[0] - medians[-1] > 5


def test_the_digits_table_has_every_class(digits: Shipped) -> None:
    assert list(digits.table.architectures) == list(SPACE.enumerate())
    assert len(set(digits.column("isomorph").tolist())) == 6_466


def test_the_micro_table_has_the_classes_that_its_seed_draws(micro: Shipped) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("run", overrides=["experiment=cifar10_micro", "out=unused"])
    drawn = chosen_architectures(cfg, representatives(SPACE))
    assert {SPACE.enumerate()[i] for i in micro.column("isomorph")} == set(drawn)


def test_the_micro_table_has_every_corruption(micro: Shipped) -> None:
    found = {(c.key, c.level) for c in micro.accuracies if c.kind == CORRUPTION}
    assert found == {(name, severity) for name in CORRUPTIONS for severity in SEVERITIES}
    assert {c.kind for c in micro.table.known} == {CLEAN, ATTACK, CORRUPTION, MEASURE}


@pytest.mark.parametrize("name", ["cifar10_micro", "digits"])
def test_they_read_as_objectives(name: str) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("search", overrides=[f"objective={name}"]).objective
    paths = [ROOT / path for path in cfg.tables]
    columns = [*cfg.maximize, *cfg.minimize, *cfg.report]
    assert len(read_table(paths, columns).rows) >= 2_000
