"""Read and write folders of corrupted images in CIFAR-C's layout.

A folder holds ``<corruption>.npy`` (uint8, ``[5 n, height, width, channels]``, severities 1 to 5 one after the other,
the ``n`` images in test order within each) and ``labels.npy`` (``[5 n]``, the same labels five times). CIFAR-10-C
(https://zenodo.org/records/2535967) and CIFAR-100-C (https://zenodo.org/records/3555552) have ``n`` = 10,000.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from agnet.errors import ConfigurationError, RunDirectoryError, TableError
from agnet.runtime.files import replacing, write_text
from evaluation.corruptions.frost_pictures import FrostPictures, procedural_frost
from evaluation.corruptions.generate import CORRUPTIONS, SEVERITIES, by_name, corrupt

METADATA = "corruptions.json"

_SOURCE = "get the folder from zenodo.org (records 2535967, 3555552) or write one with python -m evaluation.corrupt"


class CorruptedImages:
    """A folder in CIFAR-C's layout, read piece by piece.

    Args:
        path: folder with the files.
        num_classes: labels must be below it; null accepts any.

    Attributes:
        labels: class indices of the images of one severity, int64.
        names: corruptions that the folder has files of, in the paper's order, then others by name (the published
            folders hold four more).

    Raises:
        TableError: if the folder or its labels cannot serve.
    """

    def __init__(self, path: Path, *, num_classes: int | None = None) -> None:
        self.path = path
        if not path.is_dir():
            raise TableError(f"no folder {path}; {_SOURCE}")
        labels = _load(path / "labels.npy")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) or len(labels) % len(SEVERITIES):
            raise TableError(
                f"{path / 'labels.npy'} holds {labels.dtype} {list(labels.shape)}, not whole numbers for five "
                f"severities; {_SOURCE}"
            )
        by_severity = np.asarray(labels).reshape(len(SEVERITIES), -1).astype(np.int64)
        if (by_severity != by_severity[0]).any():
            raise TableError(f"{path / 'labels.npy'} has other labels at other severities; {_SOURCE}")
        low, high = int(by_severity.min()), int(by_severity.max())
        if low < 0 or (num_classes is not None and high >= num_classes):
            raise TableError(
                f"{path / 'labels.npy'} has labels {low}..{high}, the task has {num_classes} classes; "
                "give the folder of the same data set"
            )
        self.labels: Int[Tensor, " n"] = torch.from_numpy(by_severity[0].copy())
        found = {file.stem for file in path.glob("*.npy")} - {"labels"}
        self.names = (*[name for name in CORRUPTIONS if name in found], *sorted(found - set(CORRUPTIONS)))

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, name: str, severity: int) -> tuple[UInt8[Tensor, "n c h w"], Int[Tensor, " n"]]:
        """Images of a corruption at a severity of 1..5, and their labels.

        Raises:
            TableError: if the file is missing or is not what the layout says.
            ConfigurationError: if there is no such severity.
        """
        if severity not in SEVERITIES:
            raise ConfigurationError(f"severity={severity!r}; give one of {', '.join(map(str, SEVERITIES))}")
        file = self.path / f"{name}.npy"
        if name not in self.names:
            raise TableError(f"no {file}; the folder has {', '.join(self.names) or 'no corruptions'}. {_SOURCE}")
        stored = _load(file)
        rows = len(SEVERITIES) * len(self)
        if stored.dtype != np.uint8 or stored.ndim != 4 or len(stored) != rows or stored.shape[3] not in (1, 3):
            raise TableError(
                f"{file} holds {stored.dtype} {list(stored.shape)}, not uint8 [{rows}, height, width, 1 or 3]; "
                f"{_SOURCE}"
            )
        part = stored[(severity - 1) * len(self) : severity * len(self)]
        return torch.from_numpy(np.array(part.transpose(0, 3, 1, 2), order="C")), self.labels


def _load(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise TableError(f"no {file}; {_SOURCE}") from None
    except (OSError, ValueError, EOFError) as error:
        raise TableError(f"cannot read {file} ({error}); {_SOURCE}") from error


def write_corrupted(
    out: Path,
    images: UInt8[Tensor, "n c h w"],
    labels: Int[Tensor, " n"],
    *,
    seed: int,
    names: Sequence[str] = CORRUPTIONS,
    frost: FrostPictures | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Corrupt images at all severities and write a folder in CIFAR-C's layout.

    A file appears when it is whole, and files that are there are kept: the same call continues. ``corruptions.json``
    says how the folder came about, ``frost_source`` included.

    Args:
        out: folder to write.
        images: 8-bit images in test order, on the device that does the work.
        labels: class indices in 0..255.
        seed: seed of all draws; see :func:`~evaluation.corruptions.generate.corrupt`.
        names: corruptions to write; files of others are left alone.
        frost: null is procedural frost.
        facts: more entries for ``corruptions.json``; they may differ when a call continues.

    Raises:
        ConfigurationError: for names that are no corruptions.
        RunDirectoryError: if the folder was made from other images, another seed or other frost.
    """
    for name in names:
        by_name(name)
    frost = frost or procedural_frost(max(images.shape[2:]))
    protocol = {
        "seed": seed,
        "images": list(images.shape),
        "images_sha256": _digest(images, labels),
        "frost_source": frost.source,
        "frost_sha256": _digest(*frost.pictures),
    }
    _claim(out, protocol, facts or {})
    with replacing(out / "labels.npy") as temporary:
        np.save(temporary, np.tile(labels.cpu().numpy().astype(np.uint8), len(SEVERITIES)))
    for name in names:
        file = out / f"{name}.npy"
        if file.is_file():
            continue
        with replacing(file) as temporary:
            n, channels, height, width = images.shape
            shape = (len(SEVERITIES) * n, height, width, channels)
            stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for severity in SEVERITIES:
                made = corrupt(images, name, severity, seed=seed, frost=frost).permute(0, 2, 3, 1)
                stored[(severity - 1) * n : severity * n] = made.cpu().numpy()
            stored.flush()
            del stored


def _claim(out: Path, protocol: Mapping[str, object], facts: Mapping[str, object]) -> None:
    """Write ``corruptions.json``, or see that the one there says the same."""
    file = out / METADATA
    if file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))["protocol"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError(f"cannot read {file} ({error}); give another folder") from error
        differing = sorted(key for key in protocol if before.get(key) != protocol[key])
        if differing:
            raise RunDirectoryError(f"{out} was written with other {', '.join(differing)}; give another folder")
    elif any(out.glob("*.npy")):
        raise RunDirectoryError(f"{out} has .npy files but no {METADATA}; give another folder")
    write_text(file, json.dumps({"protocol": protocol, **facts}, indent=2) + "\n")


def _digest(*tensors: Tensor) -> str:
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(str(list(tensor.shape)).encode())
        state.update(tensor.cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
