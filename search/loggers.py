"""Loggers that follow a search besides its own files: none, or Weights & Biases."""

import abc
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agnet.errors import ConfigurationError
from agnet.tables.goal import Goal
from search.history import History, Query
from search.loop import HISTORY_FILE, STATE_FILE
from search.run_directory import CONFIG_FILE, RESULT_FILE

if TYPE_CHECKING:
    import wandb

Mode = Literal["offline", "online", "disabled"]

ARTIFACTS: Mapping[str, tuple[str, ...]] = {
    "result": (RESULT_FILE, HISTORY_FILE, CONFIG_FILE),
    "checkpoint": (STATE_FILE,),
}
"""Type of an artifact -> files of the run directory that it holds after a finished search."""


class AbstractLogger(abc.ABC):
    """Follows one search; its files lie inside the run directory."""

    @abc.abstractmethod
    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Start or continue a run.

        Args:
            run_directory: folder for the logger's files.
            run_id: identifier of the run, also when it is resumed.
            name: name shown to people.
            config: the resolved configuration.
        """

    @abc.abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers after ``step`` queries; steps ascend, and a resumed run repeats them from 1."""

    @abc.abstractmethod
    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """Log the finished search: result, table of queries, plot."""

    @abc.abstractmethod
    def finish(self, *, failed: bool) -> None:
        """End the session; without :meth:`conclude` before it, the search was interrupted."""


class NoLogger(AbstractLogger):
    """Logs nothing, since the run's own files are complete."""

    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """Do nothing."""

    def finish(self, *, failed: bool) -> None:
        """Do nothing."""


