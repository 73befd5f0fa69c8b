"""What is in the bundled robustness table?

``python -m benchmarks.bundled_table``: the spread of every column over the evaluated classes, the best class, and how
far the columns agree (Kendall's tau). ``--into README.md`` puts the table there.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from agnet.paths import CHECKPOINT_DIR
from agnet.tables import read_metadata
from search.document import insert


def kendall_tau(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b by counting all pairs (thousands of rows at most)."""
    concordance = x_pairs = y_pairs = 0
    for i in range(len(a) - 1):
        x, y = np.sign(a[i + 1 :] - a[i]), np.sign(b[i + 1 :] - b[i])
        concordance += int((x * y).sum())
        x_pairs += int(np.abs(x).sum())
        y_pairs += int(np.abs(y).sum())
    return concordance / (x_pairs * y_pairs) ** 0.5 if x_pairs and y_pairs else float("nan")


def main() -> None:
    """Print, and insert where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=CHECKPOINT_DIR / "nasbench201_digits.parquet")
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    table = pq.read_table(options.table)
    ids = table["isomorph"].to_numpy()
    _, first = np.unique(ids, return_index=True)
    clean = table["digits_test"].to_numpy()[first]
    lines = [
        f"{len(ids):,} architectures in {len(first):,} classes, made at revision "
        f"{read_metadata(options.table).get('revision')}.",
        "",
        "| column | min | 10 % | median | 90 % | max | tau with clean |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in table.column_names:
        if name in ("architecture", "isomorph") or name.startswith("digits_valid_"):
            continue
        values = table[name].to_numpy()[first]
        shown = " | ".join(f"{v:,.4g}" if v < 1e4 else f"{v:,.0f}" for v in np.quantile(values, [0, 0.1, 0.5, 0.9, 1]))
        lines.append(f"| `{name}` | {shown} | {kendall_tau(clean, values):.2f} |")
    text = "\n".join(lines)
    print(text)
    if options.into is not None:
        insert(options.into, "bundled_table", text)


if __name__ == "__main__":
    main()
