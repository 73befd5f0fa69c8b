"""Image files in one folder per class."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from agnet.errors import ConfigurationError
from evaluation.data.files import UNREADABLE
from evaluation.data.images import ImageSplits
from evaluation.data.splitting import SMALLEST, assemble, choose, set_name

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's names of the kinds of images that have eight bits per channel or fewer."""


def image_folder(
    path: str | Path,
    *,
    name: str | None = None,
    size: int = 32,
    resize: bool = False,
    gray: bool = False,
    num_valid: int | None = None,
    num_test: int | None = None,
    split_seed: int = 0,
) -> ImageSplits:
    """A user's own image files in one folder per class: ``path/CLASS/*.png``, or ``path/train/CLASS/*.png`` and so on.

    Classes are numbered in sorted order of their folders' names. Hidden files and files that are no images are passed
    over. Colours become RGB or, if asked for, grey; transparency is dropped.

    Args:
        path: folder of the classes, or of ``train`` and, where they are set apart, ``valid`` (or ``val``) and ``test``;
            of the two, what is not there is drawn from the other images, each class its share.
        name: begins the columns of tables: letters and digits; by default the folder's name.
        size: height and width of the images in pixels, from 8.
        resize: scale images of another size by area averages; without it they are errors. What is not square is
            squeezed.
        gray: one channel instead of three.
        num_valid: validation images to draw; a fifth of the images by default.
        num_test: test images to draw, likewise.
        split_seed: seed of the shuffle that draws and orders images.

    Raises:
        ConfigurationError: if folders or files are not as above, or a number does not fit.
    """
    folder = Path(path).expanduser()
    if size < SMALLEST:
        raise ConfigurationError(f"size={size}: give {SMALLEST} pixels or more")
    if not folder.is_dir():
        raise ConfigurationError(f"path={path}: no such folder; give the folder of the classes")
    name = set_name(name, folder.resolve())
    files = {part: class_files(place) for part, place in _parts(folder).items()}
    classes = {part: np.array([file.parent.name for file in found]) for part, found in files.items()}
    chosen = choose(folder, classes, num_valid=num_valid, num_test=num_test, seed=split_seed)
    pixels = {}
    for part, choice in chosen.items():
        paths = [files[choice.source][row] for row in choice.rows]
        bar = tqdm(paths, f"reading {part} images", disable=None, leave=False)
        pixels[part] = torch.from_numpy(np.stack([_image(file, size, resize, gray) for file in bar]))
    return assemble(folder, name, chosen, pixels)


def _parts(folder: Path) -> dict[str, Path]:
    """The folders of the splits; a folder ``train`` that holds no folders is a class."""
    if not (folder / "train").is_dir() or not class_folders(folder / "train"):
        return {"train": folder}
    found = {part: folder / part for part in ("train", "valid", "test") if (folder / part).is_dir()}
    if (folder / "val").is_dir():
        if "valid" in found:
            raise ConfigurationError(f"{folder} has both valid and val; remove one")
        found["valid"] = folder / "val"
    return found


def class_folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, but for hidden ones."""
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def class_files(folder: Path) -> list[Path]:
    """Image files of the classes, in an order that is the same on every machine.

    Raises:
        ConfigurationError: if there are no classes, or one has no images.
    """
    found = []
    for place in class_folders(folder):
        files = sorted(f for f in place.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        if not files:
            raise ConfigurationError(
                f"{place} holds no images ({', '.join(SUFFIXES)}); every folder in {folder} is a class: remove it, or "
                "give as path the folder right above the classes"
            )
        found += files
    if not found:
        raise ConfigurationError(f"{folder} has no folders of images; give the folder above the classes' folders")
    return found


def _image(path: Path, size: int, resize: bool, gray: bool) -> np.ndarray:
    """Bytes ``[channels, size, size]``."""
    if not path.is_file():
        raise ConfigurationError(f"{path} is no file; remove it, or rename it")
    try:
        with Image.open(path) as image:
            kind, (width, height) = image.mode, image.size
            if kind in MODES and (resize or width == height == size):
                image = image.convert("RGBA") if kind in ("P", "PA") else image  # a palette may hold transparency
                image = image.convert("L" if gray else "RGB")
                if not width == height == size:
                    image = image.resize((size, size), Image.Resampling.BOX)
                return np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1)
    except UNREADABLE as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); replace or remove it") from error
    if kind not in MODES:
        raise ConfigurationError(f"{path} has pixels of kind {kind}; save it with 8 bits per channel")
    raise ConfigurationError(
        f"{path} is {width}x{height} pixels, expected {size}x{size}; give its size=, or resize=true"
    )
