"""``python -m evaluation.run experiment=digits out=DIR``: train and attack architectures, write the table."""

import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import AGNetError, ConfigurationError, TaskError
from agnet.runtime.command import entry_point
from agnet.runtime.paths import git_revision
from agnet.spaces.nasbench201 import NASBench201
from evaluation.production.configured import FromConfig, build_protocol
from evaluation.production.extension import read_base
from evaluation.production.merge import first_failure, overfitted, representatives
from evaluation.production.outputs import Outputs
from evaluation.production.produce import produce
from evaluation.production.store import Store
from evaluation.training.robust_validation import warning


def chosen_architectures(cfg: DictConfig, catalogue: Sequence[str]) -> list[str]:
    """The classes a configuration asks for, by their representatives: all, the first ``n``, or ``n`` that are drawn.

    Raises:
        ConfigurationError: if there are not so many.
    """
    count = cfg.num_architectures
    if count is not None and not 1 <= count <= len(catalogue):
        raise ConfigurationError(f"num_architectures={count}; give 1..{len(catalogue)} classes, or null for all")
    return ordered(catalogue, cfg.draw_seed)[:count]


def ordered(architectures: Sequence[str], seed: int | None) -> list[str]:
    """Architectures in an order drawn with a seed, or as they are."""
    order = list(architectures)
    if seed is not None:
        random.Random(seed).shuffle(order)
    return order


def run(cfg: DictConfig) -> None:
    """Produce what a configuration describes, merge it, and say where it lies."""
    from evaluation.schema import RunConfig

    plain = OmegaConf.to_container(cfg, resolve=True)
    RunConfig.check(plain)
    space: NASBench201 = instantiate(cfg.space)
    seeds, share, out = list(cfg.seeds), None if cfg.share is None else tuple(cfg.share), Path(cfg.out)
    protocol, catalogue = build_protocol(cfg), representatives(space)
    chosen = chosen_architectures(cfg, catalogue)
    outputs = Outputs(out, cfg.table, protocol, space)
    if share is None:
        outputs.check()
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
            catalogue=ordered(catalogue, protocol.group_seed),
            source=FromConfig(json.dumps(plain)),
            device=cfg.device,
            share=share,
            retry=cfg.retry,
            keep_weights=cfg.keep_weights,
            progress=cfg.progress,
        )
    except TaskError as error:
        raise AGNetError(f"{out}: {error}") from error
    for path in found.damaged:
        print(f"damaged, moved to {path} and evaluated again", file=sys.stderr)
    fooled = overfitted(found) if protocol.recipe.adversarial is not None else []
    if fooled:
        of = f"{len(fooled)} of {len(found.records)} networks, e.g. {fooled[0].unit}"
        print(f"warning: {warning(of, fooled[0].training)}, or recipe.select=best_robust", file=sys.stderr)
    if share is not None:
        print(f"{out}: share {share[0]} of {share[1]} is done, {len(found.records)} units")
        if found.failures:
            raise AGNetError(f"{first_failure(found)}; retry=true tries them again")
        return
    facts = {"command": shlex.join(["python", "-m", "evaluation.run", *sys.argv[1:]]), "revision": git_revision()}
    if protocol.recipe.adversarial is not None:
        facts["catastrophic_overfitting"] = str(len(fooled))
    if base is not None:
        facts |= {"extends": json.dumps(base.revisions), "extends_sha256": base.content_sha256}
    last = {"retime": cfg.retime, "progress": cfg.progress}
    outputs.write(found, Store(out, protocol), facts, device=cfg.device, base=base, **last)


main = entry_point(hydra.main, "run", run)

if __name__ == "__main__":
    main()
