"""The model of ``python -m evaluation.attack``: from a file or an import path, and what it is identified by."""

import importlib
import os
import re
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agnet.errors import ConfigurationError, UnreadableFile
from agnet.runtime.digests import of_arrays, of_file, of_json
from evaluation.attacks.base import Model
from evaluation.attacks.classifier import Classifier
from evaluation.attacks.telling import is_users, told
from evaluation.data.images import in_unit_interval
from evaluation.networks.exported import load_exported

FILES = (".pt2", ".pt", ".pth", ".ts")
"""Endings of files that hold a model: one of ``torch.export.save``, the others TorchScript."""


def load_model(where: str, device: torch.device, *, trust: bool = False) -> Model:
    """A classifier from a file or an import path.

    Args:
        where: a file of ``torch.export.save`` (``.pt2``), whose batch dimension must be dynamic and which was exported
            in evaluation mode; a TorchScript file; or ``package.module:name``, a callable without arguments that
            returns the model (the current folder is searched first).
        device: device that the model is moved to.
        trust: whether a file, which is a program, may run. Pickles in a ``.pt2`` file are never run.

    Raises:
        ConfigurationError: if there is no such model, a file is not trusted, or making the model fails.
        UnreadableFile: if a file is damaged.
    """
    path = Path(where)
    if path.suffix not in FILES:
        return _imported(where, device)
    if not path.is_file():
        raise ConfigurationError(f"model={where}: no such file")
    if not trust:
        raise ConfigurationError(
            f"model={where} is a program, which may read and write files when it runs; if you trust it, add trust=true"
        )
    sys.stderr.write(f"note: {where} is a program, which runs because of trust=true\n")
    if path.suffix == ".pt2":
        try:
            exported = load_exported(path).to(device)
        except UnreadableFile as error:
            raise UnreadableFile(f"model={error}") from error
        return lambda images: exported(images)  # its training flags mean nothing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(path, map_location=device)
    except Exception as error:
        raise ConfigurationError(
            f"model={where} is no TorchScript file ({told(error)}); weights alone are no model: "
            "export one with torch.export.save, or give package.module:name"
        ) from error


def _imported(where: str, device: torch.device) -> Model:
    """What a callable returns."""
    module, _, name = where.partition(":")
    if not module or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(f"model={where}; give a .pt2 or .pt file, or package.module:name")
    sys.path.insert(0, os.getcwd())
    try:
        made: Any = getattr(importlib.import_module(module), name)()
        made = made.to(device) if isinstance(made, nn.Module) else made
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        raise ConfigurationError(
            f"model={where} raised {told(error)}; it must return a model when called without arguments"
        ) from error
    finally:
        sys.path.remove(os.getcwd())
    if not callable(made):
        raise ConfigurationError(
            f"model={where} returned {type(made).__name__}; it must return a torch module, or a function of images"
        )
    return made  # pyright: ignore[reportReturnType]


def model_digest(where: str, model: Model, images: Tensor, *, batch_size: int) -> str:
    """What a model is identified by: a file by its bytes, any other by weights, structure, source and clean logits.

    Args:
        where: file or import path, as for :func:`load_model`.
        model: the loaded model.
        images: the images, to be asked for logits.
        batch_size: images at a time.

    Raises:
        InvalidInput: if the model fails.
    """
    if Path(where).suffix in FILES:
        return of_file(Path(where))
    asked, logits = Classifier(model), []
    with torch.no_grad():
        for batch in images.split(batch_size):
            answer = asked(in_unit_interval(batch))
            logits.append(of_arrays(answer) if isinstance(answer, Tensor) else type(answer).__name__)
    parts: dict[str, object] = {"logits": logits}
    modules = {where.partition(":")[0], type(model).__module__}
    if isinstance(model, nn.Module):
        modules |= {type(part).__module__ for part in model.modules()}
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        parts["weights"] = {name: _hash(tensor) for name, tensor in tensors.items()}
        with suppress(Exception):  # it may be the user's
            parts["structure"] = re.sub(r" at 0x[0-9a-f]+", "", repr(model))
    files = {getattr(sys.modules.get(name), "__file__", None) for name in modules}
    parts["source"] = sorted(of_file(Path(file)) for file in files if file and is_users(file) and Path(file).is_file())
    return of_json(parts)


def _hash(tensor: Tensor) -> str:
    """Hash of a tensor; of one without plain values, such as a sparse one, its kind: the logits tell the rest."""
    try:
        return of_arrays(tensor)
    except (TypeError, RuntimeError):
        return f"{tensor.dtype}{list(tensor.shape)}"
