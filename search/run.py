"""``python -m search.run optimizer=agnet run_dir=DIR``: one search, from a configuration to ``result.json``."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits

from agnet.errors import AGNetError, ConfigurationError
from agnet.optimizers.base import AbstractOptimizer
from agnet.runtime.command import entry_point
from agnet.runtime.files import names_in
from agnet.runtime.paths import ROOT
from agnet.spaces.base import AbstractSpace
from agnet.tables.goal import Goal
from agnet.tables.objective import AbstractObjective
from search.ground_truth import GroundTruth
from search.loggers import AbstractLogger, HistoryObserver
from search.loop import check_schedule, run_search
from search.result import Reading, make_result, summary, write_result
from search.run_directory import RunDirectory, comparison_keys, identity, ignored, relevant


def execute(cfg: DictConfig, *, optimizer_name: str, run_directory: Path) -> dict[str, Any]:
    """Run, continue, or just read the search that a configuration describes.

    Args:
        cfg: configuration composed from ``conf/search.yaml``.
        optimizer_name: name of the optimizer in the result.
        run_directory: folder of the run.

    Returns:
        The content of ``result.json``.

    Raises:
        AGNetError: for unusable settings, tables or folder; nothing in the folder is changed in this case.
    """
    config = _resolved(cfg)
    directory = RunDirectory(run_directory)
    sound = not config["force"] and directory.check(config)
    schedule = {key: config[key] for key in ("budget", "initial", "batch")}
    check_schedule(**schedule)
    torch.set_num_threads(config["threads"])
    threadpool_limits(config["threads"])  # numpy's and SciPy's BLAS: threads wait on small matrices
    objective, report = build_objective(cfg)
    under = _under(config, objective.goal)
    space, optimizer = build_optimizer(cfg, objective)
    inputs = inputs_of(objective, report, optimizer)
    if sound and (result := directory.finished(config, inputs)) is not None:
        return result
    logger: AbstractLogger = instantiate(cfg.logger, _convert_="all")
    heading = f"{optimizer_name} on {space.name}, seed {config['seed']}"
    with directory.claimed(config, force=config["force"]):
        done = False
        try:
            logger.start(directory.path, run_id=_run_id(config, directory.path), name=heading, config=config)
            history = run_search(
                space,
                objective,
                optimizer,
                **schedule,
                run_directory=directory.path,
                identity=identity(config, inputs),
                observer=HistoryObserver(logger),
                save_every=float(config["save_every"]),
                progress=config["progress"],
            )
            if config["plot"]:
                from search.plot import plot_history  # here: matplotlib takes half a second

                plot_history(directory.plot, history, heading=heading)
            result = make_result(
                history,
                space=space.name,
                optimizer=optimizer_name,
                seed=config["seed"],
                budget=schedule["budget"],
                report=report,
                pretrained=optimizer.provenance(),
                protocol=objective.protocol,
                exact=GroundTruth.of(objective),
                under=under,
            )
            write_result(directory.result, result)
            directory.close(config, inputs)
            logger.conclude(result, history, directory.plot)
            done = True
        finally:
            logger.finish(failed=not done)
    return result


def build_objective(cfg: DictConfig) -> tuple[AbstractObjective, Reading]:
    """Objective and report of a configuration.

    Tables that are not found from the current folder are sought in the checkout.

    Raises:
        AGNetError: if tables or columns do not serve, see :func:`agnet.tables.objective.read_objective`.
    """
    return instantiate(cfg.objective, **_table_paths(_resolved(cfg)), _convert_="all")


def build_optimizer(cfg: DictConfig, objective: AbstractObjective) -> tuple[AbstractSpace, AbstractOptimizer]:
    """The space searched, as far as the objective can evaluate it, and the optimizer of a configuration.

    Raises:
        AGNetError: if settings do not serve.
    """
    space: AbstractSpace = objective.restrict(instantiate(cfg.space), cfg.budget)
    optimizer = instantiate(cfg.optimizer, space=space, seed=cfg.seed, initial=cfg.initial, _convert_="all")
    return space, optimizer


def inputs_of(objective: AbstractObjective, report: Reading, optimizer: AbstractOptimizer) -> dict[str, Any]:
    """Digests of whatever a search depends on besides its configuration: what it measures, reports, and starts from."""
    inputs = {"objective": objective.identity(), "report": getattr(report, "identity", dict)()}
    if "sha256" in (pretrained := optimizer.provenance()):
        inputs["generator"] = {"sha256": pretrained["sha256"]}
    return inputs


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, checked; an experiment may hold keys of comparisons too."""
    from search.schema import SearchConfig

    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    named = {str(key): value for key, value in config.items()}
    SearchConfig.check({key: value for key, value in named.items() if key not in comparison_keys()})
    return named


