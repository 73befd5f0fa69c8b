"""Small files in the formats that the benchmarks' authors published, built by hand."""

import bz2
import functools
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench201 import NASBench201
from search.import_table import main

SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
NAMES = NASBench201().enumerate()
CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}


class Command:
    """A pickle that runs a shell command where an unpickler lets it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def accuracy(index: int, entry: str, split: str, seed: int, epoch: int) -> float:
    """Made up and different for everything that a reader may mix up, in percent."""
    place = list(SETS).index(entry) * 3 + SETS[entry].index(split)
    return 5.0 * place + 0.01 * epoch + 0.001 * (seed - 777) + 0.0001 * index


def result(index: int, entry: str, seed: int, epochs: int) -> dict[str, Any]:
    """``ResultsCount.state_dict()`` of one training."""
    every = {
        f"{split}@{epoch}": accuracy(index, entry, split, seed, epoch)
        for split in SETS[entry]
        for epoch in range(epochs)
    }
    return {
        "name": entry,
        "net_state_dict": None,
        "train_acc1es": dict.fromkeys(range(epochs), 99.5),
        "train_acc5es": dict.fromkeys(range(epochs), 99.9),
        "train_losses": dict.fromkeys(range(epochs), 0.5),
        "train_times": OrderedDict((epoch, 2.0 if entry == "cifar10-valid" else 4.0) for epoch in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "class_num": CLASSES[entry]},
        "params": np.float64(0.1 + CLASSES[entry] / 1000),  # as numpy left it in the published files
        "flop": 15.0 + CLASSES[entry] / 1000,
        "seed": seed,
        "epochs": epochs,
        "latency": [0.01],
        "eval_names": list(SETS[entry]),
        "eval_acc1es": every,
        "eval_times": dict.fromkeys(every, 1.0),
        "eval_losses": dict.fromkeys(every, 0.7),
    }


@functools.cache
def pickled_runs(index: int, epochs: int) -> bytes:
    dataset_seed = {entry: [777, 888] if entry == "cifar10" else [777, 888, 999] for entry in SETS}
    content = {
        "arch_index": index,
        "arch_str": NAMES[index],
        "all_results": {(e, s): result(index, e, s, epochs) for e, used in dataset_seed.items() for s in used},
        "dataset_seed": dataset_seed,
        "clear_net_done": True,
    }
    return pickle.dumps(content)


def architecture_runs(index: int, epochs: int) -> dict[str, Any]:
    """``ArchResults.state_dict()``; CIFAR-10 without the last seed."""
    return pickle.loads(pickled_runs(index, epochs))


def as_compressed(content: Any) -> bytes:
    """A bz2-compressed pickle of protocol 4, as NATS-Bench writes them."""
    return bz2.compress(pickle.dumps(content, protocol=4))


@functools.cache
def nats_file(index: int) -> bytes:
    """Both trainings of one architecture."""
    return as_compressed(OrderedDict({str(epochs): architecture_runs(index, epochs) for epochs in (12, 200)}))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture
def runs_of() -> Callable[..., dict[str, Any]]:
    return architecture_runs


@pytest.fixture
def expected_accuracy() -> Callable[..., float]:
    return accuracy


@pytest.fixture
def malicious(tmp_path: Path) -> Any:
    """An object whose pickle creates the file ``trace``, where it is let; the test fails if the file is there."""
    trace = tmp_path / "trace"
    yield Command(f"touch {trace}")
    assert not trace.exists(), "the pickle's code has run"


@pytest.fixture
def nats(tmp_path: Path) -> Path:
    """The folder with three of its 15,625 architectures, as the authors' own test data has it."""
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    for index in (0, 11, 284):
        (folder / f"{index:06d}.pickle.pbz2").write_bytes(nats_file(index))
    meta = {"meta_archs": list(NAMES), "total_archs": 15625, "arch2infos": None, "evaluated_indexes": set()}
    (folder / "meta.pickle.pbz2").write_bytes(as_compressed(meta))
    return folder


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run the command; the table's path."""

    def called(*overrides: str) -> Path:
        out = tmp_path / "tables" / "table.parquet"
        monkeypatch.setattr(sys, "argv", ["search/import_table.py", f"out={out}", *overrides])
        main()
        return out

    return called


@pytest.fixture
def refused(call: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command, which refuses with status 2 and writes nothing; what it says."""

    def refused_call(*overrides: str) -> str:
        with pytest.raises(SystemExit) as stop:
            call(*overrides)
        assert stop.value.code == 2
        assert not (tmp_path / "tables").exists()
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return said

    return refused_call
