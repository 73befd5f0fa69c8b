"""HW-NAS-Bench: latency and energy of the NAS-Bench-201 cells on six devices, ``HW-NAS-Bench-v1_0.pickle``.

Source: Li et al., 2021, https://github.com/GATECH-EIC/HW-NAS-Bench (MIT). The file is a dictionary. Under
``nasbench201`` and the data set's name it has one list per quantity, in NAS-Bench-201's order of ids, and ``config``,
the networks' settings. Latencies are in ms and energies in mJ, for one image. -1 means that a device cannot run a cell:
the Edge TPU's compiler rejects three in ten.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import PUBLISHED_NAMES
from agnet.tables.table import KEY
from search.importers.base import Importer, entry, unpickle

QUANTITIES = {
    "edgegpu_latency": "ms",
    "edgegpu_energy": "mj",
    "raspi4_latency": "ms",
    "edgetpu_latency": "ms",
    "pixel3_latency": "ms",
    "eyeriss_latency": "ms",
    "eyeriss_energy": "mj",
    "fpga_latency": "ms",
    "fpga_energy": "mj",
}
"""Units of the file's quantities, by name; ``eyeriss_arithmetic_intensity`` is left out."""

_REMEDY = "give HW-NAS-Bench-v1_0.pickle, or download it again"


@dataclass(frozen=True, kw_only=True)
class HWNASBench(Importer):
    """Reads the NAS-Bench-201 half of the file; its other half, FBNet, is ignored."""

    def metadata(self) -> dict[str, str]:
        """The table's metadata: the source."""
        return {"source": "HW-NAS-Bench", "seeds": "none: one measurement or estimate per device and cell"}

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read the file; see :class:`~search.importers.base.Importer`."""
        del progress  # reading takes a second
        if not path.is_file():
            raise TableError(f"{path} is no file; {_REMEDY}")
        with path.open("rb") as file:
            content = unpickle(file, str(path), _REMEDY)
        space = entry(content, "nasbench201", str(path), _REMEDY)
        architectures = list(NASBench201().enumerate())
        columns: dict[str, Any] = {KEY: architectures}
        for theirs, ours in PUBLISHED_NAMES.items():
            where = f"{path}: {theirs}"
            lists = entry(space, theirs, f"{path}: nasbench201", _REMEDY)
            for quantity, unit in QUANTITIES.items():
                values = _values(entry(lists, quantity, where, _REMEDY), len(architectures), f"{where}, {quantity}")
                columns[f"{ours}_{quantity}_{unit}"] = pa.array(values, from_pandas=True)
            _check_order(lists, architectures, where)
        return pa.table(columns)


def _check_order(lists: Any, architectures: list[str], where: str) -> None:
    """Refuse a file whose networks' settings, if it has any, are not in the order of ids."""
    if "config" not in lists:
        return
    for index, architecture in enumerate(architectures):
        try:
            name = lists["config"][index]["arch_str"]
        except (LookupError, TypeError) as error:
            raise TableError(f"{where}, config has no arch_str for architecture {index}; {_REMEDY}") from error
        if name != architecture:
            raise TableError(f"{where}, config {index} is {name!r}, not NAS-Bench-201's {architecture!r}; {_REMEDY}")


def _values(values: Any, size: int, where: str) -> np.ndarray:
    """Values as float64, NaN if a device cannot run the cell."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"{where} holds no numbers ({error}); {_REMEDY}") from error
    if array.shape != (size,):
        raise TableError(f"{where} holds {list(array.shape)} values, not {size}; {_REMEDY}")
    array[array < 0] = np.nan
    return array
