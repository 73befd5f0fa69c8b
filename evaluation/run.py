"""``python -m evaluation.run experiment=digits out=DIR``: train and attack architectures, write the table."""

import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import AGNetError, ConfigurationError, TaskError
from agnet.generator.checkpoints import record
from agnet.runtime.arguments import check_arguments
from agnet.runtime.command import command
from agnet.runtime.paths import CONF_DIR, git_revision
from agnet.spaces import NASBench201
from evaluation.production import Store, merge, produce
from evaluation.production.configured import FromConfig, build_protocol
from evaluation.production.extension import read_base
from evaluation.production.merge import cpu_seconds, representatives, write_manifest

_WHOLE = ("group_size", "network.channels", "network.cells_per_stage", "sensitivity.num_images")


def chosen_architectures(cfg: DictConfig, catalogue: Sequence[str]) -> list[str]:
    """The classes a configuration asks for, by their representatives: all, the first ``n``, or ``n`` that are drawn.

    Raises:
        ConfigurationError: if there are not so many.
    """
    count, seed = cfg.num_architectures, cfg.draw_seed
    for key, value in (("num_architectures", count), ("draw_seed", seed)):
        if value is not None and type(value) is not int:
            raise ConfigurationError(f"{key}={value} must be a whole number or null")
    if count is not None and not 1 <= count <= len(catalogue):
        raise ConfigurationError(f"num_architectures={count}; give 1..{len(catalogue)} classes, or null for all")
    order = list(range(len(catalogue)))
    if seed is not None:
        random.Random(seed).shuffle(order)
    return [catalogue[i] for i in order[:count]]


def _share(cfg: DictConfig) -> tuple[int, int] | None:
    share = cfg.share
    if share is None:
        return None
    values = list(share) if OmegaConf.is_list(share) else []
    if len(values) != 2 or any(type(v) is not int for v in values) or not 1 <= values[0] <= values[1]:
        raise ConfigurationError(f"share={share}; give [k,n], the k-th of n shares, counted from 1")
    return values[0], values[1]


def _seeds(cfg: DictConfig) -> list[int]:
    seeds = list(cfg.seeds) if OmegaConf.is_list(cfg.seeds) else []
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ConfigurationError(f"seeds={cfg.seeds}; give a list of whole numbers from 0, e.g. [0,1,2]")
    return seeds


def run(cfg: DictConfig) -> None:
    """Produce what a configuration describes, merge it, and say where it lies."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    check_arguments(plain)
    if cfg.device != "cpu" and not (cfg.device == "cuda" and torch.cuda.is_available()):
        raise ConfigurationError(f"device={cfg.device}; give cpu, or cuda where there is one")
    for key in _WHOLE:
        value = OmegaConf.select(cfg, key)
        if type(value) is not int:
            raise ConfigurationError(f"{key}={value} must be a whole number")
    for key in ("retime", "retry", "progress"):
        if type(cfg[key]) is not bool:
            raise ConfigurationError(f"{key}={cfg[key]}; it is true or false")
    space: NASBench201 = instantiate(cfg.space)
    seeds, share, out = _seeds(cfg), _share(cfg), Path(cfg.out)
    protocol, catalogue = build_protocol(cfg), representatives(space)
    chosen = chosen_architectures(cfg, catalogue)
    base = read_base(Path(cfg.extend), protocol, seeds) if cfg.extend else None
    if base is not None:
        chosen = [architecture for architecture in chosen if architecture not in base.rows]
        if not chosen:
            raise ConfigurationError(f"extend={cfg.extend} has all of these cells; raise num_architectures")
    try:
        found = produce(
            protocol,
            chosen,
            out,
            executor=instantiate(cfg.executor, _convert_="all"),
            seeds=seeds,
            catalogue=catalogue,
            source=FromConfig(json.dumps(plain)),
            device=cfg.device,
            share=share,
            retry=cfg.retry,
            progress=cfg.progress,
        )
    except TaskError as error:
        raise AGNetError(f"{out}: {error}") from error
    for path in found.damaged:
        print(f"damaged, moved to {path} and evaluated again", file=sys.stderr)
    failed = f"{len(found.failures)} units failed, see {out / 'failures'}; retry=true tries them again"
    if share is not None:
        print(f"{out}: share {share[0]} of {share[1]} is done, {len(found.records)} units")
        if found.failures:
            raise AGNetError(failed)
        return
    name = f"{space.name}_{protocol.prefix}"
    table = Path(cfg.table or out / f"{name}.parquet")
    details = out / f"{name}_details.parquet"
    facts = {"command": shlex.join(["python", "-m", "evaluation.run", *sys.argv[1:]]), "revision": git_revision()}
    seconds = cpu_seconds(found)
    spent = sum(seconds.values())
    if base is not None:
        spent += base.cpu_seconds
        facts |= {"extends": json.dumps(base.revisions), "extends_sha256": base.content_sha256}
    metadata = {**facts, "cpu_seconds": str(round(spent))}
    last = {"retime": cfg.retime, "progress": cfg.progress}
    count = merge(found, protocol, space, table, details, metadata, base.rows if base else None, **last)
    write_manifest(Store(out, protocol), found, seconds, {"table": table, "details": details}, facts)
    entry = {"kind": "table", "space": space.name, **facts, "seeds": seeds, "torch": str(torch.__version__)}
    metrics = {"architectures": count, "units": len(found.records), "protocol_digest": protocol.digest}
    record(table, {**entry, "device": cfg.device, "cpu_seconds": round(spent), "metrics": metrics})
    print(f"{table}: {count} architectures of {len(found.records)} units; details: {details}")
    if found.failures:
        raise AGNetError(f"the table lacks architectures: {failed}")


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="run"), run)

if __name__ == "__main__":
    main()