def _table_paths(config: dict[str, Any]) -> dict[str, list[str]]:
    """Paths of tables; those not found from the current folder, such as the bundled one, are sought in the checkout."""
    if "tables" not in config["objective"]:  # a live evaluation
        return {}
    tables = config["objective"]["tables"]
    return {"tables": [str(ROOT / t) if not Path(t).exists() and (ROOT / t).exists() else t for t in tables]}


def _under(config: dict[str, Any], goal: Goal) -> dict[str, list[float]]:
    """The bounds of the key ``under``, on columns that the search sees."""
    under = config["under"] or {}
    for column in under:
        if column not in goal.columns:
            raise ConfigurationError(f"under: the search does not see {column}; it sees {', '.join(goal.columns)}")
    return {column: [float(bound) for bound in bounds] for column, bounds in under.items()}


def _run_id(config: dict[str, Any], run_directory: Path) -> str:
    """Equal for the same run, whenever it is resumed."""
    text = json.dumps([str(run_directory.resolve()), relevant(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run(cfg: DictConfig) -> None:
    """Run a search, or one of a multirun, and say what it found; a group of runs is named after experiment or space."""
    choices = HydraConfig.get().runtime.choices
    optimizer = choices["optimizer"]
    name = choices.get("experiment") or choices["space"]
    if cfg.logger.get("group", name) is None:
        cfg.logger.group = name
    run_directory = Path(str(cfg.run_dir) if cfg.run_dir else f"runs/{name}_{optimizer}_seed{cfg.seed}{_told_apart()}")
    try:
        result = execute(cfg, optimizer_name=optimizer, run_directory=run_directory)
    except AGNetError as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        raise AGNetError(f"{run_directory}: {error}") from error  # which of the jobs it is
    print(summary(result))
    print(f"  files in {run_directory}: {', '.join(names_in(run_directory))}")


_LONGEST = 120


def _told_apart() -> str:
    """The end of the default folder's name: overrides that change the search and are not in the name anyway.

    A digest follows where they are long or hold what does not belong into a file name.
    """
    job = HydraConfig.get()
    named = {"experiment", "optimizer", "seed"} | (set() if job.runtime.choices.get("experiment") else {"space"})
    given = {override.split("=")[0].lstrip("+~"): override for override in job.overrides.task}
    root = job.job.config_name
    candidates = [key for key in sorted(given) if key not in named and key.split(".")[0] not in ignored()]
    whole = compose(root, list(given.values())) if candidates else None

    def changes(key: str) -> bool:
        try:
            return compose(root, [given[k] for k in given if k != key]) != whole
        except HydraException:  # others build upon it
            return True

    text = "".join(f"_{given[key].lstrip('+')}" for key in candidates if changes(key))
    plain = re.sub(r"[\[\]{}'\" ]", "", text).replace(",", "+")
    name = re.sub(r"[^\w.=+~-]+", "-", plain)
    if name == plain and len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


main = entry_point(hydra.main, "search", run)

if __name__ == "__main__":
    main()
