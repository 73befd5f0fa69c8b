"""All problems of a comparison in one table."""

from collections.abc import Mapping, Sequence

import numpy as np

from search.comparison.records import Problem, RunRecord
from search.comparison.statistics import spread_text


def overview_table(
    problems: Mapping[str, Problem],
    records: Sequence[RunRecord],
    optimizers: Sequence[str],
    at: Mapping[str, Sequence[int]],
) -> str:
    """A row for every problem, a column for every optimizer: means and standard deviations over seeds.

    For one objective, a cell shows its value at the last number of queries (with limits, the gap to the optimum) and in
    brackets how many runs had reached the optimum by each number of queries. For several objectives, it shows the share
    of the exact hypervolume at each number.

    Args:
        problems: problems by label, in order.
        records: finished runs of all problems.
        optimizers: labels of the columns, in order.
        at: numbers of queries of each problem.
    """
    shown = [name for name in optimizers if any(r.cell.optimizer == name for r in records)]
    lines = [f"| problem | {' | '.join(shown)} |", "|" + "---|" * (len(shown) + 1)]
    for label, problem in problems.items():
        cells = []
        for name in shown:
            found = [r for r in records if r.problem is problem and r.cell.optimizer == name]
            cells.append(_cell(problem, found, at[label]) if found else "-")
        lines.append(f"| {label}{_measure(problem, at[label])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measure(problem: Problem, at: Sequence[int]) -> str:
    """Description of the values in a row."""
    queries = ", ".join(f"@{n}" for n in at)
    if not problem.single:
        return f": share of hypervolume {queries}"
    if problem.optimum is None:
        return f": best @{at[-1]}"
    value = "gap" if problem.goal.limits else f"best of {problem.optimum:.4g}"
    return f": {value} @{at[-1]} [at optimum {queries}]"


def _cell(problem: Problem, records: Sequence[RunRecord], at: Sequence[int]) -> str:
    rows = {n: [min(n, len(r.history)) - 1 for r in records] for n in at}
    if not problem.single:
        known = {n: [r.shares[i] for r, i in zip(records, rows[n], strict=True) if r.shares is not None] for n in at}
        return ", ".join(spread_text(known[n], 3) for n in at)
    column = problem.goal.names[0]
    values = np.array([r.trajectories[column][i] for r, i in zip(records, rows[at[-1]], strict=True)])
    if problem.optimum is None:
        return spread_text(values, 2)
    if problem.goal.limits:
        values = np.abs(problem.optimum - values)
    hits = [sum(r.hit is not None and r.hit <= n for r in records) for n in at]
    missing = int(np.isnan(values).sum())
    without = f" ({missing} found nothing)" if missing else ""
    return f"{spread_text(values, 2)}{without} [{', '.join(f'{n}/{len(records)}' for n in hits)}]"
