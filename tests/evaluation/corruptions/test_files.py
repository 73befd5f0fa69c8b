import json
import random
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet.errors import AGNetError, ConfigurationError, RunDirectoryError, StorageError, TableError, UnreadableFile
from agnet.runtime.files import locked
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
    with pytest.raises(UnreadableFile, match=r"corruptions\.json is damaged"):
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


def test_a_flipped_bit_is_noticed_and_made_again(folder: Path, tmp_path: Path) -> None:
    """In any file: reading gives the same images or one line, and the same call gives the same bytes or one line."""
    draw, before = random.Random(0), {path.name: path.read_bytes() for path in folder.iterdir()}
    whole = [CorruptedImages(folder).images(name, 5)[0] for name in SOME]
    wrong = 0
    for number in range(100):
        name = sorted(before)[number % len(before)]
        content = bytearray(before[name])
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(content)
        try:
            again = CorruptedImages(folder)
            wrong += not all(again.images(some, 5)[0].equal(images) for some, images in zip(SOME, whole, strict=True))
        except AGNetError as error:
            wrong += str(folder) not in str(error) or "\n" in str(error)
        (folder / name).write_bytes(before[name])
    assert wrong == 0
    (folder / "fog.npy").write_bytes(before["fog.npy"][:-1] + b"\0")
    with pytest.raises(
        UnreadableFile, match=r"fog\.npy is damaged \(its content does not match corruptions\.json\); run"
    ):
        CorruptedImages(folder).images("fog", 1)
    write_corrupted(folder, IMAGES, LABELS, seed=5, names=SOME, facts={"dataset": "noise"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_files_of_an_earlier_revision_are_made_anew(folder: Path) -> None:
    """Their ``corruptions.json`` has no hashes."""
    metadata, fog = json.loads((folder / "corruptions.json").read_text()), (folder / "fog.npy").read_bytes()
    (folder / "corruptions.json").write_text(json.dumps({"protocol": metadata["protocol"], "dataset": "noise"}))
    (folder / "fog.npy").write_bytes(fog[:-1] + b"\0")
    write_corrupted(folder, IMAGES, LABELS, seed=5, names=SOME, facts={"dataset": "noise"})
    assert (folder / "fog.npy").read_bytes() == fog
    assert json.loads((folder / "corruptions.json").read_text()) == metadata


@pytest.mark.parametrize("limit", [100, 3000, 20_000])
def test_a_disk_that_is_full_gives_one_line(tmp_path: Path, limit: int) -> None:
    """A limit on file sizes stands for it: both end a write halfway. Mapped files would end the process."""
    out, before = tmp_path / "C", resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*/C/\w+\.\w+ \(File too large\); raise the limit"):
            write_corrupted(out, IMAGES, LABELS, seed=5, names=("fog",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    write_corrupted(out, IMAGES, LABELS, seed=5, names=("fog",))
    assert CorruptedImages(out).images("fog", 5)[0].equal(corrupt(IMAGES, "fog", 5, seed=5))


@pytest.mark.parametrize("names", [(), ("fog", "fog")])
def test_names_are_distinct(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"corruptions=\[.*\]; give distinct names, one at least"):
        write_corrupted(tmp_path / "C", IMAGES, LABELS, seed=5, names=names)


def test_two_writers_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agnet.runtime.files._PATIENCE", 0.1)
    with locked(tmp_path), pytest.raises(RunDirectoryError, match="another process works in"):
        write_corrupted(tmp_path, IMAGES, LABELS, seed=5, names=("fog",))


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
    (folder / "corruptions.json").unlink()  # a folder of others
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
    (folder / "corruptions.json").unlink()
    np.save(folder / "fog.npy", array)
    with pytest.raises(TableError, match=r"fog\.npy holds .*, not uint8 \[15, height, width, 1 or 3\]"):
        CorruptedImages(folder).images("fog", 1)


def test_pickles_and_rubbish_are_refused(folder: Path) -> None:
    (folder / "corruptions.json").unlink()
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
