"""``python -m evaluation.attack model=... images=... out=DIR``: attack any classifier, write tables and a plot.

With ``units=RUN`` in place of model and images it attacks the networks that a run has kept; see
:mod:`evaluation.attack_units`.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hydra
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from agnet.errors import ConfigurationError, InvalidInput, UnreadableFile
from agnet.runtime.command import entry_point
from agnet.runtime.digests import of_arrays, of_json
from agnet.runtime.files import locked
from agnet.runtime.names import file_name, inside
from evaluation.attacks.base import AbstractAttack, Model
from evaluation.attacks.configured import build_attacks
from evaluation.attacks.evaluate import check_modes, default_batch_size, evaluate
from evaluation.attacks.gradients import UnsoundAttackWarning, doubts
from evaluation.attacks.loading import load_model, model_digest
from evaluation.attacks.outcome import Evaluation, load_outcomes, save_outcomes
from evaluation.checks import check_images, check_model
from evaluation.data.images import in_unit_interval
from evaluation.data.npz import read_npz


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
        images, labels = (_tensor(cfg.images, array) for array in _arrays(cfg.images))
    check_images(images, labels)
    count = cfg.num_images
    if count is not None and not 1 <= count <= len(labels):
        raise ConfigurationError(f"num_images={count}; give 1..{len(labels)}, or null for all")
    return images[:count], labels[:count]


def _arrays(where: str) -> list[np.ndarray]:
    names = ("images", "labels")
    found = read_npz(Path(where), names)
    if missing := [name for name in names if name not in found]:
        raise ConfigurationError(f"images={where} has no array {missing[0]!r}; give an .npz with images and labels")
    return [found[name] for name in names]


def _tensor(where: str, array: np.ndarray) -> Tensor:
    """An array as a tensor; float64 pixels as float32."""
    if array.dtype.kind not in "fiub":
        raise ConfigurationError(f"images={where} holds an array of {array.dtype}; give numbers")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if plain.dtype.kind == "u" and (plain.itemsize > 1 or plain.ndim == 1):
        plain = plain.astype(np.int64)
    return torch.from_numpy(plain.astype(np.float32) if plain.dtype == np.float64 else plain)


def run(cfg: DictConfig) -> None:
    """Attack what a configuration describes, one attack after another, keeping each when it is done."""
    from evaluation.schema import AttackConfig

    AttackConfig.check(OmegaConf.to_container(cfg, resolve=True))
    if (cfg.model is None) == (cfg.units is None):
        raise ConfigurationError("give either model=FILE_OR_IMPORT_PATH or units=FOLDER")
    if cfg.units is not None:
        from evaluation.attack_units import attack_units

        attack_units(cfg)
        return
    defaults = {"mode": "published", "precision": "float32", "seed": 0}
    cfg = OmegaConf.merge(cfg, {key: value for key, value in defaults.items() if cfg[key] is None})  # pyright: ignore
    check_modes(cfg.mode, cfg.precision)
    out = Path(cfg.out)
    attacks = build_attacks(cfg.get("attack"))
    names = [file_name(stage, "attack") for attack in attacks for stage in attack.stages]
    if len({"clean", *names}) <= len(names):
        raise ConfigurationError(f"attacks {', '.join(names)}: give each its own name=..., and none the name clean")
    images, labels = load_images(cfg)
    if cfg.precision == "float64":
        images = in_unit_interval(images).double()
    device = torch.device(cfg.device)
    model = load_model(cfg.model, device, trust=cfg.trust is True)
    try:
        check_model(model)
        images, labels = images.to(device), labels.to(device)
        with locked(out):
            _attack(cfg, attacks, model, images, labels, out)
    except InvalidInput as error:
        if str(error).startswith("the model"):
            raise InvalidInput(f"model={cfg.model}: {str(error).removeprefix('the model ')}") from error
        raise


def _attack(
    cfg: DictConfig, attacks: Sequence[AbstractAttack], model: Model, images: Tensor, labels: Tensor, out: Path
) -> None:
    """Attack, or read what was done before on the same model, images and labels."""
    batch_size = cfg.batch_size or default_batch_size(images)
    digests = {
        "model": model_digest(cfg.model, model, images, batch_size=batch_size),
        "images": of_arrays(images),
        "labels": of_arrays(labels),
    }
    done: Evaluation | None = None
    for attack in attacks:
        settings = {"attack": attack.describe(), "mode": cfg.mode, "precision": cfg.precision, "seed": cfg.seed}
        path = inside(out, f"attacks/{attack.name}_{of_json({**settings, **digests})[:16]}.npz")
        found = _done(path, attack)
        if found is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnsoundAttackWarning)  # told below, also of outcomes read back
                found = evaluate(
                    model,
                    images,
                    labels,
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
            print(f"{row['attack']:<18} eps {row['eps']:>5g}/255   accuracy {row['accuracy']:6.2f} %", flush=True)
    assert done is not None
    replace(done, settings={**done.settings, "digests": digests}).save(out)
    for doubt in doubts(done.checks):
        sys.stderr.write(f"warning: {doubt}\n")
    print(f"{out}: summary.csv, images.npz, evaluation.json, accuracy.png")


def _done(path: Path, attack: AbstractAttack) -> Evaluation | None:
    """The outcome that an earlier command has kept."""
    if not path.exists():
        return None
    try:
        found = load_outcomes(path)
    except UnreadableFile as error:
        sys.stderr.write(f"note: {error}; it is attacked again\n")
        return None
    return found if {outcome.attack for outcome in found.outcomes[1:]} == set(attack.stages) else None


main = entry_point(hydra.main, "attack", run)

if __name__ == "__main__":
    main()
