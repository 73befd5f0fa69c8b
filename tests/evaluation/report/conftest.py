from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from agnet.runtime.paths import ROOT
from agnet.tables.columns import parse_column
from agnet.tables.table import write_table
from evaluation.report.measurements import SPACE, Measurements

REPRESENTATIVES = SPACE.representatives

Measure = Callable[..., Measurements]
Save = Callable[..., Path]


@pytest.fixture(scope="session")
def measure() -> Measure:
    """Measurements of the first classes, or of those named, from columns of numbers."""

    def build(
        columns: Mapping[str, Sequence[float]],
        ids: Sequence[int] | None = None,
        costs: Mapping[str, Sequence[float]] | None = None,
    ) -> Measurements:
        values = {}
        for name, numbers in columns.items():
            column = parse_column(name)
            assert column is not None
            values[column] = np.array(numbers, dtype=np.float64)
        count = len(next(iter(values.values())))
        chosen = list(REPRESENTATIVES[:count]) if ids is None else list(ids)
        priced = {name: np.array(numbers, dtype=np.float64) for name, numbers in (costs or {}).items()}
        first = next(iter(values))
        return Measurements(first.dataset, first.split, np.array(chosen), values, priced)

    return build


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a table of cells, named by id, and returns its path."""

    def write(name: str, ids: Sequence[int], **columns: Sequence[float | None]) -> Path:
        path = tmp_path / f"{name}.parquet"
        cells = [SPACE.enumerate()[i] for i in ids]
        write_table(path, pa.table({"architecture": cells, **columns}), {"dataset": "made up"})
        return path

    return write


@pytest.fixture(scope="session")
def published() -> Path:
    """The published table, where it lies beside the checkout."""
    path = ROOT.parent / "shared" / "data" / "nasbench201_robustness_cifar10.parquet"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path
