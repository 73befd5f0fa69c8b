"""``python -m search.compare experiment=NAME out=DIR``: optimizers x seeds, resumed, tabulated, drawn and tested."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from agnet.errors import ConfigurationError
from agnet.runtime.command import entry_point
from agnet.runtime.executors import AbstractExecutor
from agnet.runtime.files import locked, names_in, write_text
from agnet.runtime.paths import git_revision
from agnet.runtime.progress import Progress
from search.comparison.overview import overview_table
from search.comparison.plan import Plan, PlannedRun, make_plan, slug
from search.comparison.records import Problem, RunRecord, read_records
from search.comparison.tables import problem_table, query_rows, run_rows, to_csv, truth_line
from search.comparison.work import EndedRun, failure, run_cell
from search.document import check_marks, insert
from search.run import build_objective, build_optimizer, inputs_of
from search.run_directory import RunDirectory, comparison_keys

RUNS_CSV, QUERIES_CSV, REPORT, FAILURES = "runs.csv", "queries.csv", "report.md", "failures.txt"


def compare(
    plan: Plan,
    executor: AbstractExecutor,
    *,
    out: Path,
    at: Sequence[int] | None = None,
    baseline: str | None = None,
    show: Sequence[str] | None = None,
    brief: bool = False,
    force: bool = False,
    progress: bool = False,
    heading: str = "comparison",
) -> tuple[str, list[EndedRun]]:
    """Run the missing runs of a plan, then write tables and figures of all finished ones.

    Args:
        plan: the runs of the comparison.
        executor: executor of the missing runs.
        out: folder of the comparison.
        at: numbers of queries to compare at; None for each problem's budget.
        baseline: the optimizer that the others are tested against; None for the first.
        show: reported columns in the tables; None for the first few.
        brief: return only the overview of several problems; the report has all tables.
        force: repeat finished runs.
        progress: show a bar on a terminal.
        heading: first line of the report.

    Returns:
        The report's tables as markdown, and the runs that failed.

    Raises:
        AGNetError: for unusable settings, tables or folders; no run is started in this case.
    """
    baseline = plan.optimizers[0] if baseline is None else baseline
    if baseline not in plan.optimizers:
        raise ConfigurationError(f"baseline={baseline} is not among the optimizers {', '.join(plan.optimizers)}")
    _check_shown(plan, show)
    problems = {name: _problem(name, config) for name, config in plan.problems.items()}
    inputs = _Inputs(problems)
    checkpoints = {name: _checkpoints(at, problem) for name, problem in problems.items()}
    with locked(out):
        todo = [cell for cell in plan.cells if force or _finished(cell, inputs) is None]
        begin = time.perf_counter()
        ended = _work(todo, executor, out, planned=len(plan.cells), force=force, progress=progress)
        elapsed = time.perf_counter() - begin
        failures = [run for run in ended if run.error is not None]
        records = read_records(plan.cells, problems, partial(_finished, inputs=inputs))
        write_text(out / RUNS_CSV, to_csv(run_rows(records, checkpoints)))
        write_text(out / QUERIES_CSV, to_csv(query_rows(records)))
        _note_failures(out / FAILURES, failures)
        overview = overview_table(problems, records, plan.optimizers, checkpoints) if len(problems) > 1 else ""
        tables = "\n\n".join(
            _section(problem, records, plan.optimizers, checkpoints[name], baseline=baseline, show=show)
            for name, problem in problems.items()
        )
        for name, problem in problems.items():
            found = [r for r in records if r.problem is problem]
            if found:
                from search.comparison.figures import plot_problem  # here: matplotlib takes half a second

                plot_problem(out / f"{slug(name)}.png", problem, found, plan.optimizers)
        tables = f"{overview}\n\n{tables}".lstrip()
        text = f"# {heading}\n\n{tables}\n\n## How long it took\n\n{_cost(plan, records, ended, elapsed)}\n"
        if failures:
            text += "\n## Failed\n\n" + "\n".join(f"* {run.task}: {failure(run)}" for run in failures) + "\n"
        text += "\n" + "\n\n".join(f"![{name}]({slug(name)}.png)" for name in problems) + "\n"
        write_text(out / REPORT, text)
    return overview if brief and overview else tables, failures


def _work(
    todo: Sequence[PlannedRun], executor: AbstractExecutor, out: Path, *, planned: int, force: bool, progress: bool
) -> list[EndedRun]:
    cells = [PlannedRun(c.problem, c.optimizer, c.seed, {**c.config, "force": force}, c.folder) for c in todo]
    ended = []
    with Progress(tqdm, "compare", planned, "run", initial=planned - len(cells), shown=progress) as bar:
        for run in executor.run(run_cell, cells, out=out) if cells else ():
            ended.append(run)
            if run.error is not None:
                bar.write(f"failed: {run.task}: {failure(run)}")
            bar.update()
            bar.note(str(run.task))
    return ended


def _check_shown(plan: Plan, show: Sequence[str] | None) -> None:
    """Refuse columns that no problem reports."""
    listed = [config["objective"].get("report", []) for config in plan.problems.values()]
    if show is not None and all(isinstance(columns, list) for columns in listed):
        known = dict.fromkeys(column for columns in listed for column in columns)
        if unknown := [column for column in show if column not in known]:
            raise ConfigurationError(f"show: no problem reports {', '.join(unknown)}; choose from {', '.join(known)}")


def _problem(name: str, config: Mapping[str, Any]) -> Problem:
    """Objective and report of a problem, read here once to judge its runs."""
    cfg = OmegaConf.create(dict(config))
    objective, report = build_objective(cfg)
    return Problem.of(name, objective, report, int(cfg.budget))


class _Inputs:
    """Digests of what runs depend on now: one optimizer is built for all seeds.

    Args:
        problems: problems by label.
    """

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        self._problems = problems
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def __call__(self, cell: PlannedRun) -> dict[str, Any]:
        """Digests for a run."""
        key = (cell.problem, cell.optimizer)
        if key not in self._known:
            problem = self._problems[cell.problem]
            _, optimizer = build_optimizer(OmegaConf.create(dict(cell.config)), problem.objective)
            self._known[key] = inputs_of(problem.objective, problem.report, optimizer)
        return self._known[key]


def _checkpoints(at: Sequence[int] | None, problem: Problem) -> list[int]:
    """Numbers of queries within a problem's budget; the budget if none is given."""
    if at is None:
        return [problem.budget]
    return sorted({n for n in at if n <= problem.budget}) or [problem.budget]


