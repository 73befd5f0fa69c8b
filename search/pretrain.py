"""``python -m search.pretrain space=nasbench201 out=DIR``: pretrain a generator and enter it into a manifest."""

import shlex
import sys
import time
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from agnet.errors import ConfigurationError
from agnet.generator.checkpoints import MANIFEST, generator_file, read_manifest, save_generator
from agnet.generator.model import GraphGenerator
from agnet.generator.pairing import AbstractPairing
from agnet.generator.pretrain import Schedule, pretrain
from agnet.generator.quality import assess
from agnet.runtime.command import entry_point
from agnet.runtime.files import updating
from agnet.runtime.paths import git_revision
from agnet.spaces.base import AbstractSpace

DEFAULT_PAIRING = "whitened"
"""Default pairing of ``conf/pretrain.yaml``; files of generators with another pairing carry its name."""


def run(cfg: DictConfig) -> None:
    """Pretrain, assess and save a generator; the same seed gives the same file."""
    from search.schema import PretrainConfig

    PretrainConfig.check(OmegaConf.to_container(cfg, resolve=True))
    space: AbstractSpace = instantiate(cfg.space)
    if len(space.parts) > 1:
        raise ConfigurationError(
            f"space={space.name} has no generator of its own: that of space={space.generated_as} makes each of its "
            f"{len(space.parts)} parts; pretrain it"
        )
    schedule: Schedule = instantiate(cfg.schedule, _convert_="all")
    pairing: AbstractPairing = instantiate(cfg.pairing)
    torch.set_num_threads(cfg.threads)
    begin = time.process_time()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        model = GraphGenerator(space.num_types, space.max_nodes, **cfg.generator)
    rng = torch.Generator().manual_seed(cfg.seed)
    path = Path(cfg.out) / generator_file(space, None if pairing.name == DEFAULT_PAIRING else pairing.name)
    with updating(path.parent / MANIFEST):  # fail here, not after minutes of training
        pass
    read_manifest(path.parent)
    with tqdm(total=schedule.steps, unit="step", disable=None if cfg.progress else True) as bar:

        def on_step(step: int, loss: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)

        losses = pretrain(model, space, schedule, pairing, rng=rng, on_step=on_step)
    metrics = assess(model, space, draws=cfg.draws, rng=rng)
    tail = losses[-max(1, len(losses) // 20) :]
    entry = {
        "kind": "generator",
        "space": space.name,
        "pairing": OmegaConf.to_container(cfg.pairing),
        "command": shlex.join(["python", "-m", "search.pretrain", *sys.argv[1:]]),
        "revision": git_revision(),
        "seed": cfg.seed,
        "torch": str(torch.__version__),
        "cpu_seconds": round(time.process_time() - begin, 1),
        "metrics": {**metrics, "loss": sum(tail) / len(tail)},
    }
    save_generator(path, model, entry)
    shown = ", ".join(f"{name} {value:.6g}" for name, value in entry["metrics"].items())
    print(f"{path}: {shown}; {entry['cpu_seconds']} CPU-s")


main = entry_point(hydra.main, "pretrain", run)

if __name__ == "__main__":
    main()
