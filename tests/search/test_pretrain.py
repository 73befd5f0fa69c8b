import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agnet.errors import AGNetError, CheckpointMismatch, ConfigurationError
from agnet.generator.checkpoints import load_generator
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from search import pretrain as command
from search.pretrain import run

SMALL = (
    "generator.state=8",
    "generator.latent_size=4",
    "schedule.steps=3",
    "schedule.batch_size=8",
    "draws=20",
    "seed=4",
)


def pretrain(out: Path, *overrides: str) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("pretrain", overrides=[*SMALL, f"out={out}", "progress=false", *overrides])
    run(cfg)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one generator. Tests work on copies."""
    out = tmp_path_factory.mktemp("pretrained") / "a"
    pretrain(out)
    return out


def test_a_pretrained_generator_is_loadable_reproducible_and_accounted_for(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(tmp_path / "b")
    assert "validity" in capsys.readouterr().out
    name = "generator_nasbench201.safetensors"
    model, entry = load_generator(NASBench201(), pretrained / name)
    assert model.settings()["state"] == 8
    assert entry["seed"] == 4
    assert entry["command"].startswith("python -m search.pretrain")
    assert {"validity", "uniqueness", "latent_information_max", "loss"} <= entry["metrics"].keys()
    assert load_generator(NASBench201(), tmp_path / "b" / name)[1]["sha256"] == entry["sha256"]


def test_other_pairings_have_files_of_their_own(pretrained: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(pretrained, tmp_path / "out"))
    pretrain(out, "pairing=noise")
    assert {p.name for p in out.glob("*.safetensors")} == {
        "generator_nasbench201.safetensors",
        "generator_nasbench201_noise.safetensors",
    }
    entry = load_generator(NASBench201(), out / "generator_nasbench201_noise.safetensors")[1]
    assert entry["pairing"]["_target_"].endswith("FreshNoise")


@pytest.mark.parametrize(
    "override",
    [
        *("schedule.steps=0", "schedule.learning_rate=0.0", "generator.state=7"),
        *("space=darts", "seed=-1", "seed=often", "threads=0", "draws=0"),
    ],
)
def test_bad_settings_are_named_and_leave_nothing(override: str, tmp_path: Path) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Hydra wraps what a constructor raises
        pretrain(tmp_path / "x", override)
    chain = [caught.value, caught.value.__cause__]
    assert any(isinstance(error, AGNetError) and override.split("=")[1] in str(error) for error in chain)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_used_costs_no_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "pretrain", lambda *args, **kwargs: pytest.fail("minutes for nothing"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="this is no folder; choose another path"):
        pretrain(tmp_path / "file")
    (tmp_path / "MANIFEST.json").write_text("{")
    with pytest.raises(CheckpointMismatch, match="no JSON"):
        pretrain(tmp_path)