def _finished(cell: PlannedRun, inputs: _Inputs) -> dict[str, Any] | None:
    """The result of a finished run; raises if its folder holds another run, or its inputs have changed."""
    directory = RunDirectory(cell.folder)
    if not directory.config.exists():
        return None
    cfg = OmegaConf.create(dict(cell.config))
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    config = {str(key): value for key, value in plain.items()}
    sound = directory.check(config)
    return directory.finished(config, inputs(cell)) if sound and directory.result.exists() else None


def _section(
    problem: Problem,
    records: Sequence[RunRecord],
    optimizers: Sequence[str],
    at: Sequence[int],
    **choices: Any,
) -> str:
    """A problem's description, the truth in its table, and the table of results."""
    found = [record for record in records if record.problem is problem]
    table = problem_table(problem, found, optimizers, at, **choices)
    return f"**{problem.label}**: {problem.describe()}. {truth_line(problem)}\n\n{table}"


def _cost(plan: Plan, records: Sequence[RunRecord], ended: Sequence[EndedRun], elapsed: float) -> str:
    """Number of finished runs, and the time that this call spent inside and outside the optimizers."""
    text = f"{len(records)} of {len(plan.cells)} runs are finished."
    done = {run.task.folder: run.seconds for run in ended if run.error is None}
    inside = sum(r.result["optimizer_seconds"] for r in records if r.cell.folder in done)
    total = sum(done.values())
    if total:
        text += (
            f" This call did {len(done)} of them in {elapsed:.1f} s: {total:.1f} s in its processes, of which "
            f"{1 - inside / total:.1%} outside the optimizers."
        )
    return text


def _note_failures(path: Path, failures: Sequence[EndedRun]) -> None:
    if failures:
        write_text(path, "".join(f"{run.task}: {failure(run)}\n" for run in failures))
    else:
        path.unlink(missing_ok=True)


_UNREAD = {
    "run_dir": "runs of a comparison have folders below out; give out=DIR",
    "seed": "a comparison has several seeds; give first_seed=N and seeds=COUNT",
}
"""Keys of single runs that a comparison does not read."""


def run(cfg: DictConfig) -> None:
    """Compare, print the tables, and fail if a run has."""
    from search.schema import CompareConfig

    CompareConfig.check(OmegaConf.to_container(cfg, resolve=True))
    hydra_config = HydraConfig.get()
    experiment = hydra_config.runtime.choices.get("experiment")
    name = experiment or hydra_config.runtime.choices["space"]
    keys = OmegaConf.to_container(OmegaConf.create({key: cfg[key] for key in comparison_keys() if key != "executor"}))
    assert isinstance(keys, dict)
    settings = {str(key): value for key, value in keys.items()}
    out, mark = Path(cfg.out), settings["mark"] or name
    if settings["into"] is not None:
        check_marks(Path(settings["into"]), mark)  # before hours are spent
    for override in hydra_config.overrides.task:
        if (key := override.partition("=")[0].lstrip("+")) in _UNREAD:
            raise ConfigurationError(f"{override}: {_UNREAD[key]}")
    plan = make_plan(settings, list(hydra_config.overrides.task), default_problem=name, out=out)
    said = shlex.join(["python", "-m", "search.compare", *sys.argv[1:]])
    tables, failures = compare(
        plan,
        instantiate(cfg.executor, _convert_="all"),
        out=out,
        at=settings["at"],
        baseline=settings["baseline"],
        show=settings["show"],
        brief=settings["brief"],
        force=cfg.force,
        progress=cfg.progress,
        heading=f"{name}\n\n`{said}`, revision {git_revision()}",
    )
    print(tables)
    print(f"files in {out}: {', '.join(names_in(out))}")
    if failures:
        raise ConfigurationError(
            f"{len(failures)} of {len(plan.cells)} runs failed, see {out / FAILURES}; the same command tries them again"
        )
    if settings["into"] is not None:
        insert(Path(settings["into"]), mark, tables)


main = entry_point(hydra.main, "compare", run)

if __name__ == "__main__":
    main()
