"""What does a bundled robustness table hold, and what does it say about full-scale networks?

``python -m benchmarks.bundled_tables --table checkpoints/nasbench201_digits.parquet`` prints the spread of every test
column over the evaluated classes and its agreement with clean accuracy (Kendall's tau); the fifteen corruptions are
averaged at each severity. With ``--data DATA``, the folder of the published tables, it also prints the agreement with
the published column. For an attack this is the column at which the median network keeps the most similar share of its
clean accuracy. ``--into docs/dataset_card.md`` puts the table between the marks of its name.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import KEY
from benchmarks import published
from benchmarks.published import Values, matched, read_published, tau
from search.document import insert

_SEVERITIES = "mean of {} corruptions, severity {:g}"


def columns_of(table: RobustnessTable, rows: np.ndarray) -> dict[str, Values]:
    """Shown columns by name: test accuracies, means of corruptions, measures, costs."""
    known = {column.name: column for column in table.known}
    shown: dict[str, Values] = {}
    corrupted: dict[float, list[Values]] = {}
    for name in table.table.column_names:
        column = known.get(name)
        if name in (KEY, "isomorph") or (column and (column.split == "valid" or "confidence" in column.quantity)):
            continue
        values = table.table[name].to_numpy()[rows].astype(np.float64)
        if column and column.kind == CORRUPTION:
            corrupted.setdefault(column.level, []).append(values)
        else:
            shown[f"`{name}`"] = values
    means = {_SEVERITIES.format(len(c), level): np.mean(c, axis=0) for level, c in sorted(corrupted.items())}
    return shown | means


def counterparts(
    table: RobustnessTable, shown: Mapping[str, Values], clean: Values, theirs: Mapping[str, Values]
) -> dict[str, tuple[str, Values]]:
    """Published counterparts by column: the name to show, and the values."""
    found: dict[str, tuple[str, Values]] = {}
    for column in table.known:
        name = f"`{column.name}`"
        if name not in shown or column.kind not in (CLEAN, ATTACK):
            continue
        other = matched(shown[name], clean, column.key, theirs) if column.kind == ATTACK else published.CLEAN
        if other is not None:
            found[name] = (f"`{other}`", theirs[other])
    for name in shown:
        if name.startswith("mean of"):
            level = name.split()[-1]
            parts = [values for column, values in theirs.items() if column.endswith(f"_s{level}")]
            found[name] = ("the same mean", np.mean(parts, axis=0))
    return found


def describe(path: Path, data: Path | None) -> str:
    """Description of the table in Markdown."""
    table = RobustnessTable.read(path)
    ids, rows = np.unique(table.isomorphs, return_index=True)
    cells = [table.representative(table.architectures[row]) for row in rows]
    shown = columns_of(table, rows)
    clean = next(shown[f"`{c.name}`"] for c in table.known if c.kind == CLEAN and f"`{c.name}`" in shown)
    compared: dict[str, tuple[str, Values]] = {}
    if data is not None:
        theirs = {name: np.array([v[c] for c in cells]) for name, v in read_published(data).items()}
        compared = counterparts(table, shown, clean, theirs)
    heads = ["column", "min", "10 %", "median", "90 %", "max", "tau with clean"]
    heads += ["published column", "tau with it"] if compared else []
    lines = [
        f"{len(table.architectures):,} architectures in {len(ids):,} classes, made at revision "
        f"{table.metadata.get('revision')}.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for name, values in shown.items():
        quantiles = np.quantile(values, [0, 0.1, 0.5, 0.9, 1])
        fields = [name, *(f"{v:,.4g}" if v < 1e4 else f"{v:,.0f}" for v in quantiles)]
        fields.append(f"{kendalltau(clean, values).statistic:.2f}")
        if compared:
            other, expected = compared.get(name, ("", None))
            fields += [other, "" if expected is None else "{:.2f} ± {:.2f}".format(*tau(values, expected))]
        lines.append(f"| {' | '.join(fields)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the description, and insert it into a document if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=CHECKPOINT_DIR / "nasbench201_cifar10_micro.parquet")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    text = describe(options.table, options.data)
    print(text)
    if options.into is not None:
        insert(options.into, options.table.stem, text)


if __name__ == "__main__":
    main()
