"""``python -m evaluation.run experiment=digits out=DIR``: train and attack architectures, write the table."""

import shlex
import sys
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.arguments import check_arguments
from agnet.command import command
from agnet.errors import ConfigurationError
from agnet.paths import CONF_DIR, git_revision
from agnet.spaces import NASBench201
from agnet.weights import record
from evaluation.produce import Protocol, cpu_seconds, merge, produce, representatives


def build_protocol(cfg: DictConfig) -> Protocol:
    """The protocol of a configuration composed from ``conf/evaluate.yaml``."""
    return Protocol(
        images=instantiate(cfg.dataset),
        channels=cfg.network.channels,
        cells_per_stage=cfg.network.cells_per_stage,
        recipe=instantiate(cfg.recipe),
        attacks=[instantiate(attack) for attack in (cfg.get("attack") or {}).values()],
        seed=cfg.seed,
        block_size=cfg.block_size,
        mode=cfg.mode,
        precision=cfg.precision,
    )


def run(cfg: DictConfig) -> None:
    """Produce the table a configuration describes and say where it lies."""
    check_arguments(OmegaConf.to_container(cfg, resolve=True))
    if cfg.device != "cpu" and not (cfg.device == "cuda" and torch.cuda.is_available()):
        raise ConfigurationError(f"device={cfg.device}; give cpu, or cuda where there is one")
    for key in ("seed", "workers", "block_size", "network.channels", "network.cells_per_stage"):
        value = OmegaConf.select(cfg, key)
        if type(value) is not int:
            raise ConfigurationError(f"{key}={value} must be a whole number")
    space: NASBench201 = instantiate(cfg.space)
    protocol, out = build_protocol(cfg), Path(cfg.out)
    chosen = representatives(space)
    if cfg.num_architectures is not None:
        if not 1 <= cfg.num_architectures <= len(chosen):
            raise ConfigurationError(
                f"num_architectures={cfg.num_architectures}; give 1..{len(chosen)} classes, or null for all"
            )
        chosen = chosen[: cfg.num_architectures]
    rows = produce(protocol, chosen, out, workers=cfg.workers, device=cfg.device)
    path = Path(cfg.table or out / f"{space.name}_{protocol.images.name}.parquet")
    metadata = {"command": shlex.join(["python", "-m", "evaluation.run", *sys.argv[1:]]), "revision": git_revision()}
    count = merge(rows, protocol, space, path, metadata)
    entry = {"kind": "table", "space": space.name, **metadata, "seed": cfg.seed, "torch": str(torch.__version__)}
    found = {"architectures": count, "classes": len(rows), "protocol_digest": protocol.digest}
    record(path, {**entry, "cpu_seconds": round(cpu_seconds(protocol, chosen, out)), "metrics": found})
    print(f"{path}: {count} architectures, {len(rows)} evaluated")


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="evaluate"), run)

if __name__ == "__main__":
    main()
