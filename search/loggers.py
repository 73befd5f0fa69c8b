"""Where a search is followed besides its own files: nowhere, or in Weights & Biases."""

import abc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agnet.errors import ConfigurationError
from search.history import History

if TYPE_CHECKING:
    import wandb

Mode = Literal["offline", "online", "disabled"]


class AbstractLogger(abc.ABC):
    """Follows one search; what it writes lies inside the run directory."""

    @abc.abstractmethod
    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Begin or continue a run.

        Args:
            run_directory: where files go.
            run_id: the same for the same run, also when it is resumed.
            name: shown to people.
            config: resolved configuration.
        """

    @abc.abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers after ``step`` queries; steps ascend, and a resumed run repeats them from 1."""

    @abc.abstractmethod
    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """The finished search: result, table of queries, plot."""

    @abc.abstractmethod
    def finish(self, *, failed: bool) -> None:
        """End the session; without :meth:`conclude` before it, the search was interrupted."""


class NoLogger(AbstractLogger):
    """Logs nothing: the run's own files are complete."""

    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Nothing."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """Nothing."""

    def finish(self, *, failed: bool) -> None:
        """Nothing."""


class WandbLogger(AbstractLogger):
    """One Weights & Biases run per search, with the number of queries as x-axis.

    Offline sessions of one run replace each other when they are synced, so each holds the whole search: a resumed run
    logs again from query 1, and an online run skips what it has.

    Args:
        project: W&B project.
        mode: ``offline`` writes files only (``wandb sync`` uploads them), ``online`` uploads too, ``disabled`` neither.
        entity: W&B user or team; None for the default.
        tags: shown in W&B.
    """

    MODES: Mapping[str, Mode] = {"offline": "offline", "online": "online", "disabled": "disabled"}
    _FOLDERS = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")  # staging and logs, by default in the home folder

    def __init__(
        self, project: str = "agnet", mode: str = "offline", entity: str | None = None, tags: list[str] | None = None
    ) -> None:
        if mode not in self.MODES:
            raise ConfigurationError(f"logger.mode={mode}; choose one of {', '.join(self.MODES)}")
        self.project, self.entity, self.tags = project, entity, tags
        self.mode: Mode = self.MODES[mode]
        self._run: wandb.Run | None = None
        self._first_step = 0
        self._redirected: list[str] = []

    @property
    def run(self) -> "wandb.Run":
        """The W&B run, between :meth:`start` and :meth:`finish`."""
        if self._run is None:
            raise RuntimeError("the logger was not started")
        return self._run

    def start(self, run_directory: Path, *, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Begin or continue the W&B run ``run_id``; never asks for anything.

        Raises:
            ConfigurationError: if the mode is ``online`` and nobody is logged in.
        """
        self._redirected = [key for key in self._FOLDERS if key not in os.environ]
        os.environ.update({key: str(run_directory / "wandb") for key in self._redirected})
        import wandb  # here: it takes a second, and most searches do without

        if self.mode == "online" and not wandb.login(prompt=False, verify=False):
            raise ConfigurationError("logger.mode=online needs `wandb login` once; or keep logger.mode=offline")
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            tags=self.tags,
            id=run_id,
            resume="allow",
            name=name,
            config=dict(config),
            mode=self.mode,
            dir=run_directory,
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        self._run.define_metric("queries")
        self._run.define_metric("*", step_metric="queries")
        self._first_step = self._run.step

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers after ``step`` queries."""
        if step >= self._first_step:
            self.run.log({"queries": step, **values}, step=step)

    def conclude(self, result: Mapping[str, Any], history: History, plot: Path) -> None:
        """Best architecture into the summary, queries as a table, the plot as an image."""
        import wandb

        rows = [[q.index + 1, q.architecture, *q.values.values(), q.round] for q in history.queries]
        table = wandb.Table(columns=["queries", "architecture", *history.columns, "round"], data=rows)
        self.run.log({"queries": len(history), "history": table, "course": wandb.Image(str(plot))}, step=len(history))
        best = result["best"]
        self.run.summary.update({"best_architecture": best["architecture"], "pareto_size": len(result["pareto"])})
        for part in ("objective", "report"):
            self.run.summary.update({f"best_{part}/{column}": value for column, value in best[part].items()})

    def finish(self, *, failed: bool) -> None:
        """End the session and wait for its files."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))
            self._run = None
        for key in self._redirected:
            os.environ.pop(key, None)


class HistoryObserver:
    """Hands a growing history to a logger, query by query.

    Args:
        logger: a started logger.
    """

    def __init__(self, logger: AbstractLogger) -> None:
        self.logger = logger
        self._logged = 0

    def __call__(self, history: History) -> None:
        """Log what was not logged yet."""
        rounds = {r.queries: r for r in history.rounds}
        for index in range(self._logged, len(history)):
            query, best = history.queries[index], history.queries[history.incumbents[index]]
            values = {f"queried/{column}": value for column, value in query.values.items()}
            values |= {f"incumbent/{column}": value for column, value in best.values.items()}
            finished = rounds.get(index + 1)
            if finished is not None:
                values |= {f"optimizer/{name}": value for name, value in finished.diagnostics.items()}
                values |= {"round": query.round, "seconds": finished.seconds}
                if finished.surrogate_spearman is not None:
                    values["surrogate_spearman"] = finished.surrogate_spearman
            self.logger.log(values, index + 1)
        self._logged = len(history)
