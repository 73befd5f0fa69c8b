import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from search.importers.nasbench201 import NASBench201File
from search.importers.nats_bench import NATSBench

PARTIAL = NASBench201File(partial=True)


def save(path: Path, content: Any, *, zipped: bool = False) -> Path:
    """As ``torch.save`` wrote it before version 1.6, or as it writes it now."""
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.fixture
def content(runs_of: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Three architectures in the published layout."""
    infos = {i: {"full": runs_of(i, 200), "less": runs_of(i, 12)} for i in (284, 0, 11)}
    names = list(NASBench201().enumerate())
    return {"meta_archs": names, "total_archs": 15625, "arch2infos": infos, "evaluated_indexes": sorted(infos)}


@pytest.mark.parametrize("zipped", [False, True], ids=["old format", "zip format"])
@pytest.mark.parametrize("epochs", [200, 12])
def test_it_says_the_same_as_nats_bench(
    content: dict[str, Any], tmp_path: Path, nats: Path, epochs: int, zipped: bool
) -> None:
    path = save(tmp_path / "NAS-Bench-201-v1_1-096897.pth", content, zipped=zipped)
    found = NASBench201File(epochs=epochs, partial=True).read(path, progress=False)
    assert found.equals(NATSBench(epochs=epochs, partial=True).read(nats, progress=False))
    assert gc.isenabled()


def test_the_command(content: dict[str, Any], tmp_path: Path, call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "b.pth", content)
    call("importer=nasbench201", f"path={path}", "importer.partial=true")
    assert "3 architectures, 10 columns: cifar10_valid, " in capfd.readouterr().out


def test_an_incomplete_file_is_refused_unless_asked(content: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    said = refused("importer=nasbench201", f"path={save(tmp_path / 'b.pth', content)}")
    assert "lacks 15622 of 15625 architectures" in said


def test_version_1_0_has_no_short_trainings_on_all_data_sets(content: dict[str, Any], tmp_path: Path) -> None:
    """And neither times nor epochs before the last for some sets."""
    for info in content["arch2infos"].values():
        for key in ("cifar10", "cifar100", "ImageNet16-120"):
            del info["less"]["dataset_seed"][key]
        for result in info["full"]["all_results"].values():
            result["train_times"] = None
            result["eval_acc1es"] = {k: v for k, v in result["eval_acc1es"].items() if k.endswith("@199")}
    path = save(tmp_path / "NAS-Bench-201-v1_0-e61699.pth", content)
    assert PARTIAL.read(path, progress=False)["cifar10_train_time_s"].to_pylist() == [None] * 3
    with pytest.raises(TableError, match=r"12 epochs has no 'cifar10', only cifar10-valid; give NAS-Bench-201-v1_1"):
        NASBench201File(epochs=12, partial=True).read(path, progress=False)


@pytest.mark.parametrize("zipped", [False, True])
def test_code_is_not_run(content: dict[str, Any], tmp_path: Path, malicious: object, zipped: bool) -> None:
    content["arch2infos"][0]["full"]["x"] = malicious
    path = save(tmp_path / "b.pth", content, zipped=zipped)
    with pytest.raises(TableError, match=r"b\.pth is refused: it wants to call posix\.system"):
        PARTIAL.read(path, progress=False)


@pytest.mark.parametrize("zipped", [False, True])
def test_tensors_are_refused(content: dict[str, Any], tmp_path: Path, zipped: bool) -> None:
    content["arch2infos"][0]["full"]["x"] = torch.zeros(2)
    with pytest.raises(TableError, match=r"is refused: it wants to call torch\."):
        PARTIAL.read(save(tmp_path / "b.pth", content, zipped=zipped), progress=False)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.5, 0.99])
def test_truncated_files_are_named(content: dict[str, Any], tmp_path: Path, zipped: bool, share: float) -> None:
    path = save(tmp_path / "b.pth", content, zipped=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TableError, match=r"b\.pth is damaged.*download it again"):
        PARTIAL.read(path, progress=False)


def test_other_files_are_refused(content: dict[str, Any], tmp_path: Path, nats: Path) -> None:
    def reading(data: Any) -> str:
        with pytest.raises(TableError) as caught:
            PARTIAL.read(save(tmp_path / "b.pth", data), progress=False)
        return str(caught.value)

    assert "has no 'arch2infos', only weights;" in reading({"weights": 1})
    assert "holds a list, not a dictionary with 'arch2infos'" in reading([1])
    assert "arch2infos is no dictionary of ids" in reading({"arch2infos": {"a": 1}})
    assert "arch2infos is no dictionary of ids" in reading({"arch2infos": None})
    assert "architecture 0 has no 'full', only 200" in reading({"arch2infos": {0: {"200": 1}}})
    assert "has no architecture; is it the benchmark's file?" in reading({"arch2infos": {}})
    (tmp_path / "b.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(TableError, match=r"b\.pickle was not written by torch\.save"):
        PARTIAL.read(tmp_path / "b.pickle", progress=False)
    with pytest.raises(TableError, match="is no file"):
        PARTIAL.read(nats, progress=False)


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(TableError, match=r"it holds no data\.pkl"):
        PARTIAL.read(tmp_path / "b.pth", progress=False)
