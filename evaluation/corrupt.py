"""``python -m evaluation.corrupt dataset=cifar10 out=DIR``: corrupt test images, write a folder in CIFAR-C's layout."""

import shlex
import sys
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from agnet.runtime.command import entry_point
from agnet.runtime.paths import git_revision
from evaluation.corruptions import CORRUPTIONS, read_frost, write_corrupted
from evaluation.corruptions.pixels import to_levels
from evaluation.data.images import ImageSplits


def run(cfg: DictConfig) -> None:
    """Write what a configuration describes and say where it lies."""
    from evaluation.schema import CorruptConfig

    CorruptConfig.check(OmegaConf.to_container(cfg, resolve=True))
    splits: ImageSplits = instantiate(cfg.dataset)
    test, count = splits.test, cfg.num_images
    if count is not None:
        if not 1 <= count <= len(test):
            raise ConfigurationError(f"num_images={count}; give 1..{len(test)}, or null for all")
        test = test.first(count)
    images = test.stored if test.stored.dtype == torch.uint8 else to_levels(test.stored)
    frost, out = read_frost(Path(cfg.frost)) if cfg.frost else None, Path(cfg.out)
    facts = {
        "dataset": splits.name,
        "command": shlex.join(["python", "-m", "evaluation.corrupt", *sys.argv[1:]]),
        "revision": git_revision(),
        "torch": str(torch.__version__),
    }
    names = tuple(CORRUPTIONS if cfg.corruptions is None else cfg.corruptions)
    write_corrupted(out, images.to(cfg.device), test.labels, seed=cfg.seed, names=names, frost=frost, facts=facts)
    kind = frost.source if frost else "procedural"
    print(f"{out}: {len(names)} corruptions of {len(test)} images, frost: {kind}")


main = entry_point(hydra.main, "corrupt", run)

if __name__ == "__main__":
    main()
