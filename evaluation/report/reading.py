"""Read a robustness table for the analyses: its data sets, with one row for every evaluated class."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from agnet.errors import ConfigurationError, TableError
from agnet.tables.columns import CLEAN, MEASURE, Column, parse_column
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import column_names, read_table
from evaluation.report.costs import COUNTS, count_costs, is_cost
from evaluation.report.measurements import SPACE, Measurements


def read_measurements(
    table: Path, extra: Sequence[Path] = (), *, datasets: Sequence[str] | None = None, split: str | None = None
) -> list[Measurements]:
    """Read every data set of a table.

    Args:
        table: a robustness table of NAS-Bench-201 (:mod:`agnet.tables.columns`). Its column ``isomorph``, if it has
            one, names the id of the cell that was evaluated for a row's class; otherwise that is the one with the
            lowest id.
        extra: tables whose columns of the same data sets and splits, measures and costs are joined.
        datasets: those to read; None for all.
        split: ``valid`` or ``test``; None for ``test`` where there is one.

    Raises:
        TableError: if a table cannot be read, or has no accuracies of NAS-Bench-201 cells.
        ConfigurationError: if there is no such data set or split.
    """
    paths = [table, *extra]
    for key, path in zip(["table", *["tables"] * len(extra)], paths, strict=True):
        if not path.is_file():
            raise TableError(f"no table at {path}; check {key} (paths are relative to the current folder)")
    splits = _splits(table, datasets, split)
    main = RobustnessTable.read(table)
    ids = sorted(main.evaluated)
    cells = [SPACE.enumerate()[i] for i in ids]
    rows = [main.evaluated[i] for i in ids]
    values = {name: main.table[name].to_numpy().astype(np.float64)[rows] for name in _used(table, splits)}
    for path in extra:
        for name, column in _values(path, _used(path, splits), cells).items():
            if name in values:
                raise TableError(f"column {name!r} is in {path} too; drop that table or rename its column")
            values[name] = column
    found = []
    for name, chosen in splits.items():
        columns = {c: values[n] for n in values if (c := parse_column(n)) and _belongs(c, name, chosen)}
        if not any(c.kind == CLEAN and _is_accuracy(c) for c in columns):
            missing = Column(name, chosen, CLEAN, CLEAN).name
            raise TableError(f"{table}: no clean accuracy of {name}; add a column {missing}, or a table that has it")
        for column, numbers in columns.items():
            if _is_accuracy(column) and np.isnan(numbers).any():
                cell = cells[int(np.isnan(numbers).argmax())]
                raise TableError(f"column {column.name!r} has no value for {cell!r}; fill it in, or drop the row")
        costs = {n: v for n, v in values.items() if is_cost(n, name)}
        if not costs.keys() & set(COUNTS):
            costs = count_costs(cells) | costs
        found.append(Measurements(name, chosen, np.array(ids), columns, costs))
    return found


def _splits(path: Path, datasets: Sequence[str] | None, split: str | None) -> dict[str, str]:
    """The split to read of every data set to read."""
    available: dict[str, list[str]] = {}
    names = column_names([path])
    for column in filter(None, map(parse_column, names)):
        if _is_accuracy(column) and column.split not in available.setdefault(column.dataset, []):
            available[column.dataset].append(column.split)
    if not available:
        raise TableError(
            f"{path}: no column is an accuracy; names are like cifar10_clean, cifar10_test_pgd_eps1 or "
            f"cifar10_test_fog_s3, this table has {', '.join(names) or 'none'}"
        )
    chosen = {}
    for name in available if datasets is None else datasets:
        if name not in available:
            raise ConfigurationError(f"datasets=[{name}] is not in {path}; it has {', '.join(available)}")
        if not re.fullmatch(r"\w[\w.-]*", name):  # it names a folder
            raise TableError(f"{path}: data set {name!r} of a column's name; rename it with letters and digits only")
        splits = available[name]
        if split is not None and split not in splits:
            named = ", ".join(s for s in splits if s)
            raise ConfigurationError(
                f"split={split} is not in {path}, which has {named or 'one set of images'} of {name}; "
                f"{f'choose one of {named}' if named else 'leave split out'}"
            )
        chosen[name] = split or ("test" if "test" in splits else splits[0])
    return chosen


def _is_accuracy(column: Column) -> bool:
    return column.kind != MEASURE and column.quantity == "accuracy"


def _belongs(column: Column, dataset: str, split: str) -> bool:
    return column.dataset == dataset and (column.kind == MEASURE or column.split == split)


def _used(path: Path, splits: dict[str, str]) -> list[str]:
    """Columns of a table that the analyses use."""
    return [
        name
        for name in column_names([path])
        if any(
            is_cost(name, dataset) or ((c := parse_column(name)) is not None and _belongs(c, dataset, split))
            for dataset, split in splits.items()
        )
    ]


def _values(path: Path, names: list[str], architectures: Sequence[str]) -> dict[str, Float[np.ndarray, " cells"]]:
    """Columns of a table in the order of some cells; NaN where it lacks one."""
    if not names:
        return {}
    table = read_table([path], names, missing="keep")
    index = np.array([table.rows.get(a, -1) for a in architectures])
    values = np.where(index[:, None] < 0, np.nan, table.values.numpy()[index])
    return dict(zip(table.columns, values.T, strict=True))
