"""``python -m evaluation.attack model=... images=... out=DIR``: attack any classifier, write tables and a plot."""

import hashlib
import importlib
import json
import os
import sys
import warnings
from pathlib import Path
from zipfile import BadZipFile

import hydra
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from agnet.errors import ConfigurationError
from agnet.runtime.command import entry_point
from evaluation.attacks.base import Model
from evaluation.attacks.configured import build_attacks
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.outcome import Evaluation, load_outcomes, save_outcomes


def load_model(where: str, device: torch.device) -> Model:
    """A classifier from a file or an import path.

    Args:
        where: a file of ``torch.export.save`` (``.pt2``), whose batch dimension must be dynamic and which was exported
            in evaluation mode; a TorchScript file; or ``package.module:name``, a callable without arguments that
            returns the model (the current folder is searched first).
        device: device that the model is moved to.

    Raises:
        ConfigurationError: if there is no such thing.
    """
    path = Path(where)
    if path.suffix == ".pt2":
        if not path.exists():
            raise ConfigurationError(f"model={where}: no such file")
        exported = torch.export.load(path).module().to(device)
        return lambda images: exported(images)  # its training flags mean nothing
    if path.suffix in (".pt", ".pth", ".ts"):
        if not path.exists():
            raise ConfigurationError(f"model={where}: no such file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                return torch.jit.load(path, map_location=device)
        except RuntimeError as error:
            raise ConfigurationError(
                f"model={where} is no TorchScript file ({str(error).splitlines()[0]}); weights alone are no model: "
                "export one with torch.export.save, or give package.module:name"
            ) from error
    if where.count(":") != 1:
        raise ConfigurationError(f"model={where}; give a .pt2 or .pt file, or package.module:name")
    module, name = where.split(":")
    sys.path.insert(0, os.getcwd())
    try:
        made = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"model={where}: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    return made.to(device) if isinstance(made, nn.Module) else made


def load_images(cfg: DictConfig) -> tuple[Tensor, Tensor]:
    """Images and labels of a configuration.

    Raises:
        ConfigurationError: if neither or both of ``images`` and ``dataset`` are given, or the file is not as it should.
    """
    if (cfg.images is None) == (cfg.get("dataset") is None):
        raise ConfigurationError("give either images=FILE.npz or dataset=NAME")
    if cfg.images is None:
        test = instantiate(cfg.dataset).test
        images, labels = test.stored, test.labels
    else:
        try:
            with np.load(cfg.images, allow_pickle=False) as file:
                images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise ConfigurationError(f"images={cfg.images}: {error}; give an .npz of images and labels") from error
    count = cfg.num_images
    if count is not None and not 1 <= count <= len(labels):
        raise ConfigurationError(f"num_images={count}; give 1..{len(labels)}, or null for all")
    return images[:count], labels[:count]


def run(cfg: DictConfig) -> None:
    """Attack what a configuration describes, one attack after another, keeping each when it is done."""
    from evaluation.schema import AttackConfig

    AttackConfig.check(OmegaConf.to_container(cfg, resolve=True))
    device, out = torch.device(cfg.device), Path(cfg.out)
    attacks = build_attacks(cfg.get("attack"))
    model = load_model(cfg.model, device)
    images, labels = load_images(cfg)
    identity = _identity(cfg.model, images, labels)
    done: Evaluation | None = None
    for attack in attacks:
        settings = {
            "what": identity,
            "attack": attack.describe(),
            "mode": cfg.mode,
            "precision": cfg.precision,
            "seed": cfg.seed,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
        path = out / "attacks" / f"{attack.name}_{digest}.npz"
        found = load_outcomes(path) if path.exists() else None
        if found is None:
            found = evaluate(
                model,
                images.to(device),
                labels.to(device),
                [attack],
                mode=cfg.mode,
                seed=cfg.seed,
                precision=cfg.precision,
                batch_size=cfg.batch_size,
                progress=True,
            )
            save_outcomes(path, found)
        done = found if done is None else done.joined(found)
        for row in found.summary()[0 if done is found else 1 :]:
            print(f"{row['attack']:<12} eps {row['eps']:>5g}/255   accuracy {row['accuracy']:6.2f} %", flush=True)
    if done is None:
        raise ConfigurationError("attack=[]: give at least one attack")
    done.save(out)
    print(f"{out}: summary.csv, images.npz, evaluation.json, accuracy.png")


def _identity(model: str, images: Tensor, labels: Tensor) -> str:
    """Hash of the images and of the model's file (of an import path, its name)."""
    sha = hashlib.sha256(images.contiguous().numpy().tobytes() + labels.contiguous().numpy().tobytes())
    sha.update(Path(model).read_bytes() if Path(model).is_file() else model.encode())
    return sha.hexdigest()


main = entry_point(hydra.main, "attack", run)

if __name__ == "__main__":
    main()
