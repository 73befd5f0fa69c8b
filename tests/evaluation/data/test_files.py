"""Files of other projects, written here byte by byte: no download, no real images but for the marked test."""

import io
import os
import pickle
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agnet.errors import ConfigurationError
from agnet.runtime.paths import ROOT
from evaluation.data import nasbench201
from evaluation.data.files import read_batches
from evaluation.data.images import Images
from evaluation.data.nasbench201 import cifar10, cifar100, imagenet16

DATA = ROOT.parent / "shared" / "data"


def drawn(n: int, size: int, *, seed: int = 0) -> np.ndarray:
    """Bytes ``[n, 3, size, size]``."""
    return np.random.default_rng(seed).integers(256, size=(n, 3, size, size), dtype=np.uint8)


def write_pickle(path: Path, images: np.ndarray, labels: Sequence[int], key: str = "labels", protocol: int = 2) -> None:
    """As the official batches: bytes channel by channel, labels as a list, something else beside them."""
    content = {"data": images.reshape(len(images), -1), key: list(labels), "batch_label": "one of one"}
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def read(folder: Path, names: Sequence[str] = ("data_batch_1",), **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    settings: dict[str, Any] = {"prefix": "cifar10", "size": 4, "labels": "labels", "num_labels": 10}
    return read_batches(folder, names, **(settings | changes))


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_every_age(tmp_path: Path, protocol: int) -> None:
    images = drawn(3, 4)
    write_pickle(tmp_path / "data_batch_1", images, [3, 0, 9], protocol=protocol)
    found, labels = read(tmp_path)
    assert np.array_equal(found, images)
    assert labels.tolist() == [3, 0, 9]
    assert (found.dtype, labels.dtype) == (np.uint8, np.int64)


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    """Written opcode by opcode as Python 2 wrote the official files: byte strings, numpy's old module names."""
    images = drawn(2, 4)

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    state = b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR" + state
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    array = empty + b"(K\x01(K\x02K0t" + dtype + b"\x89" + text(images.tobytes()) + b"tb"
    stream = b"\x80\x02}(" + text(b"data") + array + text(b"labels") + b"](K\x07K\x01eu."
    (tmp_path / "data_batch_1").write_bytes(stream)
    found, labels = read(tmp_path)
    assert np.array_equal(found, images)
    assert labels.tolist() == [7, 1]


@pytest.mark.parametrize("layout", ["flat", "channels last", "channels first"])
def test_npz(tmp_path: Path, layout: str) -> None:
    images = drawn(5, 4)
    data = {"flat": images.reshape(5, -1), "channels last": images.transpose(0, 2, 3, 1), "channels first": images}
    np.savez(tmp_path / "data_batch_1.npz", data=data[layout], labels=np.arange(5, dtype=np.uint8))
    found, labels = read(tmp_path)
    assert np.array_equal(found, images)
    assert labels.tolist() == [0, 1, 2, 3, 4]


def write_sprite(folder: Path, name: str, images: np.ndarray, columns: int) -> None:
    n, _, size, _ = images.shape
    grid = images.reshape(n // columns, columns, 3, size, size).transpose(0, 3, 1, 4, 2)
    Image.fromarray(grid.reshape(n // columns * size, columns * size, 3)).save(folder / name, lossless=True)


def test_sprites(tmp_path: Path) -> None:
    parts = {"train_1": drawn(6, 4, seed=1), "test": drawn(4, 4, seed=2)}
    for name, images in parts.items():
        write_sprite(tmp_path, f"cifar10_{name}.webp", images, columns=2)
    labels = {"train_1": np.array([1, 2, 3, 4, 5, 6], dtype=np.uint8), "test": np.array([9, 8, 7, 6], dtype=np.uint8)}
    np.savez(tmp_path / "cifar10_labels.npz", **labels)  # pyright: ignore[reportArgumentType]
    found, target = read(tmp_path, ["data_batch_1", "test_batch"])
    assert np.array_equal(found, np.concatenate(list(parts.values())))
    assert target.tolist() == [1, 2, 3, 4, 5, 6, 9, 8, 7, 6]


def test_labels_may_begin_at_one(tmp_path: Path) -> None:
    write_pickle(tmp_path / "data_batch_1", drawn(2, 4), [1, 10])
    assert read(tmp_path, first_label=1)[1].tolist() == [0, 9]


# ------------------------------------------------------------------------------------------------------------ refusals


class Malicious:
    """Runs a command where an unpickler lets it."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", [os.system, subprocess.call, eval, getattr, np.load, io.open])
def test_pickles_run_no_code(tmp_path: Path, call: Callable[..., Any], protocol: int) -> None:
    trace = tmp_path / "trace"
    content = {"data": Malicious(call, f"touch {trace}"), "labels": [0]}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(ConfigurationError, match=r"data_batch_1 is no batch of images: it wants to call .*download"):
        read(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("length", [0, 1, 30, 100, -1])
def test_truncated_pickles_are_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "data_batch_1"
    write_pickle(path, drawn(3, 4), [1, 2, 3])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ConfigurationError, match=r"data_batch_1 is (damaged|no batch).*download the official file again"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.unlink(), r"has none of data_batch_1, data_batch_1\.npz, cifar10_train_1\.webp; give path="),
        (lambda f: f.write_bytes(pickle.dumps([1])), "holds a list, not a dictionary"),
        (lambda f: f.write_bytes(pickle.dumps({"data": 1})), "has no 'labels', only"),
        (lambda f: write_pickle(f, drawn(2, 4), [1, 2], key="fine_labels"), "has no 'labels', only.*another data set"),
        (lambda f: write_pickle(f, drawn(2, 4), [1, 2, 3]), r"labels is int64\[3\] for 2 images"),
        (lambda f: write_pickle(f, drawn(2, 4), [1, 10]), r"labels 1\.\.10, expected 0\.\.9"),
        (lambda f: write_pickle(f, drawn(2, 4), [-1, 2]), r"labels -1\.\.2, expected 0\.\.9"),
        (lambda f: write_pickle(f, drawn(2, 4), [0.5, 2]), r"labels is float64\[2\]"),  # type: ignore[list-item]
        (lambda f: write_pickle(f, drawn(2, 5), [1, 2]), r"data is uint8\[2, 75\], expected uint8 images of 3x4x4"),
        (lambda f: write_pickle(f, drawn(2, 4) / 255, [1, 2]), r"data is float64\[2, 48\], expected uint8"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    path = tmp_path / "data_batch_1"
    write_pickle(path, drawn(2, 4), [1, 2])
    change(path)
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path)


def test_npz_files_with_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data_batch_1.npz", data=np.array([{"a": 1}], dtype=object), labels=np.array([1]))
    with pytest.raises(ConfigurationError, match=r"data_batch_1\.npz cannot be read.*without objects"):
        read(tmp_path)
    (tmp_path / "data_batch_1.npz").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ConfigurationError, match=r"data_batch_1\.npz cannot be read"):
        read(tmp_path)


def test_damaged_sprites_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar10_train_1.webp"
    write_sprite(tmp_path, path.name, drawn(4, 4), columns=2)
    with pytest.raises(ConfigurationError, match=r"cifar10_labels\.npz is missing"):
        read(tmp_path)
    np.savez(tmp_path / "cifar10_labels.npz", train_1=np.array([1, 2, 3]))
    with pytest.raises(ConfigurationError, match=r"labels is int64\[3\] for 4 images"):
        read(tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ConfigurationError, match=r"cifar10_train_1\.webp cannot be read"):
        read(tmp_path)


# -------------------------------------------------------------------------------------------------------------- splits


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10 and CIFAR-100 with 50 training and 20 test images; image k is all k."""
    monkeypatch.setattr(nasbench201, "_expect", lambda *_: None)
    images = np.arange(70, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), dtype=np.uint8)
    ten = tmp_path / "cifar-10-batches-py"
    ten.mkdir()
    for i in range(5):
        write_pickle(ten / f"data_batch_{i + 1}", images[10 * i : 10 * i + 10], range(10))
    write_pickle(ten / "test_batch", images[50:], [k % 10 for k in range(20)])
    hundred = tmp_path / "cifar-100-python"
    hundred.mkdir()
    write_pickle(hundred / "train", images[:50], range(50), key="fine_labels")
    write_pickle(hundred / "test", images[50:], range(50, 70), key="fine_labels")
    return tmp_path


def places(images: Images) -> list[int]:
    """Which of the files' images these are."""
    return images.stored[:, 0, 0, 0].tolist()


def test_training_images_are_halved_as_the_benchmark_does(small_cifar: Path) -> None:
    splits = cifar10(small_cifar, num_valid=25)
    order = list(range(50))
    random.Random(1021).shuffle(order)
    assert places(splits.train) == sorted(order[:25])
    assert places(splits.valid) == sorted(order[25:])
    assert places(splits.test) == list(range(50, 70))
    assert splits.train.labels.tolist() == [k % 10 for k in places(splits.train)]
    assert (splits.name, splits.num_classes, splits.in_channels, splits.image_size) == ("cifar10", 10, 3, 32)


def test_the_seed_is_the_benchmarks() -> None:
    """The published list of CIFAR-10's training half begins so, and its other half so."""
    order = nasbench201._shuffled(50_000, nasbench201.SPLIT_SEED)
    assert sorted(order[:25_000])[:12] == [0, 5, 7, 11, 13, 15, 16, 17, 20, 24, 26, 28]
    assert sorted(order[25_000:])[:12] == [1, 2, 3, 4, 6, 8, 9, 10, 12, 14, 18, 19]


def test_full_training_takes_validation_images_from_the_test(small_cifar: Path) -> None:
    splits = cifar10(small_cifar / "cifar-10-batches-py", held_out_of="test", num_valid=5)
    assert places(splits.train) == list(range(50))
    assert sorted(places(splits.valid) + places(splits.test)) == list(range(50, 70))
    assert len(splits.valid) == 5


def test_fewer_images(small_cifar: Path) -> None:
    whole, part = cifar10(small_cifar, num_valid=25), cifar10(small_cifar, num_valid=25, num_train=7, num_test=4)
    assert (len(part.train), len(part.valid), len(part.test)) == (7, 25, 4)
    assert set(places(part.train)) < set(places(whole.train))
    assert places(part.valid) == places(whole.valid)
    assert len(cifar10(small_cifar, num_valid=0).valid) == 0


def test_cifar100_has_fine_labels(small_cifar: Path) -> None:
    splits = cifar100(small_cifar, num_valid=10)
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (50, 10, 10)
    for part in (splits.train, splits.valid, splits.test):
        assert part.labels.tolist() == places(part)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_valid": 50}, r"num_valid=50: give 0\.\.49 of the train images"),
        ({"held_out_of": "valid"}, "held_out_of=valid: give train or test"),
        ({"num_valid": -1}, r"num_valid=-1: give 0\.\.49"),
        ({"num_valid": 25, "num_train": 26}, r"num_train=26: give 1\.\.25, or null"),
        ({"num_valid": 25, "num_test": 0}, r"num_test=0: give 1\.\.20"),
        ({"num_valid": 25, "resolution": 5}, "resolution=5: give a divisor of 32"),
        ({"num_valid": 25, "resolution": 0}, "resolution=0: give a divisor of 32"),
    ],
)
def test_impossible_splits_are_refused(small_cifar: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cifar10(small_cifar, **settings)


def test_short_and_absent_data_sets_are_refused(small_cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="50 training and 20 test images, expected 50000 and 10000"):
        cifar10(small_cifar)
    with pytest.raises(ConfigurationError, match=r"path=.*nowhere: no such folder"):
        cifar100(small_cifar / "nowhere")


def test_imagenet16_keeps_the_first_classes(tmp_path: Path) -> None:
    """Labels in the files count from 1 to 1000; the loader reads pickles and ``.npz`` batches alike."""
    images = drawn(44, 16)
    labels = [1 + k * 29 % 1000 for k in range(44)]
    for i in range(10):
        rows = slice(4 * i, 4 * i + 4)
        if i % 2:
            write_pickle(tmp_path / f"train_data_batch_{i + 1}", images[rows], labels[rows])
        else:
            np.savez(tmp_path / f"train_data_batch_{i + 1}.npz", data=images[rows].reshape(4, -1), labels=labels[rows])
    write_pickle(tmp_path / "val_data", images[40:], [1, 120, 121, 2])
    splits = imagenet16(tmp_path, num_valid=1)
    kept = [k for k in range(40) if labels[k] <= 120]
    assert splits.train.labels.tolist() == [labels[k] - 1 for k in kept]
    assert np.array_equal(splits.train.stored.numpy(), images[kept])
    assert sorted(splits.valid.labels.tolist() + splits.test.labels.tolist()) == [0, 1, 119]
    assert (splits.num_classes, splits.image_size) == (120, 16)
    with pytest.raises(ConfigurationError, match=r"num_classes=0: give 1\.\.1000"):
        imagenet16(tmp_path, num_classes=0)


# -------------------------------------------------------------------------------------------------- bytes and channels


def test_bytes_become_pixels(small_cifar: Path) -> None:
    images = cifar10(small_cifar, num_valid=25).train
    assert images.stored.dtype == torch.uint8
    assert torch.equal(images.pixels, images.stored / 255)
    rows = torch.tensor([3, 0])
    pixels, labels = images.batch(rows)
    assert torch.equal(pixels, images.pixels[rows])
    assert torch.equal(labels, images.labels[rows])
    assert torch.equal(images.first(4).pixels, images.pixels[:4])
    assert images.to("cpu").size == 32


def test_lower_resolutions_are_averages(tmp_path: Path, small_cifar: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    images = drawn(10, 32)
    for i in range(5):
        write_pickle(folder / f"data_batch_{i + 1}", images, range(10))
    small = cifar10(folder, num_valid=0, resolution=16).train.stored.numpy()[:10]
    squares = images.reshape(10, 3, 16, 2, 16, 2).astype(float).mean(axis=(3, 5))
    assert small.shape == (10, 3, 16, 16)
    assert np.abs(small - squares).max() <= 0.5


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    ],
)
def test_normalisation_is_the_published_one(
    small_cifar: Path, name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    splits = {"cifar10": cifar10, "cifar100": cifar100}[name](small_cifar, num_valid=5)
    assert splits.mean == pytest.approx([x / 255 for x in mean])
    assert splits.std == pytest.approx([x / 255 for x in std])
    assert splits.to("cpu").mean == splits.mean


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs {DATA}")
def test_the_real_cifar10() -> None:
    """Published facts: 5,000 and 1,000 images per class, the first test labels, channel means."""
    splits = cifar10(DATA, num_valid=0)
    assert splits.train.labels.bincount().tolist() == [5_000] * 10
    assert splits.test.labels.bincount().tolist() == [1_000] * 10
    assert splits.test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    means = torch.stack([splits.train.stored[:, c].double().mean() for c in range(3)])
    assert (means / 255).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert splits.mean == pytest.approx((means / 255).tolist(), abs=1e-3)
