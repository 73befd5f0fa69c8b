import json
from pathlib import Path

import pytest
import torch

from agnet.errors import CheckpointMismatch
from agnet.generator.checkpoints import MANIFEST, load_generator, read_manifest, save_generator, verify
from agnet.generator.model import GraphGenerator
from agnet.runtime.digests import of_file
from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.spaces.nasbench201 import NASBench201


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "generator_nasbench201.safetensors"
    save_generator(path, GraphGenerator(7, 8, state=8, latent_size=4), {"command": "made by a test", "seed": 3})
    return path


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    model = GraphGenerator(7, 8, state=8, latent_size=4, layers=1)
    path = tmp_path / "g.safetensors"
    save_generator(path, model, {"seed": 3})
    again, entry = load_generator(NASBench201(), path)
    assert again.settings() == model.settings()
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    assert entry["seed"] == 3
    assert entry["sha256"] == of_file(path)
    assert entry["bytes"] == path.stat().st_size


def test_manifest_keeps_other_entries(saved: Path) -> None:
    save_generator(saved.parent / "another.safetensors", GraphGenerator(7, 8, state=4, latent_size=4), {})
    assert set(read_manifest(saved.parent)) == {saved.name, "another.safetensors"}


def test_a_changed_byte_is_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointMismatch, match="made by a test"):
        load_generator(NASBench201(), saved)


def test_missing_file_entry_or_manifest_are_named(saved: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"search\.pretrain"):
        verify(saved.parent / "absent.safetensors")
    manifest = saved.parent / MANIFEST
    manifest.write_text("{}")
    with pytest.raises(CheckpointMismatch, match="no entry"):
        verify(saved)
    manifest.write_text("{")
    with pytest.raises(CheckpointMismatch, match="no JSON"):
        verify(saved)


@pytest.mark.parametrize("change", [{"num_types": 5}, {"state": 16}, {"depth": 3}])
def test_a_manifest_that_describes_another_model_is_refused(saved: Path, change: dict[str, int]) -> None:
    manifest = read_manifest(saved.parent)
    manifest[saved.name]["model"].update(change)
    (saved.parent / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointMismatch, match=str(saved)) as caught:
        load_generator(NASBench201(), saved)
    assert "\n" not in str(caught.value), "torch names every tensor in a line of its own"


@pytest.mark.parametrize("name", sorted(read_manifest(CHECKPOINT_DIR)))
def test_every_shipped_file_matches_its_manifest(name: str) -> None:
    entry = verify(CHECKPOINT_DIR / name)
    assert entry["command"].startswith("python -m ")
    assert "+changes" not in entry["revision"]


def test_every_shipped_file_has_an_entry() -> None:
    files = {path.name for path in CHECKPOINT_DIR.iterdir()} - {MANIFEST}
    assert files == set(read_manifest(CHECKPOINT_DIR))
