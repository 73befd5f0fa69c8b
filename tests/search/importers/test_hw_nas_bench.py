import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import PUBLISHED_NAMES
from agnet.tables.table import read_metadata, read_table
from search.importers.hw_nas_bench import QUANTITIES, HWNASBench

SIZE = 5**6
OTHER = "eyeriss_arithmetic_intensity"


def made_up() -> dict[str, Any]:
    """The published layout: lists of numbers, some of them numpy's, beside the networks' settings."""
    config = [
        {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": a, "num_classes": 10} for a in NASBench201().enumerate()
    ]
    space: dict[str, Any] = {}
    for offset, dataset in enumerate(PUBLISHED_NAMES):
        numbers = {q: (np.arange(SIZE) + 10000.0 * offset + 0.5).tolist() for q in (*QUANTITIES, OTHER)}
        numbers["edgetpu_latency"][3] = -1
        numbers["fpga_energy"] = np.array(numbers["fpga_energy"])
        numbers["raspi4_latency"][0] = np.float64(7.25)
        space[dataset] = {"config": config, **numbers}
    return {"nasbench201": space, "fbnet": {"edgegpu_latency": {"ConvNorm_H32": 0.1}}}


@pytest.fixture
def content() -> dict[str, Any]:
    return made_up()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def written(data: Any) -> Path:
        path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
        path.write_bytes(pickle.dumps(data))
        return path

    return written


def read(path: Path) -> Any:
    return HWNASBench().read(path, progress=False)


def test_columns_units_and_the_order_of_ids(content: dict[str, Any], write: Any) -> None:
    table = read(write(content))
    assert table["architecture"].to_pylist() == list(NASBench201().enumerate())
    assert table.column_names[1:10] == [
        *("cifar10_edgegpu_latency_ms", "cifar10_edgegpu_energy_mj", "cifar10_raspi4_latency_ms"),
        *("cifar10_edgetpu_latency_ms", "cifar10_pixel3_latency_ms", "cifar10_eyeriss_latency_ms"),
        *("cifar10_eyeriss_energy_mj", "cifar10_fpga_latency_ms", "cifar10_fpga_energy_mj"),
    ]
    assert table.num_columns == 1 + 3 * 9
    assert table["cifar10_pixel3_latency_ms"][5].as_py() == 5.5
    assert table["imagenet16_fpga_energy_mj"][5].as_py() == 20005.5
    assert table["cifar10_raspi4_latency_ms"][0].as_py() == 7.25


def test_what_a_device_cannot_run_is_empty(content: dict[str, Any], write: Any) -> None:
    column = read(write(content))["cifar100_edgetpu_latency_ms"]
    assert column.null_count == 1
    assert column[3].as_py() is None


def test_the_command(content: dict[str, Any], write: Any, call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    out = call("importer=hw_nas_bench", f"path={write(content)}")
    said = capfd.readouterr().out
    assert "15625 architectures, 27 columns" in said
    assert "rows without a value: cifar10_edgetpu_latency_ms (1)" in said
    assert read_metadata(out)["source"] == "HW-NAS-Bench"
    assert len(read_table([out], ["cifar10_pixel3_latency_ms"]).rows) == SIZE
    with pytest.raises(TableError, match="cifar10_edgetpu_latency_ms"):
        read_table([out], ["cifar10_edgetpu_latency_ms"])


def test_files_without_settings_are_in_the_order_of_ids(content: dict[str, Any], write: Any) -> None:
    expected = read(write(content))
    for lists in content["nasbench201"].values():
        del lists["config"]
    assert read(write(content)).equals(expected)


def test_code_is_not_run(content: dict[str, Any], write: Any, malicious: object, refused: Any) -> None:
    content["fbnet"] = malicious
    said = refused("importer=hw_nas_bench", f"path={write(content)}")
    assert "HW-NAS-Bench-v1_0.pickle is refused: it wants to call posix.system" in said


@pytest.mark.parametrize("length", [0, 1, 1000, -1])
def test_truncated_files_are_named(content: dict[str, Any], write: Any, length: int) -> None:
    path = write(content)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TableError, match=r"HW-NAS-Bench-v1_0\.pickle is damaged.*download it again"):
        read(path)


def edited(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    content["nasbench201"]["cifar100"][key] = value
    return content


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: [c], "holds a list, not a dictionary with 'nasbench201'"),
        (lambda c: {"fbnet": c["fbnet"]}, "has no 'nasbench201', only fbnet"),
        (lambda c: {"nasbench201": {"cifar10": c["nasbench201"]["cifar10"]}}, "nasbench201 has no 'cifar100', only"),
        (lambda c: {"nasbench201": {key: [1] for key in PUBLISHED_NAMES}}, "cifar10 holds a list"),
        (lambda c: {"nasbench201": {key: {} for key in PUBLISHED_NAMES}}, "has no 'edgegpu_latency', only nothing"),
        (lambda c: edited(c, "fpga_latency", [1.0]), r"cifar100, fpga_latency holds \[1\] values, not 15625"),
        (lambda c: edited(c, "fpga_latency", ["fast"] * SIZE), "cifar100, fpga_latency holds no numbers"),
        (lambda c: edited(c, "fpga_latency", None), "fpga_latency holds"),
        (
            lambda c: edited(c, "config", c["nasbench201"]["cifar10"]["config"][::-1]),
            "config 0 is .* not NAS",
        ),
        (lambda c: edited(c, "config", []), "config has no arch_str for architecture 0"),
        (lambda c: edited(c, "config", None), "config has no arch_str for architecture 0"),
    ],
)
def test_other_contents_are_refused(content: dict[str, Any], write: Any, edit: Any, message: str) -> None:
    with pytest.raises(TableError, match=rf"HW-NAS-Bench-v1_0\.pickle.*{message}"):
        read(write(edit(content)))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is no file; give HW-NAS-Bench"):
        read(tmp_path)


@pytest.mark.data
def test_the_shared_table_comes_back(content: dict[str, Any], write: Any, shared_data: Path) -> None:
    """The published numbers, put into the published layout, in names, order and sentinels."""
    shared = pq.read_table(shared_data / "nasbench201_hardware.parquet")
    for theirs, ours in PUBLISHED_NAMES.items():
        for quantity, unit in QUANTITIES.items():
            if (name := f"{ours}_{quantity}_{unit}") in shared.column_names:
                values = shared[name].to_numpy()
                content["nasbench201"][theirs][quantity] = np.where(np.isnan(values), -1, values)
    table = read(write(content))
    assert [n for n in table.column_names if not n.startswith("cifar100_")] == shared.column_names
    assert table["architecture"].to_pylist() == shared["architecture"].to_pylist()
    assert table["cifar10_edgetpu_latency_ms"].null_count == 4699
    for name in shared.column_names[1:]:
        assert np.array_equal(table[name].to_numpy(), shared[name].to_numpy().astype(np.float64), equal_nan=True)
