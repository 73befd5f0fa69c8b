import bz2
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from agnet.errors import ConfigurationError, TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_metadata, read_table
from search.importers.nats_bench import NATSBench
from search.importers.runs import ENTRIES, _row

COLUMNS = [
    *("cifar10_valid", "cifar10_test", "cifar100_valid", "cifar100_test", "imagenet16_valid", "imagenet16_test"),
    *("n_seeds", "cifar10_train_time_s", "params_m", "flops_m"),
]
PARTIAL = NATSBench(partial=True)


def change(folder: Path, edit: Callable[[Any], Any], index: int = 11) -> Path:
    """Change what one file holds."""
    path = folder / f"{index:06d}.pickle.pbz2"
    content = pickle.loads(bz2.decompress(path.read_bytes()))
    path.write_bytes(bz2.compress(pickle.dumps(edit(content), protocol=4)))
    return folder


@pytest.mark.parametrize("epochs", [200, 12])
def test_means_over_seeds_at_the_last_epoch(nats: Path, expected_accuracy: Callable[..., float], epochs: int) -> None:
    table = NATSBench(epochs=epochs, partial=True).read(nats, progress=False)
    suffix = "" if epochs == 200 else "_12epochs"
    assert table.column_names == ["architecture", *(f"{name}{suffix}" for name in COLUMNS)]
    names = NASBench201().enumerate()
    assert table["architecture"].to_pylist() == [names[0], names[11], names[284]]
    sources = {
        "cifar10_valid": ("cifar10-valid", "x-valid", (777, 888, 999)),
        "cifar10_test": ("cifar10", "ori-test", (777, 888)),  # not cifar10-valid's ori-test
        "cifar100_valid": ("cifar100", "x-valid", (777, 888, 999)),
        "cifar100_test": ("cifar100", "x-test", (777, 888, 999)),  # not its ori-test, which is valid and test together
        "imagenet16_valid": ("ImageNet16-120", "x-valid", (777, 888, 999)),
        "imagenet16_test": ("ImageNet16-120", "x-test", (777, 888, 999)),
    }
    for column, (entry, split, seeds) in sources.items():
        for row, index in enumerate((0, 11, 284)):
            expected = sum(expected_accuracy(index, entry, split, seed, epochs - 1) for seed in seeds) / len(seeds)
            assert table[column + suffix][row].as_py() == pytest.approx(expected, abs=1e-9)
    assert table[f"n_seeds{suffix}"].to_pylist() == [2, 2, 2]
    assert table[f"cifar10_train_time_s{suffix}"].to_pylist() == [2.0 * epochs] * 3  # of cifar10-valid
    assert table[f"params_m{suffix}"][0].as_py() == pytest.approx(0.11)  # with ten classes
    assert table[f"flops_m{suffix}"][0].as_py() == pytest.approx(15.01)


@pytest.mark.parametrize("form", [".tar", ".tar.gz", ".zip"])
def test_archives_need_not_be_extracted(nats: Path, tmp_path: Path, form: str) -> None:
    (nats / "._000011.pickle.pbz2").write_bytes(b"left by another system")
    packed = tmp_path / f"NATS-tss-v1_0-3ffb9-simple{form}"
    if form == ".zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for file in nats.iterdir():
                archive.write(file, f"{nats.name}/{file.name}")
    else:
        with tarfile.open(packed, "w:gz" if form == ".tar.gz" else "w") as archive:
            archive.add(nats, nats.name)
    assert PARTIAL.read(packed, progress=False).equals(PARTIAL.read(nats, progress=False))


def test_times_that_were_not_recorded_stay_empty(nats: Path) -> None:
    def forget(content: Any) -> Any:
        content["200"]["all_results"]["cifar10-valid", 888]["train_times"] = None
        return content

    table = PARTIAL.read(change(nats, forget), progress=False)
    assert table["cifar10_train_time_s"].to_pylist() == [400.0, None, 400.0]


def test_the_command(nats: Path, call: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    out = call("importer=nats_bench", f"path={nats}", "importer.epochs=12", "importer.partial=true")
    said = capfd.readouterr()
    assert said.err == ""  # no bar where there is no terminal
    assert "3 architectures, 10 columns: cifar10_valid_12epochs, " in said.out
    metadata = read_metadata(out)
    assert (metadata["space"], metadata["source"], metadata["epochs"]) == ("nasbench201", "NATS-Bench tss", "12")
    assert metadata["seeds"].startswith("mean over all seeds")
    assert metadata["file"] == nats.name
    assert metadata["command"].startswith("python -m search.import_table out=")
    assert metadata["revision"]
    assert len(read_table([out], ["cifar10_valid_12epochs", "n_seeds_12epochs"]).rows) == 3
    assert [p.name for p in out.parent.iterdir()] == [out.name]


# ------------------------------------------------------------------------------------------------------------ refusals


def test_an_incomplete_archive_is_refused_unless_asked(nats: Path, refused: Callable[..., str]) -> None:
    said = refused(f"path={nats}")
    assert "lacks 15622 of 15625 architectures, the first with id 1;" in said
    assert "importer.partial=true" in said


def test_code_is_not_run(nats: Path, malicious: object, refused: Callable[..., str]) -> None:
    (nats / "000011.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"200": malicious})))
    said = refused(f"path={nats}", "importer.partial=true")
    assert "000011.pickle.pbz2 is refused: it wants to call posix.system" in said


def test_weights_are_refused(nats: Path) -> None:
    """The archive ends in -full then."""
    import torch

    def add(content: Any) -> Any:
        content["200"]["all_results"]["cifar10", 777]["net_state_dict"] = {"w": torch.zeros(2)}
        return content

    with pytest.raises(TableError, match=r"torch\._utils\._rebuild_tensor_v2.*without weights"):
        PARTIAL.read(change(nats, add), progress=False)


@pytest.mark.parametrize("length", [0, 10, 200, -1])
def test_truncated_files_are_named(nats: Path, length: int) -> None:
    path = nats / "000011.pickle.pbz2"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TableError, match=r"000011\.pickle\.pbz2 is damaged.*extract it again"):
        PARTIAL.read(nats, progress=False)


@pytest.mark.parametrize("form", ["w", "w:gz"])
def test_a_truncated_archive_is_named(nats: Path, tmp_path: Path, form: str) -> None:
    packed = tmp_path / "simple.tar"
    with tarfile.open(packed, form) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
        archive.add(nats, nats.name)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(TableError, match=r"simple\.tar(: \d+\S+ is damaged| cannot be read)"):
        PARTIAL.read(packed, progress=False)


def test_another_folder_or_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "file.pickle.pbz2").write_bytes(bz2.compress(b"one file for everything"))
    assert "has no file such as 000000.pickle.pbz2; give NATS-tss" in refused(f"path={tmp_path / 'other'}")
    assert "neither a folder nor a .tar or .zip" in refused(f"path={tmp_path / 'file.pickle.pbz2'}")


