"""``python -m evaluation.train_network experiment=darts_cifar10 architecture=RESULT.json out=DIR``: the final network.

``torchrun --nproc-per-node=8 -m evaluation.train_network ...`` trains it on eight GPUs.
"""

import shlex
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load, save

from agnet.errors import CheckpointMismatch, ConfigurationError, UnreadableFile
from agnet.runtime.command import entry_point
from agnet.runtime.digests import check_identity, of_bytes, of_file, of_json, without_times
from agnet.runtime.files import locked, write_bytes, write_text
from agnet.runtime.paths import git_revision
from agnet.runtime.reading import damaged, parse_json, read_bytes, read_text
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from agnet.spaces.darts.genotype import to_genotype
from evaluation.data.images import Images
from evaluation.networks.darts.network import DARTSNetwork, DARTSShape, count_macs, count_parameters
from evaluation.networks.darts.published import read_architecture
from evaluation.training.configured import build_recipe
from evaluation.training.distributed import Process, process_group
from evaluation.training.final_network import HISTORY, OTHER_TRAINING, Trainer
from evaluation.training.final_recipe import FinalRecipe
from evaluation.training.robust_validation import OVERFITTING_IMAGES, compared, robust_accuracies, warning
from evaluation.training.streams import AbstractStream

RESULT = "result.json"
WEIGHTS = "weights.safetensors"

_LARGEST = 16 * 2**30
_REMAKE = "run the command that made it again: it makes that file from the checkpoint"


def load_network(folder: Path) -> DARTSNetwork:
    """The network that a finished training has left, in evaluation mode.

    Args:
        folder: the training's ``out``.

    Raises:
        CheckpointMismatch: if there is none, or its files do not fit each other.
        UnreadableFile: if one of them is damaged.
    """
    if not (folder / RESULT).exists():
        raise CheckpointMismatch(
            f"{folder} holds no trained network: {RESULT} is missing; give the out= of a finished "
            "evaluation.train_network"
        )
    result, data = read_sealed_json(folder / RESULT), read_bytes(folder / WEIGHTS, most=_LARGEST)
    if of_bytes(data) != result.get("weights_sha256"):
        raise damaged(folder / WEIGHTS, f"its content does not match {RESULT}", _REMAKE)
    try:
        shape: dict[str, Any] = result["shape"]
        shape |= {key: tuple(value) for key, value in shape.items() if isinstance(value, list)}
        network = DARTSNetwork(result["architecture"], DARTSShape(**shape))
        network.load_state_dict(load(data))
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointMismatch(
            f"the files of {folder} do not fit each other ({str(error).splitlines()[0]}); {_REMAKE}"
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
    recipe = build_recipe(cfg)
    if not isinstance(recipe, FinalRecipe):
        raise ConfigurationError(f"a {type(recipe).__name__} is for evaluation.run; give recipe=final_darts_cifar10")
    settings = {
        "architecture": architecture,
        "shape": asdict(shape),
        "recipe": recipe.describe(),
        "seed": cfg.seed,
        "images": stream.describe(),
    }
    if _is_finished(out, settings):
        if process.leads:
            print(f"{out}: nothing to do, it holds this network's {RESULT}")
        return
    torch.manual_seed(cfg.seed)
    network = DARTSNetwork(architecture, shape).to(process.device)
    trainer = Trainer(
        network,
        stream,
        recipe,
        seed=cfg.seed,
        out=out,
        identity=settings,
        process=process,
        save_every=cfg.save_every,
        evaluate_every=cfg.evaluate_every,
        show=cfg.progress,
    )
    trainer.resume()
    if process.leads:
        write_text(out / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    history = trainer.fit()
    process.share_buffers(network)
    if not process.leads:
        return
    told = _one_step(network, stream, recipe, seed=cfg.seed, device=process.device)
    weights = save({name: value.contiguous().cpu() for name, value in network.state_dict().items()})
    write_bytes(out / WEIGHTS, weights)
    result = {
        **settings,
        "weights_sha256": of_bytes(weights),
        "history_sha256": of_json(without_times(history)),
        "genotype": to_genotype(architecture),
        "parameters": count_parameters(architecture, shape),
        "macs": count_macs(architecture, shape, stream.image_size),
        "num_train": stream.num_train,
        "num_test": stream.num_test,
        **{name: value for name, value in history[-1].items() if name.startswith(("train_", "test_"))},
        **told,
        "seconds": round(sum(float(row["seconds"] or 0) for row in history), 1),
        "processes": process.world_size,
        "device": cfg.device,
        "command": shlex.join(["python", "-m", "evaluation.train_network", *sys.argv[1:]]),
        "revision": git_revision(),
    }
    write_sealed_json(out / RESULT, result)
    if told.get("catastrophic_overfitting"):
        print(f"warning: {warning(str(out), told)}", file=sys.stderr)
    print(f"{out}: test accuracy {result['test_accuracy']:.2f} %, {result['parameters'] / 1e6:.2f} M parameters")


def _one_step(
    network: DARTSNetwork, stream: AbstractStream, recipe: FinalRecipe, *, seed: int, device: torch.device
) -> dict[str, float | bool]:
    """What test images tell of one-step adversarial training; nothing is selected by them."""
    adversary = recipe.adversarial
    if adversary is None or adversary.gradients > 1:
        return {}
    rows = range(min(OVERFITTING_IMAGES, stream.num_test))
    pixels, labels = next(iter(stream.test(rows, len(rows), device)))
    found = robust_accuracies(network, Images(pixels, labels), adversary, seed=seed)
    return compared(float(found["pgd"]), float(found["fgsm"]))


def _is_finished(out: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a folder holds the whole result of these settings; what is damaged is made again from the checkpoint.

    Raises:
        RunDirectoryError: if it holds the result of other settings.
    """
    try:
        found = read_sealed_json(out / RESULT)
    except UnreadableFile:
        return False
    check_identity(out, {key: found.get(key) for key in settings}, settings, OTHER_TRAINING)
    with suppress(UnreadableFile):
        rows = [parse_json(line, out / HISTORY) for line in read_text(out / HISTORY).splitlines()]
        same = of_json(without_times(rows)) == found.get("history_sha256")
        return same and of_file(out / WEIGHTS) == found.get("weights_sha256")
    return False


main = entry_point(hydra.main, "train_network", run)

if __name__ == "__main__":
    main()
