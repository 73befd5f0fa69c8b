"""Tables of a comparison: CSV for programs, markdown for people."""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from search.comparison.records import Problem, RunRecord
from search.comparison.statistics import holm, mean_spread, paired_p, spread_text

Row = dict[str, Any]

REPORTED = 6
"""Number of reported columns in a table if none are named."""


def run_rows(records: Sequence[RunRecord], at: Mapping[str, Sequence[int]]) -> list[Row]:
    """One row for every run and number of queries."""
    rows = []
    for record in records:
        for queries in at[record.problem.label]:
            n = min(queries, len(record.history))
            row: Row = {
                "problem": record.problem.label,
                "optimizer": record.cell.optimizer,
                "seed": record.cell.seed,
                "queries": queries,
            }
            row |= {f"best/{column}": trajectory[n - 1] for column, trajectory in record.trajectories.items()}
            row |= {f"report/{column}": value for column, value in record.reported(n).items()}
            if record.problem.single and record.problem.optimum is not None:
                row["gap"] = abs(record.problem.optimum - record.trajectories[record.problem.goal.names[0]][n - 1])
                row["queries_to_optimum"] = record.hit if record.hit is not None and record.hit <= n else ""
            if record.shares is not None:
                row["hypervolume_share"] = record.shares[n - 1]
            if record.problem.goal.limits:
                row["feasible_share"] = record.feasible[n - 1]
            row["surrogate_spearman"] = record.spearman
            row["wall_seconds"] = record.result["wall_seconds"]
            row["optimizer_seconds"] = record.result["optimizer_seconds"]
            row["pretraining_cpu_seconds"] = record.result["pretrained"].get("cpu_seconds", 0.0)
            rows.append(row)
    return rows


def query_rows(records: Sequence[RunRecord]) -> list[Row]:
    """One row for every query of every run."""
    rows = []
    for record in records:
        for query, feasible in zip(record.history.queries, record.history.feasible, strict=True):
            row: Row = {"problem": record.problem.label, "optimizer": record.cell.optimizer, "seed": record.cell.seed}
            row |= {"query": query.index + 1, "round": query.round, "architecture": query.architecture}
            rows.append(row | query.values | {"feasible": int(feasible)})
    return rows


def to_csv(rows: Iterable[Row]) -> str:
    """CSV of rows with the union of their columns; missing values and NaN are empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {column: "" if isinstance(v, float) and np.isnan(v) else v for column, v in row.items()} for row in rows
    )
    return text.getvalue()


def problem_table(
    problem: Problem,
    records: Sequence[RunRecord],
    optimizers: Sequence[str],
    at: Sequence[int],
    *,
    baseline: str,
    show: Sequence[str] | None = None,
) -> str:
    """The markdown table of one problem, a row for every optimizer with a finished run.

    Args:
        problem: the problem of the runs.
        records: finished runs of the problem.
        optimizers: labels of the rows, in order.
        at: numbers of queries to compare at; the last is the one tested and reported.
        baseline: optimizer that the others are tested against.
        show: reported columns; None for the first :data:`REPORTED`.
    """
    by_optimizer = {name: [r for r in records if r.cell.optimizer == name] for name in optimizers}
    p_values = _p_values(problem, by_optimizer, baseline, at[-1])
    rows = []
    for name, found in by_optimizer.items():
        if found:
            row = _summary(problem, name, found, at)
            if problem.single:
                row |= _reported(found, at[-1], show)
            row |= _tested(name, baseline, p_values) | _costs(found)
            rows.append(row)
    if not rows:
        return "no run is finished"
    named = dict.fromkeys(column for row in rows for column in row)
    columns = [column for column in named if any(row.get(column) for row in rows)]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row.get(column) or '-' for column in columns)} |" for row in rows]
    return "\n".join(lines)


def truth_line(problem: Problem) -> str:
    """A sentence about the truth in the table and the hypervolume's reference point."""
    exact, goal = problem.exact, problem.goal
    if exact is None:
        return ""
    if not exact.attainable:
        return f"No architecture can: {exact.objective.unattainable()}."
    summary = exact.summary()
    text = "Optimum " + ", ".join(f"{column} {value:.6g}" for column, value in summary["optimum"].items())
    if problem.single:
        return text + "."
    low = dict(zip(goal.names, goal.natural(exact.worst).tolist(), strict=True))
    reference = ", ".join(f"{column} {value:.6g}" for column, value in low.items())
    return (
        f"{text} (each alone). Exact front of {summary['front']} points, hypervolume {summary['hypervolume']:.4f} of "
        f"the box from the table's worst corner (reference point: {reference}) to its best."
    )


