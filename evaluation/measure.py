"""``python -m evaluation.measure table=OUT.parquet num_architectures=100``: a table of untrained networks."""

import inspect
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import hydra
import pyarrow as pa
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from agnet.errors import ConfigurationError, UnreadableFile
from agnet.runtime.building import targets_of
from agnet.runtime.command import entry_point
from agnet.runtime.digests import of_arrays, of_file
from agnet.runtime.files import locked
from agnet.runtime.paths import git_revision
from agnet.spaces.base import AbstractSpace
from agnet.tables.table import KEY, write_table
from evaluation.data.images import ImageSplits
from evaluation.training_free.row_log import RowLog
from evaluation.training_free.untrained import Untrained


def drawn(space: AbstractSpace, count: int | None, *, seed: int) -> list[str]:
    """Distinct architectures of a space: so many, drawn; or all.

    Raises:
        ConfigurationError: if there are not so many, or all are asked for where they cannot be counted.
    """
    if count is None:
        if space.size is None:
            raise ConfigurationError(f"{space.name} cannot be enumerated; give num_architectures=NUMBER")
        return list(space.enumerate())
    if count < 1 or (space.size is not None and count > space.size):
        raise ConfigurationError(
            f"num_architectures={count}; {space.name} has {space.size or 'very many'}: give 1 to it"
        )
    return space.sample_new(count, known=(), rng=torch.Generator().manual_seed(seed))


_NOT_OF_A_ROW = {"table", "num_architectures", "progress", "data_root", "hydra"}


def _settings(cfg: DictConfig, splits: ImageSplits) -> dict[str, Any]:
    """What decides a row: settings, images, and the user's own code."""
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    train = splits.train
    return {
        **{str(key): value for key, value in config.items() if key not in _NOT_OF_A_ROW},
        "images": of_arrays(train.stored, train.labels),
        "normalization": [splits.mean, splits.std, splits.num_classes],
        "code": {target: digest for target in targets_of(config) if (digest := _source_digest(target))},
    }


def _source_digest(target: str) -> str:
    """Digest of the user's module that a target comes from; empty for this project's and for what has no source."""
    if target.partition(".")[0] in ("agnet", "evaluation", "search"):
        return ""
    with suppress(AttributeError, ImportError, OSError, TypeError, ValueError, UnreadableFile):
        if source := inspect.getsourcefile(inspect.unwrap(resolve_name(target))):
            return of_file(Path(source))
    return ""


def run(cfg: DictConfig) -> None:
    """Measure what a configuration describes and say where it lies."""
    from evaluation.schema import MeasureConfig

    MeasureConfig.check(OmegaConf.to_container(cfg, resolve=True))
    path = Path(cfg.table)
    space: AbstractSpace = instantiate(cfg.space)
    splits: ImageSplits = instantiate(cfg.dataset)
    measures = {str(name): instantiate(measure, _convert_="all") for name, measure in cfg.measures.items()}
    untrained = Untrained(measures, splits, instantiate(cfg.network), seed=cfg.seed, repeats=cfg.repeats)
    architectures = drawn(space, cfg.num_architectures, seed=cfg.seed)
    with locked(lock := path.with_name(f"{path.name}.lock")):
        log = RowLog(path.with_name(f"{path.name}.rows.jsonl"), _settings(cfg, splits))
        for architecture in tqdm(architectures, desc="measure", unit="cell", disable=None if cfg.progress else True):
            if architecture not in log.rows:
                log.append(architecture, untrained([architecture])[0])
        rows = [log.rows[architecture] for architecture in architectures]
        columns = {name: pa.array([row[name] for row in rows], pa.float64()) for name in measures}
        facts = {
            "space": space.name,
            "dataset": splits.name,
            "protocol": OmegaConf.to_yaml(cfg.measures, resolve=True),
            "seeds": ",".join(map(str, untrained.seeds)),
            "command": shlex.join(["python", "-m", "evaluation.measure", *sys.argv[1:]]),
            "revision": git_revision(),
        }
        write_table(path, pa.table({KEY: pa.array(architectures), **columns}), facts)
        log.path.unlink()
        with suppress(OSError):
            lock.rmdir()
    print(f"{path}: {len(architectures)} architectures, {', '.join(measures)}")


main = entry_point(hydra.main, "measure", run)

if __name__ == "__main__":
    main()
