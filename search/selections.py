"""Named members of a Pareto front, to help pick one."""

from search.history import History, Query


def knee(history: History) -> Query:
    """The knee of the front: the member farthest from the plane through the front's own extremes.

    Each objective is scaled to its range over the front, so the distance grows with the sum of the scaled values. Among
    equals the earliest is taken. Source: Das, 1999, https://doi.org/10.1007/BF01195985.
    """
    front = sorted(history.front, key=lambda query: query.index)
    best = history.outcomes.values[[query.index for query in front]]
    low, high = best.min(dim=0).values, best.max(dim=0).values
    scaled = (best - low) / (high - low).clamp(min=1e-12)
    return front[int(scaled.sum(dim=1).argmax())]


def select(history: History) -> dict[str, Query]:
    """The knee, and the best member for every objective; empty if no query is feasible."""
    front = history.front
    if not front:
        return {}
    up = dict.fromkeys(history.goal.maximize, 1.0) | dict.fromkeys(history.goal.minimize, -1.0)
    return {"knee": knee(history)} | {
        f"best {column}": max(front, key=lambda query: sign * query.values[column]) for column, sign in up.items()
    }


def best_under(history: History, column: str, bound: float) -> Query | None:
    """The feasible query with the best first objective among those whose ``column`` is at most ``bound``."""
    objective = history.goal.names[0]
    sign = 1.0 if objective in history.goal.maximize else -1.0
    kept = [q for q, feasible in zip(history.queries, history.feasible, strict=True) if feasible]
    return max((q for q in kept if q.values[column] <= bound), key=lambda q: sign * q.values[objective], default=None)
