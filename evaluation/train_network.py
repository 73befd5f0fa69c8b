"""``python -m evaluation.train_network experiment=darts_cifar10 architecture=RESULT.json out=DIR``: the final network.

``torchrun --nproc-per-node=8 -m evaluation.train_network ...`` trains it on eight GPUs.
"""

import hashlib
import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file, save_file

from agnet.errors import CheckpointMismatch, ConfigurationError
from agnet.runtime.command import entry_point
from agnet.runtime.files import locked, replacing, write_text
from agnet.runtime.paths import git_revision
from agnet.spaces.darts.genotype import to_genotype
from evaluation.networks.darts.network import DARTSNetwork, DARTSShape, count_macs, count_parameters
from evaluation.networks.darts.published import read_architecture
from evaluation.training.distributed import Process, process_group
from evaluation.training.final_network import Trainer
from evaluation.training.final_recipe import FinalRecipe
from evaluation.training.streams import AbstractStream

RESULT = "result.json"
WEIGHTS = "weights.safetensors"


def load_network(folder: Path) -> DARTSNetwork:
    """The network that a finished training has left, in evaluation mode.

    Args:
        folder: the training's ``out``.

    Raises:
        CheckpointMismatch: if there is none, or its files do not fit each other.
    """
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        shape: dict[str, Any] = result["shape"]
        shape |= {key: tuple(value) for key, value in shape.items() if isinstance(value, list)}
        network = DARTSNetwork(result["architecture"], DARTSShape(**shape))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointMismatch(
            f"{folder} holds no trained network ({str(error).splitlines()[0]}); give the out= of a finished "
            "evaluation.train_network"
        ) from error
    return network.eval()


def run(cfg: DictConfig) -> None:
    """Train what a configuration describes, or go on with it."""
    from evaluation.schema import TrainNetworkConfig

    TrainNetworkConfig.check(OmegaConf.to_container(cfg, resolve=True))
    architecture, out = read_architecture(cfg.architecture), Path(cfg.out)
    with process_group(cfg.device) as process, locked(out) if process.leads else nullcontext():
        _train(cfg, architecture, out, process)


def _train(cfg: DictConfig, architecture: str, out: Path, process: Process) -> None:
    stream: AbstractStream = instantiate(cfg.stream, _convert_="all")
    mean, std = stream.normalization
    classes = {"num_classes": stream.num_classes, "in_channels": stream.in_channels}
    shape: DARTSShape = instantiate(cfg.network, **classes)
    shape = DARTSShape(**{**asdict(shape), "mean": mean, "std": std})
    recipe = instantiate(cfg.recipe)
    if not isinstance(recipe, FinalRecipe):
        raise ConfigurationError(f"a {type(recipe).__name__} is for evaluation.run; give recipe=final_darts_cifar10")
    settings = {
        "architecture": architecture,
        "shape": asdict(shape),
        "recipe": asdict(recipe),
        "seed": cfg.seed,
        "images": stream.describe(),
    }
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    if _is_finished(out, identity):
        if process.leads:
            print(f"{out}: nothing to do, it holds this network's {RESULT}")
        return
    if process.leads:
        write_text(out / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    torch.manual_seed(cfg.seed)
    network = DARTSNetwork(architecture, shape).to(process.device)
    trainer = Trainer(
        network,
        stream,
        recipe,
        seed=cfg.seed,
        out=out,
        identity=identity,
        process=process,
        save_every=cfg.save_every,
        evaluate_every=cfg.evaluate_every,
        show=cfg.progress,
    )
    history = trainer.fit()
    process.share_buffers(network)
    if not process.leads:
        return
    with replacing(out / WEIGHTS) as temporary:
        save_file({name: value.contiguous().cpu() for name, value in network.state_dict().items()}, temporary)
    result = {
        "identity": identity,
        **settings,
        "genotype": to_genotype(architecture),
        "parameters": count_parameters(architecture, shape),
        "macs": count_macs(architecture, shape, stream.image_size),
        "num_train": stream.num_train,
        "num_test": stream.num_test,
        **{name: value for name, value in history[-1].items() if name.startswith(("train_", "test_"))},
        "seconds": round(sum(float(row["seconds"] or 0) for row in history), 1),
        "processes": process.world_size,
        "device": cfg.device,
        "command": shlex.join(["python", "-m", "evaluation.train_network", *sys.argv[1:]]),
        "revision": git_revision(),
    }
    write_text(out / RESULT, json.dumps(result, indent=1) + "\n")
    print(f"{out}: test accuracy {result['test_accuracy']:.2f} %, {result['parameters'] / 1e6:.2f} M parameters")


def _is_finished(out: Path, identity: str) -> bool:
    """Whether a folder holds the result of the same settings; a damaged one is made again from the checkpoint."""
    try:
        found = json.loads((out / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("identity") == identity and (out / WEIGHTS).exists()


main = entry_point(hydra.main, "train_network", run)

if __name__ == "__main__":
    main()
