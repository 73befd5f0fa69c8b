"""``result.json``: the findings of a search and their cost."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agnet.runtime.files import write_text
from agnet.runtime.reading import damaged, read_json
from agnet.tables.objective import LEARNED
from search.columns import quantity
from search.ground_truth import GroundTruth
from search.history import History, Query
from search.selections import best_under, select

Reading = Callable[[str], dict[str, float]]
"""Reported columns of an architecture; :class:`agnet.tables.objective.Report` is one."""


def make_result(
    history: History,
    *,
    space: str,
    optimizer: str,
    seed: int,
    budget: int,
    report: Reading,
    pretrained: Mapping[str, Any],
    protocol: str = LEARNED,
    exact: GroundTruth | None = None,
    under: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """The content of ``result.json``. A report is read here and nowhere else.

    Args:
        history: all queries of the search, at least one.
        space: the space's name.
        optimizer: the optimizer's name.
        seed: seed of the run.
        budget: number of allowed queries.
        report: reads the reported columns.
        pretrained: provenance from :meth:`agnet.optimizers.base.AbstractOptimizer.provenance`.
        protocol: protocol of the limits.
        exact: the truth in the whole table; None without a table.
        under: upper bounds on columns of the search; the best architecture under each bound is reported too.

    Returns:
        ``best`` is the feasible architecture that :func:`agnet.multiobjective.pareto.rank` puts first (the earliest
        among equals). If none is feasible it is None, and ``closest`` has the smallest violation of the limits.
        ``pareto`` holds the feasible non-dominated architectures in the same order; ``selections`` names some of them.
        ``surrogate_spearman`` has one number per round, None if there was no prediction to judge.
    """
    goal = history.goal

    def entry(query: Query) -> dict[str, Any]:
        return {
            "architecture": query.architecture,
            "objective": {column: query.values[column] for column in goal.names},
            **({"constraints": {limit.column: query.values[limit.column] for limit in goal.limits}} if limited else {}),
            "report": report(query.architecture),
        }

    limited = bool(goal.limits)
    best = history.best
    result: dict[str, Any] = {
        "space": space,
        "optimizer": optimizer,
        "seed": seed,
        "budget": budget,
        "queries": len(history),
        "wall_seconds": history.seconds,
        "optimizer_seconds": round(sum(r.optimizer_seconds for r in history.rounds), 3),
        "best": None if best is None else entry(best),
        "pareto": [entry(query) for query in history.front],
        "surrogate_spearman": [r.surrogate_spearman for r in history.rounds],
        "pretrained": dict(pretrained),
    }
    if limited:
        result["constraints"] = {
            "limits": [str(limit) for limit in goal.limits],
            "protocol": protocol,
            "feasible": sum(history.feasible),
            "attainable": None if exact is None else exact.attainable,
        }
        if best is None:
            result["closest"] = entry(history.closest)
    if exact is not None and exact.attainable:
        result["exact"] = exact.summary()
    if len(goal.names) > 1:
        chosen = select(history)
        result["selections"] = {name: entry(query) for name, query in chosen.items()}
        if exact is not None and exact.attainable:
            result["hypervolume"] = exact.trajectory(history)
    if under:
        result["under"] = [
            {"column": column, "max": bound, "best": None if query is None else entry(query)}
            for column, bounds in under.items()
            for bound, query in ((bound, best_under(history, column, bound)) for bound in bounds)
        ]
    return result


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result atomically."""
    write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def read_result(path: Path) -> dict[str, Any]:
    """Read what :func:`write_result` wrote.

    Raises:
        UnreadableFile: if it is damaged.
    """
    result = read_json(path)
    if not isinstance(result, dict):
        raise damaged(path, "it holds no result")
    return result


def summary(result: Mapping[str, Any]) -> str:
    """A result in a few lines for people.

    Example:
        >>> best = {"architecture": "a", "objective": {"digits_valid": 93.0}, "report": {}}
        >>> print(summary({"queries": 4, "wall_seconds": 2.0, "optimizer": "x", "best": best, "pareto": [best]}))
        best of 4 queries (x, 2.0 s): a
          objective    digits_valid 93 %
    """
    best, limits = result["best"], result.get("constraints")
    said = f"of {result['queries']} queries ({result['optimizer']}, {result['wall_seconds']:.1f} s)"
    if limits is not None:
        bounds = f"{', '.join(limits['limits'])} [{limits['protocol']}]"
        said += f", {limits['feasible']} of them with {bounds}"
    if best is None:
        closest = result["closest"]
        lines = [f"nothing feasible {said}; closest: {closest['architecture']}", *_values(closest)]
        if limits is not None and limits["attainable"] is False:
            lines.append("  no architecture of the table keeps these limits: loosen objective.constraints")
        return "\n".join(lines)
    lines = [f"best {said}: {best['architecture']}", *_values(best)]
    if len(best["objective"]) > 1:
        lines.append(f"  Pareto front of {len(result['pareto'])} architectures{_share(result)}")
        for name, chosen in result.get("selections", {}).items():
            lines.append(f"  {name}: {', '.join(quantity(c, v) for c, v in chosen['objective'].items())}")
    for row in result.get("under", []):
        found = row["best"]
        shown = "none" if found is None else ", ".join(quantity(c, v) for c, v in found["objective"].items())
        lines.append(f"  best with {row['column']} <= {row['max']:g}: {shown}")
    return "\n".join(lines)


def _values(found: Mapping[str, Any]) -> list[str]:
    """Objective, limited and reported columns of one architecture, a line each."""
    parts = {part: found.get(part) for part in ("objective", "constraints", "report")}
    return [f"  {part:<11}  {', '.join(quantity(c, v) for c, v in v.items())}" for part, v in parts.items() if v]


def _share(result: Mapping[str, Any]) -> str:
    """The share of the exact hypervolume in words."""
    found = result.get("hypervolume")
    if not found:
        return ""
    reference = ", ".join(quantity(column, value) for column, value in found["reference"].items())
    return f", {found['share'][-1]:.1%} of the exact hypervolume (reference {reference})"