def put(*keys: Any, value: Any) -> Callable[[Any], Any]:
    """An edit that sets, or with the value ``...`` deletes, something deep inside."""

    def edit(content: Any) -> Any:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        if value is ...:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value
        return content

    return edit


RUN = ("200", "all_results", ("cifar100", 777))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: list(c), "holds a list, not a dictionary with '200'"),
        (put("200", value=...), r"has no '200', only 12; give NATS-tss"),
        (put("200", "arch_str", value="8:8:8:8:8"), "is '8:8:8:8:8', which is not NAS-Bench-201's architecture 11"),
        (put("200", "arch_str", value=NASBench201().enumerate()[12]), "architecture 11"),
        (put("200", "dataset_seed", "cifar10", value=...), "200 epochs has no 'cifar10', only cifar10-valid, cifar100"),
        (put("200", "dataset_seed", "cifar10", value=[]), r"the seeds of cifar10 are \[\]"),
        (put("200", "dataset_seed", "cifar10", value=[1]), r"all_results has no \('cifar10', 1\)"),
        (put(*RUN, "epochs", value=90), "cifar100 was trained for 90 epochs, not 200"),
        (put(*RUN, "eval_acc1es", "x-test@199", value=...), "eval_acc1es has no 'x-test@199', only ori-test@0,"),
        (put(*RUN, "eval_acc1es", "x-test@199", value="70"), "x-test@199 is '70', not a number"),
        (put(*RUN, "eval_acc1es", "x-test@199", value=700.0), "accuracies are in percent"),
        (put(*RUN, "eval_acc1es", "x-test@199", value=float("nan")), "accuracies are in percent"),
        (put("200", "all_results", ("cifar10-valid", 777), "train_times", value=[1]), "holds a list, not seconds"),
    ],
)
def test_other_contents_are_refused(nats: Path, edit: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TableError, match=rf"000011\.pickle\.pbz2.*{message}"):
        PARTIAL.read(change(nats, edit), progress=False)


def test_files_of_the_size_space_are_refused(nats: Path) -> None:
    (nats / "000011.pickle.pbz2").rename(nats / "032767.pickle.pbz2")
    with pytest.raises(TableError, match=r"032767\.pickle\.pbz2.*architecture 32767; give NATS-tss"):
        PARTIAL.read(nats, progress=False)


def test_only_the_trained_epochs_can_be_asked(nats: Path, refused: Callable[..., str]) -> None:
    with pytest.raises(ConfigurationError, match=r"importer\.epochs=90"):
        NATSBench(epochs=90)
    assert "importer.epochs=90" in refused(f"path={nats}", "importer.epochs=90")


@pytest.mark.data
def test_columns_are_those_of_the_shared_table(nats: Path, shared_data: Path) -> None:
    table = PARTIAL.read(nats, progress=False)
    assert table.column_names == pq.read_schema(shared_data / "nasbench201_accuracy.parquet").names


def test_counts_that_seeds_disagree_on_are_those_of_the_string() -> None:
    """As in the official entries of 200 epochs (NATS-Bench's issue 36): never a mean, which no network has."""
    name = next(n for n in NASBench201().enumerate() if n.count("nor_conv_3x3") == 3 and "nor_conv_1x1" not in n)
    one = {
        "epochs": 200,
        "train_times": None,
        "eval_acc1es": {f"{s}@199": 90.0 for s in ("x-valid", "x-test", "ori-test")},
    }
    costs = {777: (0.802426, 113.95), 888: (0.316346, 50.0), 999: (0.802426, 113.95)}
    runs = {
        "arch_str": name,
        "dataset_seed": {entry: list(costs) for entry in ENTRIES},
        "all_results": {(e, s): {**one, "params": p, "flop": f} for e in ENTRIES for s, (p, f) in costs.items()},
    }
    row = dict(zip(COLUMNS, _row(runs, 200, "file", "download it again"), strict=True))
    assert (row["params_m"], row["flops_m"]) == (0.802426, 113.95)
    runs["arch_str"] = NASBench201().enumerate()[0]
    with pytest.raises(TableError, match=r"0\.316346.*0\.802426.*string has .* million parameters; download it again"):
        _row(runs, 200, "file", "download it again")
