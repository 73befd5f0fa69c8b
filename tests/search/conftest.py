"""A made-up table of all NAS-Bench-201 cells, with ties, and a command's refusal."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.objective import Objective, Report, read_objective
from agnet.tables.table import write_table


@pytest.fixture(scope="session")
def space() -> NASBench201:
    return NASBench201()


@pytest.fixture(scope="session")
def table(space: NASBench201, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the names of the bundled table's columns; the numbers follow the operations, rounded to whole steps."""
    counts = np.array([[space.parse(cell).count(name) for name in space.operations] for cell in space.enumerate()])
    noise = np.random.default_rng(0).normal(size=(len(counts), 2))
    valid = np.round(60 + counts @ [4, 6, 1, 2, -5] + noise[:, 0])
    robust = np.round(40 + counts @ [2, 1, 6, 4, -6] + noise[:, 1])
    columns = {
        "architecture": list(space.enumerate()),
        "cifar10micro_valid": valid,
        "cifar10micro_valid_pgd_eps4": robust,
        "cifar10micro_test": valid - 1,
        "cifar10micro_test_pgd_eps4": robust - 1,
        "cifar10micro_test_fgsm_eps4": robust + 2,
        "parameters": 1000 * counts[:, 0] + 9000 * counts[:, 1],
        "cifar10micro_cpu_latency_ms": 0.1 + counts @ [0.1, 0.3, 0.2, 0.0, 0.0],
    }
    path = tmp_path_factory.mktemp("tables") / "digits.parquet"
    write_table(path, pa.table(columns), {"space": "nasbench201"})
    return path


@pytest.fixture
def one(table: Path) -> tuple[Objective, Report]:
    """One objective."""
    return read_objective([table], maximize=["cifar10micro_valid"], report=["cifar10micro_test"])


@pytest.fixture
def two(table: Path) -> tuple[Objective, Report]:
    """One objective up, one down."""
    return read_objective(
        [table], ["cifar10micro_valid"], ["cifar10micro_cpu_latency_ms"], ["cifar10micro_test", "parameters"]
    )


@pytest.fixture
def refused(call: Any, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command that a file tests by its fixture ``call``, which refuses with status 2; what it says."""

    def refused_call(*overrides: str) -> str:
        with pytest.raises(SystemExit) as stop:
            call(*overrides)
        assert stop.value.code == 2
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return said

    return refused_call
