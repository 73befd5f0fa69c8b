"""Pictures of frost: five files of the user, or a procedural stand-in that names itself as such.

The pictures belong to the code of Hendrycks & Dietterich (github.com/hendrycks/robustness, folder
ImageNet-C/create_c, Apache-2.0) and are not part of this project. CIFAR-C uses the first five of its six.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.corruptions.plasma import plasma, power_of_two
from evaluation.randomness import keys

COUNT = 5
SHRINK = 5

_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class FrostPictures:
    """Pictures that the frost corruption lays over images.

    Attributes:
        pictures: shrunk pictures, red, green and blue.
        source: ``"pictures"`` from files, ``"procedural"`` computed here; quote it with every result.
    """

    pictures: tuple[UInt8[Tensor, "3 _ _"], ...]
    source: Literal["pictures", "procedural"]

    def __repr__(self) -> str:
        return f"FrostPictures({len(self.pictures)} {self.source})"


def read_frost(folder: Path) -> FrostPictures:
    """Read ``frost1`` .. ``frost5`` (.png, .jpg or .jpeg) and shrink them to a fifth.

    OpenCV's bilinear shrinking to exactly a fifth, which CIFAR-C uses, keeps the middle pixel of every 5x5 block.

    Raises:
        ConfigurationError: if the folder or a picture is missing or unreadable.
    """
    remedy = (
        "put frost1.png, frost2.png, frost3.png, frost4.jpg and frost5.jpg of github.com/hendrycks/robustness "
        "(ImageNet-C/create_c) there, or leave the folder out for procedural frost"
    )
    if not folder.is_dir():
        raise ConfigurationError(f"no folder {folder}; {remedy}")
    return FrostPictures(tuple(_read(folder, f"frost{i + 1}", remedy) for i in range(COUNT)), "pictures")


def _read(folder: Path, stem: str, remedy: str) -> UInt8[Tensor, "3 _ _"]:
    path = next((path for ending in _ENDINGS if (path := folder / f"{stem}{ending}").is_file()), None)
    if path is None:
        raise ConfigurationError(f"{folder} has no {stem}{', '.join(_ENDINGS)}; {remedy}")
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigurationError(f"cannot read {path} ({error}); {remedy}") from error
    half = SHRINK // 2
    return torch.from_numpy(pixels[half::SHRINK, half::SHRINK].copy()).permute(2, 0, 1).contiguous()


@cache
def procedural_frost(size: int = 32) -> FrostPictures:
    """Five computed pictures, bright veins on bluish haze: *not* those of CIFAR-C.

    Args:
        size: height or width, whichever is greater, of the images that will get frost. The pictures are at least four
            times as wide.
    """
    side = power_of_two(4 * max(size, 32))
    names = torch.arange(COUNT)
    haze = plasma(keys(0, "frost/haze", names), side, 1.6)
    veins = torch.zeros_like(haze)
    for layer, decay in enumerate((1.5, 1.45, 1.4)):
        relief = plasma(keys(0, f"frost/veins/{layer}", names), side, decay)
        middle = relief.mean((1, 2), keepdim=True)
        veins = torch.maximum(veins, (1 - (relief - middle).abs() * 6).clamp(min=0) ** 2)
    light = 0.15 + 0.4 * haze + 0.45 * veins
    tint = torch.tensor([0.88, 0.95, 1.0], dtype=torch.float64)[:, None, None]
    pictures = (light[:, None] * tint * 255).to(torch.uint8)
    return FrostPictures(tuple(pictures), "procedural")
