import dataclasses
from pathlib import Path

import pytest
import torch

from agnet.errors import CheckpointMismatch
from benchmarks import networks
from evaluation.data.images import Images, ImageSplits
from evaluation.training.sgd import Recipe


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ImageSplits]:
    """A network of two channels after one step, and its images."""
    images = Images(torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8), torch.arange(20) % 10)
    splits = ImageSplits("noise", 10, images, images, images, ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2)))
    monkeypatch.setattr(networks, "NETWORKS", {"tiny": (networks.POOLED, 2, 1)})
    monkeypatch.setattr(networks, "RECIPE", Recipe(epochs=1, batch_size=20))
    networks.make("tiny", splits, tmp_path)
    return tmp_path / "tiny.json", splits


def test_a_stored_network_comes_back(stored: tuple[Path, ImageSplits]) -> None:
    path, splits = stored
    network = networks.load(path)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert network.shape == dataclasses.replace(network.shape, mean=splits.mean, std=splits.std)
    assert f'"test_accuracy": {networks.accuracy(network, splits.test)}' in path.read_text()
    assert torch.equal(networks.load(path.with_suffix(".safetensors")).norm.running_var, network.norm.running_var)


def test_a_damaged_one_does_not(stored: tuple[Path, ImageSplits]) -> None:
    path, _ = stored
    path.with_suffix(".safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointMismatch, match=r"python -m benchmarks\.networks"):
        networks.load(path)
