"""The table this project ships: complete, of one piece, and what its metadata says."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from agnet.paths import CHECKPOINT_DIR
from agnet.spaces import NASBench201
from agnet.tables import content_hash, read_metadata, read_table
from evaluation.network import NetworkShape, count_macs, count_parameters

PATH = CHECKPOINT_DIR / "nasbench201_digits.parquet"
SPACE = NASBench201()
TABLE = pq.read_table(PATH)
ACCURACIES = [name for name in TABLE.column_names if name.startswith(("digits_valid", "digits_test"))]


def column(name: str) -> np.ndarray:
    return TABLE[name].to_numpy()


def test_6466_classes_cover_all_15625_strings() -> None:
    assert TABLE["architecture"].to_pylist() == list(SPACE.enumerate())
    assert column("isomorph").tolist() == SPACE.isomorphs
    assert len(set(column("isomorph"))) == 6466


def test_content_is_what_was_hashed() -> None:
    assert content_hash(TABLE) == read_metadata(PATH)["content_sha256"]


def test_members_of_a_class_share_its_measurements() -> None:
    representative = column("isomorph")
    for name in [*ACCURACIES, "digits_cpu_latency_ms"]:
        assert (column(name) == column(name)[representative]).all()


@pytest.mark.parametrize("name", ACCURACIES)
def test_accuracies_are_whole_images_in_percent(name: str) -> None:
    images = json.loads(read_metadata(PATH)["protocol"])["images"]["valid" if "valid" in name else "test"]
    hits = column(name) * images / 100
    assert np.allclose(hits, hits.round(), atol=1e-9)
    assert column(name).min() >= 0
    assert column(name).max() <= 100


def test_attacks_bite_and_their_grid_spreads_over_the_scale() -> None:
    for part in ("valid", "test"):
        for attack, grid in (("fgsm", (8, 16, 24, 32, 48)), ("pgd", (8, 16, 24, 32))):
            medians = [np.median(column(f"digits_{part}_{attack}_eps{eps}")) for eps in grid]
            assert medians == sorted(medians, reverse=True)
            assert medians[0] > 75
            assert medians[-1] < 25
        # PGD is the stronger attack on the whole
        assert column(f"digits_{part}_pgd_eps16").mean() < column(f"digits_{part}_fgsm_eps16").mean()


def test_a_constant_network_cannot_be_attacked() -> None:
    dead = np.array(
        [not any_live for any_live in (SPACE.functional_key(a).split("|")[1] != "" for a in SPACE.enumerate())]
    )
    assert dead.sum() == 341
    for name in ACCURACIES:
        part = "valid" if "valid" in name else "test"
        # what leaves such a cell is constant, so an attack changes nothing
        assert (column(name)[dead] == column(f"digits_{part}")[dead]).all()
        assert column(name)[dead].max() < 15


def test_costs_are_the_strings_own() -> None:
    protocol = json.loads(read_metadata(PATH)["protocol"])
    shape = NetworkShape(**protocol["shape"])
    for row in np.random.default_rng(0).integers(0, 15_625, 12):
        cell = SPACE.enumerate()[row]
        assert column("parameters")[row] == count_parameters(cell, shape)
        assert column("macs")[row] == count_macs(cell, shape, 8)


def test_it_reads_as_an_objective() -> None:
    table = read_table([PATH], ["digits_valid", "digits_valid_pgd_eps16"])
    assert len(table.rows) == 15_625
