"""Seconds for a handful of cells: two channels, one epoch of three steps, two attacks, one corruption, one measure."""

import shutil
from pathlib import Path

import pytest

from agnet.runtime.executors import InlineExecutor
from agnet.spaces.nasbench201 import NASBench201
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.data.images import ImageSplits
from evaluation.production.merge import representatives
from evaluation.production.produce import produce
from evaluation.production.protocol import Corruptions, Protocol, Sensitivities
from evaluation.production.store import Found
from evaluation.training.sgd import Recipe


@pytest.fixture(scope="session")
def space() -> NASBench201:
    return NASBench201()


@pytest.fixture(scope="session")
def protocol(tiny: ImageSplits) -> Protocol:
    return Protocol(
        images=tiny,
        channels=2,
        cells_per_stage=1,
        recipe=Recipe(epochs=1, batch_size=32),
        attacks=[FGSM([8 / 255]), PGD([16 / 255], steps=2, relative_step=0.5)],
        attack_images={"pgd": 20},
        corruptions=Corruptions(("fog", "contrast"), num_images=10),
        sensitivities=Sensitivities(8),
        group_size=2,
    )


@pytest.fixture(scope="session")
def catalogue(space: NASBench201) -> list[str]:
    return representatives(space)


@pytest.fixture(scope="session")
def cells(catalogue: list[str]) -> list[str]:
    """Five cells: two whole groups and half of one."""
    return catalogue[:5]


@pytest.fixture(scope="session")
def finished(
    protocol: Protocol, cells: list[str], catalogue: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Found]:
    """A folder with all units of two seeds, and what is in it. Tests work on copies."""
    folder = tmp_path_factory.mktemp("finished")
    found = produce(
        protocol, cells, folder, executor=InlineExecutor(), seeds=(0, 3), catalogue=catalogue, progress=False
    )
    return folder, found


@pytest.fixture
def folder(finished: tuple[Path, Found], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "run"))
