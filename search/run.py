"""``python -m search.run optimizer=agnet run_dir=DIR``: one search, from a configuration to ``result.json``."""

import hashlib
import json
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.command import command
from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.objective import Objective
from agnet.optimizer import AbstractOptimizer
from agnet.paths import CONF_DIR, ROOT
from agnet.spaces import AbstractSpace, Subspace
from search.correlation import table_truth
from search.loggers import AbstractLogger, HistoryObserver
from search.loop import check_schedule, run_search
from search.plot import plot_history
from search.result import make_result, read_result, summary, write_result
from search.run_directory import RunDirectory, relevant

MAX_SEED = 2**31 - 1


def execute(cfg: DictConfig, *, optimizer_name: str, run_directory: Path) -> dict[str, Any]:
    """Run, continue, or just read the search a configuration describes.

    Args:
        cfg: composed from ``conf/search.yaml``.
        optimizer_name: how the result calls the optimizer.
        run_directory: folder of the run.

    Returns:
        The content of ``result.json``.

    Raises:
        AGNetError: for settings, tables or a folder that do not serve; nothing in the folder was changed then.
    """
    config = _resolved(cfg)
    directory = RunDirectory(run_directory)
    if not config["force"]:
        directory.check(config)
        if directory.result.exists():
            return read_result(directory.result)
    schedule = _checked_schedule(config)
    torch.set_num_threads(config["threads"])
    space: AbstractSpace = instantiate(cfg.space)
    objective, report = instantiate(cfg.objective, **_table_paths(config), _convert_="all")
    if isinstance(objective, Objective):
        space = _searchable(space, objective, schedule["budget"])
    optimizer: AbstractOptimizer = instantiate(
        cfg.optimizer, space=space, seed=config["seed"], initial=config["initial"], _convert_="all"
    )
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
                truth=table_truth(objective) if isinstance(objective, Objective) else None,
                observer=HistoryObserver(logger),
                progress=config["progress"],
            )
            plot_history(directory.plot, history, heading=heading)
            result = make_result(
                history,
                space=space.name,
                optimizer=optimizer_name,
                seed=config["seed"],
                budget=schedule["budget"],
                report=report,
                pretrained=optimizer.provenance(),
            )
            write_result(directory.result, result)
            logger.conclude(result, history, directory.plot)
            done = True
        finally:
            logger.finish(failed=not done)
    return result


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    for key in ("force", "progress"):
        if not isinstance(config[key], bool):
            raise ConfigurationError(f"{key}={config[key]}; it is true or false")
    return {str(key): value for key, value in config.items()}


def _checked_schedule(config: dict[str, Any]) -> dict[str, int]:
    """Budget, initial and batch after a check of all whole numbers."""
    for key in ("seed", "threads", "budget", "initial", "batch"):
        if isinstance(config[key], bool) or not isinstance(config[key], int):
            raise ConfigurationError(f"{key}={config[key]} must be a whole number")
    if not 0 <= config["seed"] <= MAX_SEED:
        raise ConfigurationError(f"seed={config['seed']} must be from 0 to {MAX_SEED}")
    if config["threads"] < 1:
        raise ConfigurationError(f"threads={config['threads']} must be at least 1")
    schedule = {key: config[key] for key in ("budget", "initial", "batch")}
    check_schedule(**schedule)
    return schedule


def _table_paths(config: dict[str, Any]) -> dict[str, list[str]]:
    """Tables; those not found from the current folder, such as the bundled one, are looked for in the checkout."""
    if "tables" not in config["objective"]:  # a live evaluation
        return {}
    tables = config["objective"]["tables"]
    if isinstance(tables, str) or not tables:
        raise ConfigurationError(f"objective.tables={tables} must be a list of files, e.g. [mine.parquet]")
    return {"tables": [str(ROOT / t) if not Path(t).exists() and (ROOT / t).exists() else t for t in tables]}


def _searchable(space: AbstractSpace, objective: Objective, budget: int) -> AbstractSpace:
    """The space, or the part of it that has values.

    Raises:
        InvalidArchitecture: if a row is not in the space, however many rows there are.
        ConfigurationError: if the budget exceeds the rows.
    """
    rows = objective.table.rows
    if budget > len(rows):
        raise ConfigurationError(
            f"budget={budget} exceeds the {len(rows)} architectures with values of {', '.join(objective.names)}; "
            "lower budget or add rows to objective.tables"
        )
    try:
        part = Subspace(space, rows)
    except InvalidArchitecture as error:
        raise InvalidArchitecture(f"objective.tables have a row that is {error}; correct or drop it") from None
    return space if part.size == space.size else part


def _run_id(config: dict[str, Any], run_directory: Path) -> str:
    """Equal for the same run, whenever it is resumed."""
    text = json.dumps([str(run_directory.resolve()), relevant(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run(cfg: DictConfig) -> None:
    """Run a search and say what it found."""
    choices = HydraConfig.get().runtime.choices
    optimizer = choices["optimizer"]
    name = choices.get("experiment") or choices["space"]
    run_directory = Path(cfg.run_dir or f"runs/{name}_{optimizer}_seed{cfg.seed}")
    result = execute(cfg, optimizer_name=optimizer, run_directory=run_directory)
    print(summary(result))
    print(f"  files in {run_directory}: {', '.join(sorted(p.name for p in run_directory.iterdir()))}")


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="search"), run)

if __name__ == "__main__":
    main()
