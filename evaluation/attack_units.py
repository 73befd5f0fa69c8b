"""``python -m evaluation.attack units=RUN out=DIR``: attack the kept networks of a run, extend its table."""

import shlex
import sys
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import AGNetError, ConfigurationError, TaskError
from agnet.runtime.paths import git_revision
from agnet.spaces.nasbench201 import NASBench201
from evaluation.production.configured import FromConfig
from evaluation.production.merge import representatives
from evaluation.production.outputs import Outputs
from evaluation.production.produce import produce
from evaluation.production.reattack import KeptRun, attack_source, joined, joined_protocol, read_kept_run
from evaluation.production.store import Store
from evaluation.production.transfer import transfer
from evaluation.production.unit import Unit
from evaluation.run import chosen_architectures

_OF_MODELS = ("images", "num_images", "batch_size")


def attack_units(cfg: DictConfig) -> None:
    """Attack what a configuration describes; write the joined table, or the matrix of transfer.

    Raises:
        ConfigurationError: for settings that make no sense for units.
        RunDirectoryError: if the run's folder is not as it should.
    """
    for key in _OF_MODELS:
        if cfg[key] is not None:
            hint = "; give attack_images={NAME: n}" if key == "num_images" else ""
            raise ConfigurationError(f"{key}={cfg[key]} is for model=...; with units=... leave it out{hint}")
    out, folder, space = Path(cfg.out), Path(cfg.units), NASBench201()
    if out.resolve() == folder.resolve():
        raise ConfigurationError(f"out={out} is the folder of units=...; choose another for the results")
    dataset = None if cfg.get("dataset") is None else OmegaConf.to_container(cfg.dataset, resolve=True)
    run = read_kept_run(
        folder,
        [*dict.fromkeys([*representatives(space), *space.enumerate()])],
        seed=cfg.seed,
        dataset=dataset,  # pyright: ignore[reportArgumentType]
        trusted=[] if isinstance(cfg.trust, bool) else list(cfg.trust),
    )
    for key in ("mode", "precision"):
        theirs = getattr(run.protocol, key)
        if cfg[key] not in (None, theirs):
            raise ConfigurationError(f"{key}={cfg[key]}: units={folder} have {key}={theirs}; leave it out")
    cells = chosen_architectures(cfg, run.cells)
    attack = OmegaConf.to_container(cfg.attack, resolve=True)
    assert isinstance(attack, dict)
    counts = dict(cfg.attack_images or {})
    source = attack_source(run, attack, attack_images=counts, calibration=cfg.calibration)  # pyright: ignore
    if cfg.transfer:
        if cfg.device != "cpu":
            raise ConfigurationError(f"device={cfg.device} with transfer=true; give device=cpu")
        units = [Unit(cell, seed) for seed in run.seeds for cell in cells]
        executor = instantiate(cfg.executor, _convert_="all")
        made = transfer(source(), source, run.weights, units, out, executor=executor, progress=cfg.progress)
        print(f"{out}: transfer.csv, transfer.npz: {len(made)} matrices of {len(units)} networks")
        return
    _attack(cfg, run, cells, out, space, source)


def _attack(cfg: DictConfig, run: KeptRun, cells: list[str], out: Path, space: NASBench201, source: FromConfig) -> None:
    """Attack the cells and write the joined table."""
    protocol = source()
    whole = joined_protocol(run, protocol)
    outputs = Outputs(out, cfg.table, whole, space)
    outputs.check()
    try:
        found = produce(
            protocol,
            cells,
            out,
            executor=instantiate(cfg.executor, _convert_="all"),
            seeds=run.seeds,
            source=source,
            device=cfg.device,
            retry=cfg.retry,
            networks=run.weights,
            progress=cfg.progress,
        )
    except TaskError as error:
        raise AGNetError(f"{out}: {error}") from error
    for path in found.damaged:
        print(f"damaged, moved to {path} and attacked again", file=sys.stderr)
    facts = {
        "command": shlex.join(["python", "-m", "evaluation.attack", *sys.argv[1:]]),
        "revision": git_revision(),
        "networks": str(run.folder),
    }
    outputs.write(joined(found, run, whole), Store(out, protocol), facts, device=cfg.device, progress=cfg.progress)
