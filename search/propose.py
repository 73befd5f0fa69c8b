"""``python -m search.propose run_dir=DIR want={...}``: ask a finished search for cells with properties."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.optimizers.latent_search.optimizer import LatentSearch
from agnet.runtime.building import check_targets
from agnet.runtime.command import entry_point
from agnet.runtime.digests import check_identity
from agnet.runtime.files import write_text
from agnet.tables.goal import Goal, parse_limits
from search.columns import quantity
from search.history import Query, read_queries
from search.loop import HISTORY_FILE, OTHER_RUN, STATE_FILE, restore
from search.run import build_objective, build_optimizer, inputs_of
from search.run_directory import RunDirectory, comparison_keys, identity
from search.state import load_state


def run(cfg: DictConfig) -> None:
    """Print measured cells that have the properties, then cells that are expected to have them."""
    from search.schema import ProposeConfig

    ProposeConfig.check(OmegaConf.to_container(cfg, resolve=True))
    search, goal, queries = _finished(Path(cfg.run_dir), cfg.seed, cfg.trust)
    want = OmegaConf.to_container(cfg.want, resolve=True) if OmegaConf.is_config(cfg.want) else cfg.want
    goal = _wanted(goal, want)
    measured = torch.tensor([[q.values[c] for c in goal.columns] for q in queries], dtype=torch.float64, device="cpu")
    outcomes = goal.outcomes(measured)
    known = [query for query, kept in zip(queries, outcomes.feasible.tolist(), strict=True) if kept]
    rows = _expected(search, goal, outcomes, cfg.n)
    print(_shown(goal, known, rows))
    if cfg.out is not None:
        write_text(Path(cfg.out), _csv(rows))
        print(f"written to {cfg.out}")


def _finished(folder: Path, seed: int, trust: Sequence[str]) -> tuple[LatentSearch, Goal, list[Query]]:
    """The optimizer in its final state, the goal, and the queries of a finished run."""
    directory = RunDirectory(folder)
    state = folder / STATE_FILE
    if not directory.config.exists() or not state.exists():
        raise RunDirectoryError(f"{folder} holds no search: it lacks {directory.config.name} or {STATE_FILE}")
    from search.schema import SearchConfig

    saved = directory.saved_config()
    check_targets(saved, source=directory.config, trusted=trust)
    SearchConfig.check({key: value for key, value in saved.items() if key not in comparison_keys()})
    config = OmegaConf.create({**saved, "seed": seed})
    torch.set_num_threads(config.threads)
    objective, report = build_objective(config)
    _, optimizer = build_optimizer(config, objective)
    if not isinstance(optimizer, LatentSearch):
        raise ConfigurationError(
            f"{folder} was searched by {config.optimizer._target_}, which cannot be asked for cells; "
            "run optimizer=agnet first"
        )
    found = load_state(state)
    if found.identity is not None:
        check_identity(state, found.identity, identity(saved, inputs_of(objective, report, optimizer)), OTHER_RUN)
    restore(optimizer, {**found.optimizer, "random": torch.Generator().manual_seed(seed).get_state()}, state)
    queries = read_queries(folder / HISTORY_FILE, found.rounds[-1].queries, found.history)
    return optimizer, objective.goal, queries


def _wanted(goal: Goal, want: Any) -> Goal:
    """The search's goal under other limits."""
    if not want:
        return goal
    unknown = [column for column in want if column not in goal.columns]
    if unknown:
        raise ConfigurationError(
            f"want: the search did not measure {', '.join(unknown)}; it measured {', '.join(goal.columns)}"
        )
    return Goal(goal.maximize, goal.minimize, parse_limits(want, "want"))


def _expected(search: LatentSearch, goal: Goal, outcomes: Any, n: int) -> list[dict[str, Any]]:
    """One row for each cell: expected value and deviation of every objective and limited column."""
    found = search.suggest(n, outcomes)
    values, rows = goal.natural(found.values), []
    for i, architecture in enumerate(found.architectures):
        row: dict[str, Any] = {"rank": i + 1, "architecture": architecture, "probability": float(found.probability[i])}
        for column, value, deviation in zip(goal.names, values[i].tolist(), found.deviations[i].tolist(), strict=True):
            row |= {column: value, f"{column}_std": deviation}
        for limit, slack, deviation in zip(
            goal.limits, found.slacks[i].tolist(), found.slack_deviations[i].tolist(), strict=True
        ):
            if limit.column not in goal.names:
                row |= {
                    limit.column: limit.measured(slack),
                    f"{limit.column}_std": abs(limit.measured(deviation) - limit.bound),
                }
        rows.append(row)
    return rows


def _shown(goal: Goal, known: Sequence[Query], rows: Sequence[dict[str, Any]]) -> str:
    wishes = ", ".join(map(str, goal.limits)) or "no bounds"
    lines = [f"{wishes}: {len(known)} measured cells satisfy this"]
    lines += [f"  measured  {q.architecture}  {_quantities(q.values, goal.columns)}" for q in known[:3]]
    lines.append(f"expected, not evaluated ({len(rows)}):")
    for row in rows:
        values = ", ".join(f"{quantity(c, row[c])} ± {row[f'{c}_std']:.2g}" for c in goal.columns)
        lines.append(f"  {row['rank']:>3}  P={row['probability']:.2f}  {row['architecture']}  {values}")
    return "\n".join(lines)


def _quantities(values: dict[str, float], columns: Sequence[str]) -> str:
    return ", ".join(quantity(column, values[column]) for column in columns)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["rank", "architecture", "probability"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


main = entry_point(hydra.main, "propose", run)

if __name__ == "__main__":
    main()
