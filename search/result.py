"""``result.json``: what a search found, and what it cost."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agnet.atomic import write_text
from search.columns import quantity
from search.history import History, Query

Reading = Callable[[str], dict[str, float]]
"""Reported columns of an architecture; :class:`agnet.objective.Report` is one."""


def make_result(
    history: History,
    *,
    space: str,
    optimizer: str,
    seed: int,
    budget: int,
    report: Reading,
    pretrained: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of ``result.json``. Here, and nowhere else, a report is read.

    Args:
        history: all queries of the search, at least one.
        space: the space's name.
        optimizer: the optimizer's name.
        seed: seed of the run.
        budget: queries allowed.
        report: reads the reported columns.
        pretrained: see :meth:`agnet.optimizer.AbstractOptimizer.provenance`.

    Returns:
        ``best`` is the first of :func:`agnet.pareto.rank` (the earliest of equals), ``pareto`` the non-dominated in the
        same order, ``surrogate_spearman`` one number per round, None where there was no prediction to judge.
    """

    def entry(query: Query) -> dict[str, Any]:
        return {
            "architecture": query.architecture,
            "objective": query.values,
            "report": report(query.architecture),
        }

    return {
        "space": space,
        "optimizer": optimizer,
        "seed": seed,
        "budget": budget,
        "queries": len(history),
        "wall_seconds": history.seconds,
        "best": entry(history.best),
        "pareto": [entry(query) for query in history.front],
        "surrogate_spearman": [r.surrogate_spearman for r in history.rounds],
        "pretrained": dict(pretrained),
    }


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result atomically."""
    write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def read_result(path: Path) -> dict[str, Any]:
    """Read what :func:`write_result` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def summary(result: Mapping[str, Any]) -> str:
    """A result in a few lines for people.

    Example:
        >>> best = {"architecture": "a", "objective": {"digits_valid": 93.0}, "report": {}}
        >>> print(summary({"queries": 4, "wall_seconds": 2.0, "optimizer": "x", "best": best, "pareto": [best]}))
        best of 4 queries (x, 2.0 s): a
          objective  digits_valid 93 %
    """
    best = result["best"]
    lines = [
        f"best of {result['queries']} queries ({result['optimizer']}, {result['wall_seconds']:.1f} s): "
        f"{best['architecture']}"
    ]
    lines += [
        f"  {part:<9}  " + ", ".join(quantity(c, v) for c, v in best[part].items())
        for part in ("objective", "report")
        if best[part]
    ]
    if len(best["objective"]) > 1:
        lines.append(f"  Pareto front of {len(result['pareto'])} architectures")
    return "\n".join(lines)