def _summary(problem: Problem, name: str, records: Sequence[RunRecord], at: Sequence[int]) -> dict[str, str]:
    """Results of an optimizer's runs: means with standard deviations over seeds."""
    row = {"optimizer": name, "seeds": str(len(records))}
    for queries in at:
        rows = [min(queries, len(r.history)) - 1 for r in records]
        if not problem.single:
            shares = [r.shares[n] for r, n in zip(records, rows, strict=True) if r.shares is not None]
            if shares:
                row[f"hypervolume share @{queries}"] = spread_text(shares, 3)
        for column in problem.goal.names:
            values = [r.trajectories[column][n] for r, n in zip(records, rows, strict=True)]
            row[f"{column} @{queries}"] = spread_text(values, _digits(values))
            missing = int(np.isnan(values).sum())
            if missing:
                row[f"{column} @{queries}"] += f" ({missing} without)"
            if problem.single and problem.optimum is not None:
                if problem.goal.limits:
                    row[f"gap @{queries}"] = spread_text(np.abs(problem.optimum - np.array(values)), 2)
                hits = sum(r.hit is not None and r.hit <= queries for r in records)
                row[f"at optimum @{queries}"] = f"{hits}/{len(records)}"
    if problem.single and problem.optimum is not None:
        row["median queries to optimum"] = _median_hit(records)
    if problem.goal.limits:
        row["feasible queries"] = spread_text([r.feasible[min(at[-1], len(r.history)) - 1] for r in records], 2)
    return row


def _reported(records: Sequence[RunRecord], queries: int, show: Sequence[str] | None) -> dict[str, str]:
    """Reported columns of the best cells."""
    found = [r.reported(min(queries, len(r.history))) for r in records]
    columns = list(dict.fromkeys(column for row in found for column in row))
    shown = columns[:REPORTED] if show is None else [column for column in show if column in columns]
    values = {column: [row[column] for row in found if column in row] for column in shown}
    return {f"its {column}": spread_text(known, _digits(known)) for column, known in values.items()}


def _tested(name: str, baseline: str, p_values: Mapping[str, float]) -> dict[str, str]:
    return {f"p against {baseline}": f"{p_values[name]:.2g}" if name in p_values else ""}


def _costs(records: Sequence[RunRecord]) -> dict[str, str]:
    """Cost of a run, and rank correlation of its surrogate."""
    spearman, _ = mean_spread([r.spearman for r in records])
    pretraining = max(r.result["pretrained"].get("cpu_seconds", 0.0) for r in records)
    return {
        "surrogate Spearman": "" if np.isnan(spearman) else f"{spearman:.2f}",
        "s / run": f"{statistics.median(r.result['wall_seconds'] for r in records):.1f}",
        "pretraining CPU-s, once": f"{pretraining:.0f}" if pretraining else "",
    }


def _p_values(
    problem: Problem, by_optimizer: Mapping[str, Sequence[RunRecord]], baseline: str, queries: int
) -> dict[str, float]:
    """P-values of each optimizer against the baseline on shared seeds, corrected for the number of optimizers."""

    def finals(records: Sequence[RunRecord]) -> dict[int, float]:
        found = {}
        for record in records:
            n = min(queries, len(record.history)) - 1
            trajectory = record.trajectories[problem.goal.names[0]] if problem.single else record.shares
            if trajectory is not None:
                found[record.cell.seed] = float(trajectory[n])
        return found

    reference = finals(by_optimizer.get(baseline, []))
    p_values = {}
    for name, records in by_optimizer.items():
        theirs = finals(records)
        seeds = [s for s in reference if s in theirs and not np.isnan(reference[s]) and not np.isnan(theirs[s])]
        if name != baseline and len(seeds) > 1:
            p_values[name] = paired_p([theirs[s] for s in seeds], [reference[s] for s in seeds])
    return holm(p_values)


def _median_hit(records: Sequence[RunRecord]) -> str:
    """Median over all runs; text if half of them or more did not reach the optimum."""
    hits = sorted(r.hit if r.hit is not None else np.inf for r in records)
    median = statistics.median(hits)
    return f"{median:.0f}" if np.isfinite(median) else f"> {min(len(r.history) for r in records)}"


def _digits(values: Sequence[float]) -> int:
    """Number of decimals for four significant digits."""
    known = [abs(v) for v in values if not np.isnan(v)]
    largest = max(known, default=0.0)
    return 0 if largest >= 1000 else 2 if largest >= 10 else 3
