import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet.errors import ConfigurationError, RunDirectoryError, TableError
from evaluation.corruptions import CORRUPTIONS, CorruptedImages, FrostPictures, corrupt, write_corrupted
from evaluation.corruptions import files as files_module

IMAGES = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([7, 0, 9])
SOME = ("fog", "frost")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_corrupted(tmp_path / "C", IMAGES, LABELS, seed=5, names=SOME, facts={"dataset": "noise"})
    return tmp_path / "C"


def test_what_is_written_is_read(folder: Path) -> None:
    stored = CorruptedImages(folder, num_classes=10)
    assert len(stored) == 3
    assert stored.names == ("frost", "fog")
    for name in SOME:
        for severity in range(1, 6):
            images, labels = stored.images(name, severity)
            assert images.equal(corrupt(IMAGES, name, severity, seed=5))
            assert labels.equal(LABELS)


def test_the_layout_is_cifar_cs(folder: Path) -> None:
    fog = np.load(folder / "fog.npy")
    assert (fog.dtype, fog.shape) == (np.uint8, (15, 32, 32, 3))
    assert (fog[3 * 4 + 1] == corrupt(IMAGES, "fog", 5, seed=5)[1].permute(1, 2, 0).numpy()).all()
    labels = np.load(folder / "labels.npy")
    assert labels.dtype == np.uint8
    assert labels.tolist() == LABELS.tolist() * 5


def test_metadata_say_which_frost_was_used(folder: Path, tmp_path: Path) -> None:
    metadata = json.loads((folder / "corruptions.json").read_text())
    assert metadata["protocol"]["frost_source"] == "procedural"
    assert metadata["protocol"]["seed"] == 5
    assert metadata["dataset"] == "noise"
    pictures = FrostPictures((torch.zeros(3, 40, 40, dtype=torch.uint8),) * 5, "pictures")
    write_corrupted(tmp_path / "D", IMAGES, LABELS, seed=5, names=("frost",), frost=pictures)
    assert json.loads((tmp_path / "D" / "corruptions.json").read_text())["protocol"]["frost_source"] == "pictures"


def test_a_call_continues_and_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    made = []

    def spy(images: torch.Tensor, name: str, *args: object, **kwargs: object) -> torch.Tensor:
        made.append(name)
        return images

    monkeypatch.setattr(files_module, "corrupt", spy)
    write_corrupted(folder, IMAGES, LABELS, seed=5, names=("fog", "snow"))
    assert set(made) == {"snow"}
    assert CorruptedImages(folder).names == ("snow", "frost", "fog")


def test_a_folder_belongs_to_its_images_and_seed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="written with other seed; give another folder"):
        write_corrupted(folder, IMAGES, LABELS, seed=6, names=SOME)
    with pytest.raises(RunDirectoryError, match="written with other images_sha256"):
        write_corrupted(folder, IMAGES.flip(0), LABELS, seed=5, names=SOME)
    (folder / "corruptions.json").write_text("[]")
    with pytest.raises(RunDirectoryError, match=r"cannot read .*corruptions\.json"):
        write_corrupted(folder, IMAGES, LABELS, seed=5, names=SOME)
    (folder / "corruptions.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"\.npy files but no corruptions\.json"):
        write_corrupted(folder, IMAGES, LABELS, seed=5, names=SOME)
    with pytest.raises(ConfigurationError, match="no corruption 'smog'"):
        write_corrupted(tmp_path / "E", IMAGES, LABELS, seed=5, names=("smog",))
    assert not (tmp_path / "E").exists()


def test_a_failure_leaves_no_half_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(images: torch.Tensor, name: str, severity: int, **kwargs: object) -> torch.Tensor:
        if severity == 3:
            raise KeyboardInterrupt
        return images

    monkeypatch.setattr(files_module, "corrupt", fail)
    with pytest.raises(KeyboardInterrupt):
        write_corrupted(tmp_path, IMAGES, LABELS, seed=0, names=("fog",))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corruptions.json", "labels.npy"]


def test_the_published_folders_hold_more_corruptions_than_ours(folder: Path) -> None:
    np.save(folder / "spatter.npy", np.zeros((15, 32, 32, 3), dtype=np.uint8))
    stored = CorruptedImages(folder)
    assert stored.names == ("frost", "fog", "spatter")
    assert stored.images("spatter", 1)[0].shape == (3, 3, 32, 32)
    assert set(stored.names) - set(CORRUPTIONS) == {"spatter"}


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no folder .*nowhere; get the folder from zenodo"):
        CorruptedImages(tmp_path / "nowhere")
    with pytest.raises(TableError, match=r"no .*snow\.npy; the folder has frost, fog"):
        CorruptedImages(folder).images("snow", 1)
    with pytest.raises(ConfigurationError, match="severity=6"):
        CorruptedImages(folder).images("fog", 6)
    (folder / "labels.npy").unlink()
    with pytest.raises(TableError, match=r"no .*labels\.npy"):
        CorruptedImages(folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((15, 1), dtype=np.uint8), r"holds uint8 \[15, 1\]"),
        (np.zeros(15), r"holds float64 \[15\]"),
        (np.zeros(14, dtype=np.uint8), r"holds uint8 \[14\]"),
        (np.zeros(0, dtype=np.uint8), r"holds uint8 \[0\]"),
        (np.arange(15, dtype=np.uint8), "other labels at other severities"),
        (np.full(15, 10, dtype=np.uint8), r"labels 10\.\.10, the task has 10 classes"),
        (np.full(15, -1, dtype=np.int64), r"labels -1\.\.-1"),
    ],
)
def test_labels_are_checked(folder: Path, labels: np.ndarray, message: str) -> None:
    np.save(folder / "labels.npy", labels)
    with pytest.raises(TableError, match=message):
        CorruptedImages(folder, num_classes=10)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((15, 32, 32, 3)),
        np.zeros((14, 32, 32, 3), dtype=np.uint8),
        np.zeros((15, 3, 32, 32), dtype=np.uint8),
        np.zeros((15, 32, 32), dtype=np.uint8),
    ],
)
def test_images_are_checked(folder: Path, array: np.ndarray) -> None:
    np.save(folder / "fog.npy", array)
    with pytest.raises(TableError, match=r"fog\.npy holds .*, not uint8 \[15, height, width, 1 or 3\]"):
        CorruptedImages(folder).images("fog", 1)


def test_pickles_and_rubbish_are_refused(folder: Path) -> None:
    np.save(folder / "fog.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(TableError, match=r"cannot read .*fog\.npy"):
        CorruptedImages(folder).images("fog", 1)
    (folder / "fog.npy").write_bytes(b"")
    with pytest.raises(TableError, match=r"cannot read .*fog\.npy"):
        CorruptedImages(folder).images("fog", 1)
    whole = (folder / "frost.npy").read_bytes()
    (folder / "frost.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match=r"cannot read .*frost\.npy"):
        CorruptedImages(folder).images("frost", 1)