class WandbLogger(AbstractLogger):
    """One Weights & Biases run per search, with the number of queries as x-axis; see ``docs/tracking.md``.

    Offline sessions of one run replace each other when they are synced, so each holds the whole search: a resumed run
    logs again from query 1, and an online run skips the queries that it has. The artifacts' names follow from the run's
    id alone.

    If W&B fails at any point, one line on stderr says so and the search continues without it.

    Args:
        project: name of the W&B project.
        mode: ``offline`` writes files only (``wandb sync`` uploads them), ``online`` uploads too, ``disabled`` neither;
            None for what the environment variable ``WANDB_MODE`` says, and ``offline`` without it.
        entity: W&B user or team; None for the default.
        tags: tags of the run in W&B.
        group: group of runs that W&B shows together; None for no group.
    """

    MODES: Mapping[str, Mode] = {"offline": "offline", "online": "online", "disabled": "disabled"}
    _VARIABLE = "WANDB_MODE"
    _FOLDERS = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")  # staging and logs, by default in the home folder

    def __init__(
        self,
        project: str = "agnet",
        mode: str | None = None,
        entity: str | None = None,
        tags: list[str] | None = None,
        group: str | None = None,
    ) -> None:
        named = "logger.mode"
        if mode is None:
            named, mode = self._VARIABLE, os.environ.get(self._VARIABLE) or "offline"
        if mode not in self.MODES:
            raise ConfigurationError(f"{named}={mode}; choose one of {', '.join(self.MODES)}")
        self.project, self.entity, self.tags, self.group = project, entity, tags, group
        self.mode: Mode = self.MODES[mode]
        self._directory = Path()
        self._run: wandb.Run | None = None
        self._begun = False
        self._failed = False
        self._first_step = 0
        self._redirected: list[str] = []

    @property
    def run(self) -> "wandb.Run":
        """The W&B run, between :meth:`start` and :meth:`finish`."""
        if self._run is None:
            raise RuntimeError("the logger was not started")
        return self._run

    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Start or continue the W&B run ``run_id``, without any prompt.

        Raises:
            ConfigurationError: if the mode is ``online`` and nobody is logged in, or W&B refuses the settings.
        """
        self._directory, self._begun, self._failed = run_directory, True, False
        self._redirected = [key for key in self._FOLDERS if key not in os.environ]
        os.environ.update({key: str((run_directory / "wandb").resolve()) for key in self._redirected})
        try:
            with self._forgiving():
                self._begin(run_id, name, config)
        except ConfigurationError:
            self._restore()
            raise

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers after ``step`` queries."""
        if not self._failed and step >= self._first_step:
            run = self.run
            with self._forgiving():
                run.log({"queries": step, **values}, step=step)

    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """Log tables, plot, each query's regret and hypervolume, the best architecture, and the artifacts."""
        if self._failed:
            return
        run, last = self.run, len(history)
        with self._forgiving():
            run.log({"queries": last, **self._media(result, history, plot)}, step=last)
            for index, values in enumerate(_afterwards(result, history), 1):
                run.log({"queries": index, **values}, step=last + index)
            run.summary.update(_summary(result))
            for kind, names in ARTIFACTS.items():
                self._hand_over(kind, [self._directory / name for name in names])

    def finish(self, *, failed: bool) -> None:
        """End the session and wait for its files."""
        if self._run is not None:
            with self._forgiving():
                self._run.finish(exit_code=int(failed))
            self._run = None
        if self._begun:
            import wandb

            with self._forgiving():
                wandb.teardown()  # the service keeps the folders that it was started with; the next run has others
            self._begun = False
        self._restore()

    def _begin(self, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        import wandb  # imported here because it takes a second and most searches do not need it
        from wandb.errors import AuthenticationError, UsageError

        try:
            if self.mode == "online" and not wandb.login(prompt=False, verify=False):
                raise ConfigurationError("logger.mode=online needs `wandb login` once; or keep logger.mode=offline")
            self._run = wandb.init(
                project=self.project,
                entity=self.entity,
                tags=self.tags,
                group=self.group,
                job_type="search",
                id=run_id,
                resume="allow",
                name=name,
                config=dict(config),
                mode=self.mode,
                dir=self._directory,
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            )
        except (AuthenticationError, UsageError) as error:
            raise ConfigurationError(f"Weights & Biases refuses: {_one_line(error)}") from error
        self._run.define_metric("queries")
        self._run.define_metric("*", step_metric="queries")
        self._first_step = self._run.step

    def _media(self, result: Mapping[str, Any], history: History, plot: Path) -> dict[str, Any]:
        """Queries and Pareto front as tables, and the plot if it was drawn."""
        import wandb

        rows = [[q.index + 1, q.architecture, *q.values.values(), q.round] for q in history.queries]
        media: dict[str, Any] = {
            "history": wandb.Table(columns=["queries", "architecture", *history.goal.columns, "round"], data=rows)
        }
        front = [
            {
                "architecture": found["architecture"],
                **found["objective"],
                **found.get("constraints", {}),
                **found["report"],
            }
            for found in result["pareto"]
        ]
        if front:
            columns = list(dict.fromkeys(column for row in front for column in row))  # cells may lack reported columns
            media["pareto"] = wandb.Table(
                columns=columns, data=[[row.get(column) for column in columns] for row in front]
            )
        if plot.exists():
            media["course"] = wandb.Image(str(plot))
        return media

    def _hand_over(self, kind: str, files: list[Path]) -> None:
        """Log files as an artifact; unchanged content makes no new version."""
        import wandb

        there = [file for file in files if file.exists()]
        digests = {file.name: _sha256(file) for file in there}
        artifact = wandb.Artifact(f"search-{self.run.id}-{kind}", type=kind, metadata={"sha256": digests})
        for file in there:
            artifact.add_file(str(file))
        self.run.log_artifact(artifact)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let an error of W&B end the logging, but not the search; it is reported once."""
        try:
            yield
        except ConfigurationError:
            raise
        except (Exception, SystemExit) as error:  # no error of a logger is worth losing a search
            if not self._failed:
                sys.stderr.write(
                    f"warning: Weights & Biases failed ({type(error).__name__}: {_one_line(error)}); "
                    f"the search goes on without it, with all its files in {self._directory}\n"
                )
            self._failed = True

    def _restore(self) -> None:
        for key in self._redirected:
            os.environ.pop(key, None)
        self._redirected = []


class BestSoFar:
    """The best feasible value of every objective, each taken alone.

    Args:
        goal: goal of the search.
    """

    def __init__(self, goal: Goal) -> None:
        self.values: dict[str, float] = {}
        """Best value by objective; empty until a query is feasible."""
        self._better = {**dict.fromkeys(goal.maximize, max), **dict.fromkeys(goal.minimize, min)}

    def add(self, query: Query, *, feasible: bool) -> None:
        """Take a query into account."""
        if feasible:
            for column, better in self._better.items():
                value = query.values[column]
                self.values[column] = better(self.values.get(column, value), value)


class HistoryObserver:
    """Passes a growing history to a logger, query by query.

    Args:
        logger: a started logger.
    """

    def __init__(self, logger: AbstractLogger) -> None:
        self.logger = logger
        self._logged = 0
        self._feasible = 0
        self._best: BestSoFar | None = None

    def __call__(self, history: History) -> None:
        """Log the queries that have not been logged."""
        goal = history.goal
        best_so_far = self._best = self._best or BestSoFar(goal)
        rounds = {r.queries: r for r in history.rounds}
        for index in range(self._logged, len(history)):
            query, best, feasible = history.queries[index], history.incumbents[index], history.feasible[index]
            values = {f"queried/{column}": value for column, value in query.values.items()}
            if best is not None:
                values |= {f"incumbent/{c}": value for c, value in history.queries[best].values.items()}
            best_so_far.add(query, feasible=feasible)
            values |= {f"best/{column}": value for column, value in best_so_far.values.items()}
            self._feasible += feasible
            if goal.limits:
                values["feasible_share"] = self._feasible / (index + 1)
            finished = rounds.get(index + 1)
            if finished is not None:
                values |= {f"optimizer/{name}": value for name, value in finished.diagnostics.items()}
                values |= {"round": query.round, "seconds": finished.seconds}
                if finished.surrogate_spearman is not None:
                    values["surrogate_spearman"] = finished.surrogate_spearman
            self.logger.log(values, index + 1)
        self._logged = len(history)


def _afterwards(result: Mapping[str, Any], history: History) -> list[dict[str, float]]:
    """Share of the exact hypervolume and regret after each query; empty if the table's truth is unknown.

    Regret is the distance of :class:`BestSoFar` to the optimum of every objective, in the objective's own unit.
    """
    shares = result.get("hypervolume", {}).get("share", [])
    optimum = result.get("exact", {}).get("optimum", {})
    if not shares and not optimum:
        return []
    best, trajectory = BestSoFar(history.goal), []
    for index, (query, feasible) in enumerate(zip(history.queries, history.feasible, strict=True)):
        best.add(query, feasible=feasible)
        values = {f"regret/{column}": abs(optimum[column] - value) for column, value in best.values.items() if optimum}
        trajectory.append(values | ({"hypervolume_share": shares[index]} if shares else {}))
    return trajectory


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture found and its values, for the columns of W&B's table of runs."""
    name = "closest" if result["best"] is None else "best"
    found = result[name]
    summary: dict[str, Any] = {f"{name}_architecture": found["architecture"], "pareto_size": len(result["pareto"])}
    for part in ("objective", "constraints", "report"):
        summary |= {f"{name}_{part}/{column}": value for column, value in found.get(part, {}).items()}
    return summary


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
