"""Images of a user's own: folders of files and ``.npz`` arrays."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agnet.errors import ConfigurationError
from agnet.tables.columns import Column, parse_column
from agnet.tables.table import read_table
from evaluation.data.arrays import image_npz
from evaluation.data.folders import image_folder
from evaluation.data.images import Images, ImageSplits
from evaluation.run import main

COUNTS = {"cat": 20, "dog": 10, "emu": 15}
LABELS = np.repeat(np.arange(3), list(COUNTS.values()))


def drawn(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(n, *shape), dtype=np.uint8)


IMAGES = drawn(45, 8, 8, 3)


def write_folder(folder: Path, images: np.ndarray = IMAGES, counts: dict[str, int] = COUNTS) -> Path:
    """One folder per class, files in the order of the images."""
    names = [name for name, count in counts.items() for _ in range(count)]
    for i, (name, image) in enumerate(zip(names, images, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{i:02}.png")
    return folder


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def folder_of(path: Path, **settings: Any) -> ImageSplits:
    return image_folder(path, **({"size": 8} | settings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pets")


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "pets.npz", images=IMAGES, labels=LABELS)


def parts(splits: ImageSplits) -> tuple[Images, Images, Images]:
    return splits.train, splits.valid, splits.test


def rows(*images: Images) -> list[bytes]:
    """Each image with its label."""
    return [
        pixels.numpy().tobytes() + bytes([int(label)])
        for part in images
        for pixels, label in zip(part.stored, part.labels, strict=True)
    ]


def assert_same(one: ImageSplits, other: ImageSplits) -> None:
    for a, b in zip(parts(one), parts(other), strict=True):
        assert a.stored.dtype == b.stored.dtype
        assert torch.equal(a.stored, b.stored)
        assert torch.equal(a.labels, b.labels)
    assert (one.num_classes, one.normalization) == (other.num_classes, other.normalization)


# -------------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize("load", [folder_of, image_npz])
def test_the_splits_partition_the_images(load: Callable[..., ImageSplits], folder: Path, npz: Path) -> None:
    splits = load(folder if load is folder_of else npz)
    assert (splits.name, splits.num_classes, splits.in_channels, splits.image_size) == ("pets", 3, 3, 8)
    assert [len(part) for part in parts(splits)] == [27, 9, 9]
    expected = [
        np.moveaxis(image, 2, 0).tobytes() + bytes([label]) for image, label in zip(IMAGES, LABELS, strict=True)
    ]
    assert Counter(rows(*parts(splits))) == Counter(expected)
    assert splits.train.stored.dtype == torch.uint8
    assert splits.train.labels.dtype == torch.int64


def test_folder_and_arrays_are_one_image_set(folder: Path, npz: Path) -> None:
    assert_same(folder_of(folder), image_npz(npz))


def test_every_class_has_its_share_of_every_split(folder: Path) -> None:
    splits = folder_of(folder, num_valid=10, num_test=8)  # 8 of 45: 3.6, 1.8, 2.7; 10 of the 37 left: 4.6, 2.2, 3.2
    assert [part.labels.bincount().tolist() for part in parts(splits)] == [[12, 6, 9], [5, 2, 3], [3, 2, 3]]


def test_the_order_within_a_split_is_random(folder: Path) -> None:
    """:meth:`Images.first` promises a random subset."""
    assert set(folder_of(folder).train.first(12).labels.tolist()) == {0, 1, 2}


def test_the_order_of_the_files_on_disk_does_not_matter(tmp_path: Path, folder: Path) -> None:
    twin = tmp_path / "twin"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        target = twin / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert_same(folder_of(folder), folder_of(twin))


def test_split_seed_decides(folder: Path) -> None:
    assert rows(folder_of(folder, split_seed=1).test) != rows(folder_of(folder).test)


def test_the_test_split_does_not_depend_on_the_others(folder: Path) -> None:
    assert rows(folder_of(folder, num_valid=20).test) == rows(folder_of(folder).test)


@pytest.mark.parametrize("valid", ["valid", "val"])
def test_parts_that_are_set_apart_are_used(tmp_path: Path, valid: str) -> None:
    other, third = drawn(6, 8, 8, 3, seed=1), drawn(3, 8, 8, 3, seed=2)
    root = tmp_path / "pets"
    write_folder(root / "train")
    write_folder(root / valid, other, dict.fromkeys(COUNTS, 2))
    write_folder(root / "test", third, dict.fromkeys(COUNTS, 1))
    splits = folder_of(root)
    assert [len(part) for part in parts(splits)] == [45, 6, 3]
    assert splits.test.labels.sort().values.tolist() == [0, 1, 2]
    assert {row[:-1] for row in rows(splits.test)} == {np.moveaxis(image, 2, 0).tobytes() for image in third}
    arrays = {
        "train_images": IMAGES,
        "train_labels": LABELS,
        "test_images": third,
        "test_labels": np.arange(3)[:, None],
    }
    npz = write_npz(tmp_path / "pets.npz", **arrays, **{f"{valid}_images": other, f"{valid}_labels": np.arange(6) // 2})
    assert_same(splits, image_npz(npz))


def test_a_part_that_is_not_set_apart_is_drawn_from_train(tmp_path: Path) -> None:
    test = drawn(3, 8, 8, 3, seed=2)
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", test, dict.fromkeys(COUNTS, 1))
    splits = folder_of(tmp_path, num_valid=12, name="pets")
    assert [len(part) for part in parts(splits)] == [33, 12, 3]
    assert len(set(rows(splits.train, splits.valid))) == 45
    assert Counter(splits.valid.labels.tolist()) == {0: 5, 1: 3, 2: 4}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_folder(tmp_path / "vehicles", IMAGES[:20], {"car": 10, "train": 10})
    assert folder_of(tmp_path / "vehicles").num_classes == 2


def test_classes_are_numbered_in_their_order(tmp_path: Path, npz: Path) -> None:
    gaps = image_npz(write_npz(tmp_path / "gaps.npz", images=IMAGES, labels=LABELS.astype(np.uint8) * 100 + 7))
    assert_same(gaps, image_npz(npz))


def test_hidden_and_other_files_are_passed_over(folder: Path) -> None:
    before = folder_of(folder)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "cat" / "._00.png").write_bytes(b"")
    (folder / "cat" / "README.txt").write_text("cats")
    (folder / "labels.csv").write_text("cat,0")
    assert_same(folder_of(folder), before)


# -------------------------------------------------------------------------------------------------------------- pixels


def test_normalisation_is_of_the_training_pixels(npz: Path) -> None:
    splits = image_npz(npz)
    pixels = splits.train.stored.double() / 255
    assert splits.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)
    assert splits.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-6)


def test_normalisation_of_two_levels(tmp_path: Path) -> None:
    """A quarter of the pixels is 1, the others 0: mean 1/4, deviation sqrt(3)/4."""
    images = np.zeros((40, 8, 8), dtype=np.uint8)
    images[:, ::2, ::2] = 255
    path = write_npz(tmp_path / "two.npz", images=images, labels=np.arange(40) % 2)
    assert image_npz(path).normalization == ((0.25,), (0.433013,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_kept(tmp_path: Path, npz: Path, dtype: type[np.floating]) -> None:
    pixels = IMAGES.astype(dtype) / 255
    splits = image_npz(write_npz(tmp_path / "floats.npz", images=pixels, labels=LABELS), name="pets")
    expected = image_npz(npz)
    assert splits.train.stored.dtype == torch.float32
    assert torch.equal(splits.train.stored, expected.train.pixels)
    assert splits.normalization is not None
    assert splits.normalization[0] == pytest.approx(expected.mean, abs=2e-6)
    assert splits.normalization[1] == pytest.approx(expected.std, abs=2e-6)


@pytest.mark.parametrize("layout", ["channels first", "grey", "one channel"])
def test_layouts_of_arrays(tmp_path: Path, layout: str) -> None:
    images = {"channels first": IMAGES.transpose(0, 3, 1, 2), "grey": IMAGES[..., 0], "one channel": IMAGES[..., :1]}
    splits = image_npz(write_npz(tmp_path / "set.npz", images=images[layout], labels=LABELS))
    whole = image_npz(write_npz(tmp_path / "rgb.npz", images=IMAGES, labels=LABELS))
    channels = 3 if layout == "channels first" else 1
    assert torch.equal(splits.train.stored, whole.train.stored[:, :channels])
    assert splits.train.stored.is_contiguous()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("gray", [False, True])
def test_all_kinds_of_colours_become_one(folder: Path, mode: str, gray: bool) -> None:
    pixels = np.full((8, 8, 3), 255, dtype=np.uint8)
    pixels[:4] = 0
    image = Image.fromarray(pixels).convert("P" if mode == "PA" else mode)
    if mode == "P":
        image.info["transparency"] = bytes([0, 128])
    for path in (folder / "cat").iterdir():
        path.unlink()
    for i in range(9):
        image.convert(mode).save(folder / "cat" / f"{i}.tif" if mode in ("CMYK", "PA") else folder / "cat" / f"{i}.png")
    splits = folder_of(folder, gray=gray)
    cats = splits.train.stored[splits.train.labels == 0]
    expected = torch.from_numpy(pixels).permute(2, 0, 1)[: 1 if gray else 3]
    assert torch.equal(cats, expected.expand_as(cats))


def test_other_sizes_become_averages_if_asked_for(tmp_path: Path) -> None:
    large = drawn(45, 16, 16)
    splits = folder_of(write_folder(tmp_path / "pets", large), resize=True, gray=True)
    squares = large.reshape(45, 8, 2, 8, 2).mean(axis=(2, 4))
    expected = image_npz(write_npz(tmp_path / "small.npz", images=squares.astype(np.uint8), labels=LABELS))
    difference = splits.train.stored.int() - expected.train.stored.int()
    assert int(difference.min()) >= 0
    assert int(difference.max()) <= 1, "rounded, where the expected ones are cut off"
    wide = folder_of(write_folder(tmp_path / "wide", drawn(45, 8, 12)), resize=True)
    assert wide.train.stored.shape == (27, 3, 8, 8)


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["pets", "Pets2", "x"])
def test_the_name_begins_columns(folder: Path, name: str) -> None:
    found = folder_of(folder, name=name).name
    assert found == name.lower()
    for column in (Column(found, "test", "attack", "apgd_ce", 8.0), Column(found, "", "clean", "clean")):
        assert parse_column(column.name) == column


@pytest.mark.parametrize("name", ["my_pets", "pets-2", "", "näh", "a b", "32"])
def test_names_that_columns_cannot_begin_with(folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^name={name}: it begins the names of columns; give letters"):
        folder_of(folder, name=name)


def test_the_default_name_is_the_paths(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert folder_of(Path()).name == "pets"
    moved = folder.rename(tmp_path / "my_pets")
    with pytest.raises(ConfigurationError, match=r"^name=my_pets \(the path's\): "):
        folder_of(moved)


# ------------------------------------------------------------------------------------------------------------ refusals


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (None, {"size": 7}, "^size=7: give 8 pixels or more"),
        (None, {"size": 9}, r"\d\d\.png is 8x8 pixels, expected 9x9; give its size=, or resize=true"),
        (None, {"num_valid": 0}, r"num_valid=0: give 1\.\.35 of the 36 images"),
        (None, {"num_test": 45}, r"num_test=45: give 1\.\.44 of the 45 images"),
        (None, {"num_valid": 36}, r"num_valid=36: give 1\.\.35 of the 36 images"),
        (None, {"num_valid": -1}, "num_valid=-1: give 1"),
        (None, {"num_test": 2}, "num_test=2 of 45 images takes 0 of the 10 of class dog, and every split needs some"),
        (None, {"num_test": 44}, "num_test=44 of 45 images takes 10 of the 10 of class dog"),
        (lambda f: shutil.rmtree(f), {}, "path=.*pets: no such folder; give the folder of the classes"),
        (lambda f: [shutil.rmtree(f / name) for name in COUNTS], {}, "pets has no folders of images; give the folder"),
        (
            lambda f: [shutil.rmtree(f / name) for name in ("cat", "dog")],
            {},
            "pets: one class, emu; give images of two",
        ),
        (lambda f: empty(f / "dog"), {}, r"dog holds no images \(\.bmp, .*remove it, or give as path the folder right"),
        (
            lambda f: (f / "dog" / "21.png").write_bytes(b"PNG"),
            {},
            r"dog/21\.png cannot be read .*replace or remove it",
        ),
        (
            lambda f: (f / "dog" / "21.png").write_bytes((f / "dog" / "21.png").read_bytes()[:150]),
            {},
            r"dog/21\.png cannot be read",
        ),
        (lambda f: Image.new("RGB", (9, 8)).save(f / "emu" / "30.png"), {}, r"emu/30\.png is 9x8 pixels, expected 8x8"),
        (
            lambda f: Image.new("I;16", (8, 8)).save(f / "emu" / "30.png"),
            {},
            r"30\.png has pixels of kind I;16; save it",
        ),
    ],
)
def test_folders_that_are_refused(
    folder: Path, change: Callable[[Path], Any] | None, settings: dict[str, Any], message: str
) -> None:
    if change is not None:
        change(folder)
    with pytest.raises(ConfigurationError, match=message):
        folder_of(folder, **settings)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    write_folder(root / "train")
    write_folder(root / "test", IMAGES[:30], {"cat": 20, "dog": 10})
    with pytest.raises(ConfigurationError, match="class emu has no test images; add some, or remove the class"):
        folder_of(root)
    write_folder(root / "test", IMAGES[:9], {"cat": 4, "dog": 3, "emu": 1, "fox": 1})
    with pytest.raises(ConfigurationError, match="class fox has no train images"):
        folder_of(root)
    shutil.rmtree(root / "test" / "fox")
    with pytest.raises(ConfigurationError, match=r"num_test=3: .* has test images, all of which are used; give null"):
        folder_of(root, num_test=3)
    write_folder(root / "valid")
    write_folder(root / "val")
    with pytest.raises(ConfigurationError, match="has both valid and val; remove one"):
        folder_of(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, r"has neither images nor train_images, only labels; rename them"),
        ({"labels": None}, r"has images, but no labels; add them"),
        ({"labels": LABELS[:44]}, r"labels is int64\[44\] for 45 images; give each its class as an integer"),
        ({"labels": LABELS / 2}, r"labels is float64\[45\]"),
        ({"labels": LABELS > 0}, r"labels is bool\[45\]"),
        ({"labels": np.eye(3, dtype=int)[LABELS]}, r"labels is int64\[45, 3\]"),
        ({"labels": LABELS - 1}, r"labels holds -1; number the classes from 0"),
        ({"labels": LABELS * 0}, r"one class, 0; give images of two or more"),
        ({"labels": np.arange(45)}, r"num_test=9 of 45 images takes 1 of the 1 of class 0"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"images is uint8\[0, 8, 8, 3\]; give images of 8x8"),
        ({"images": IMAGES[:, :7, :7]}, r"images is uint8\[45, 7, 7, 3\]; give images of 8x8 pixels or more"),
        ({"images": IMAGES[:, :7]}, r"images is uint8\[45, 7, 8, 3\]; give \[n, size, size\]"),
        ({"images": IMAGES.reshape(45, -1)}, r"images is uint8\[45, 192\]; give"),
        ({"images": drawn(45, 8, 8, 4)}, r"images is uint8\[45, 8, 8, 4\]; give .* with 1 or 3 channels"),
        ({"images": IMAGES.astype(np.int64)}, r"images is int64\[45, 8, 8, 3\]; give bytes \(uint8\), or float32"),
        ({"images": IMAGES.astype(np.float16)}, r"images is float16.*give bytes"),
        ({"images": IMAGES.astype(np.float32)}, r"images ranges over \[0, 255\], not \[0, 1\]; divide levels by 255"),
        ({"images": np.where(IMAGES == 0, np.nan, 0.5)}, r"images ranges over \[nan, nan\].*remove images with NaN"),
        ({"images": IMAGES * np.array([1, 0, 1], dtype=np.uint8)}, "channel 1 is the same in all pixels; leave it out"),
        ({"images": np.array([None] * 45)}, r"pets\.npz cannot be read.*without objects"),
        (
            {
                "train_images": IMAGES,
                "train_labels": LABELS,
                "val_images": IMAGES,
                "valid_images": IMAGES,
                "images": None,
            },
            r"has both valid_images and val_images; remove one",
        ),
        (
            {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[..., 0], "images": None},
            r"has test_images, but no test_labels",
        ),
        (
            {
                "train_images": IMAGES,
                "train_labels": LABELS,
                "test_images": IMAGES[..., 0],
                "test_labels": LABELS,
                "images": None,
            },
            r"images of different kinds \(train uint8\[45, 3, 8, 8\], test uint8\[45, 1, 8, 8\]\); save them alike",
        ),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, changes: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {"images": IMAGES, "labels": LABELS} | changes
    path = tmp_path / "pets.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})  # pyright: ignore
    with pytest.raises(ConfigurationError, match=message):
        image_npz(path)


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"path=.*absent\.npz: no such file; give an \.npz with images and"):
        image_npz(tmp_path / "absent.npz")
    (tmp_path / "pets.npz").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ConfigurationError, match=r"pets\.npz cannot be read"):
        image_npz(tmp_path / "pets.npz")
    np.save(tmp_path / "pets.npy", IMAGES)
    with pytest.raises(ConfigurationError, match=r"pets\.npy cannot be read"):
        image_npz(tmp_path / "pets.npy")


# --------------------------------------------------------------------------------------------------------- end to end


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *overrides: str) -> int | str | None:
    small = ["num_architectures=1", "network.channels=2", "recipe.epochs=1", "recipe.batch_size=9"]
    settings = [*small, "attack=fgsm_digits", f"out={out}"]
    monkeypatch.setattr(sys, "argv", ["evaluation/run.py", *overrides, *settings])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize("executor", ["inline", pytest.param("local", marks=pytest.mark.slow)])
def test_own_images_become_a_table(executor: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, images = folder.parent / "out", [f"dataset.path={folder}", "dataset.size=8"]
    assert not run(monkeypatch, out, f"executor={executor}", "dataset=image_folder", *images)
    table = read_table([out / "nasbench201_pets.parquet"], ["pets_valid", "pets_test"])
    assert len(table.rows) > 0


def test_a_path_that_is_not_given_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("image_folder", "npz"):
        assert run(monkeypatch, tmp_path, f"dataset={name}") == 2
        said = capsys.readouterr().err
        assert "dataset.path" in said
        assert len(said.splitlines()) == 1
