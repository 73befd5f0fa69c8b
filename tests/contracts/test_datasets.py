"""What every image set in ``conf/dataset`` and every recipe in ``conf/recipe`` must keep."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from agnet.errors import ConfigurationError
from agnet.runtime.paths import CONF_DIR, ROOT
from evaluation.data.images import ImageSplits
from evaluation.training.final_recipe import FinalRecipe
from evaluation.training.sgd import Recipe

DATASETS = sorted(p.stem for p in (CONF_DIR / "dataset").glob("*.yaml"))


OWN = {"image_folder": "", "npz": "images.npz"}
"""Image sets of the user's own, whose path has no default: where the test puts one."""


def composed(*overrides: str) -> DictConfig:
    """``conf/run.yaml`` with overrides."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose("run", overrides=list(overrides))


@pytest.mark.parametrize("name", DATASETS)
def test_the_yaml_is_the_signature(name: str) -> None:
    """Every argument is listed, with the loader's own default."""
    options = OmegaConf.to_container(composed(f"dataset={name}", "data_root=DATA").dataset, resolve=True)
    assert isinstance(options, dict)
    parameters = inspect.signature(get_method(options.pop("_target_"))).parameters
    assert list(options) == list(parameters)
    defaults = {key: p.default for key, p in parameters.items() if p.default is not inspect.Parameter.empty}
    assert {key: value for key, value in options.items() if key in defaults} == defaults


@pytest.mark.parametrize("name", DATASETS)
def test_absent_files_are_named(name: str, tmp_path: Path) -> None:
    config = composed(f"dataset={name}", f"data_root={tmp_path}").dataset
    if "path" not in config:
        pytest.skip("bundled")
    if OmegaConf.is_missing(config, "path"):
        config.path = str(tmp_path / "absent")
    with pytest.raises(InstantiationException, match=str(tmp_path)) as caught:
        instantiate(config)
    assert isinstance(caught.value.__cause__, ConfigurationError)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in DATASETS if name not in OWN])
def test_splits(name: str) -> None:
    config = composed(f"dataset={name}", f"data_root={ROOT.parent / 'shared' / 'data'}").dataset
    try:
        splits = instantiate(config)
    except InstantiationException as error:
        if not isinstance(error.__cause__, ConfigurationError):
            raise
        pytest.skip(str(error.__cause__))
    check(splits, name)


@pytest.mark.parametrize("name", OWN)
def test_splits_of_own_images(name: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(30, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(30) % 3)
    for i, image in enumerate(images):
        folder = tmp_path / "abc"[i % 3]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    check(
        instantiate(composed(f"dataset={name}", f"dataset.path={tmp_path / OWN[name]}", "dataset.name=my").dataset),
        "my",
    )


def check(splits: object, name: str) -> None:
    """Labels, shapes and names; the loaders decide the rest."""
    assert isinstance(splits, ImageSplits)
    assert splits.name == name
    for part in (splits.train, splits.valid, splits.test):
        assert len(part) > 0
        assert part.size == splits.image_size
        assert part.labels.bincount().shape == (splits.num_classes,)
        assert int(part.labels.bincount().min()) > 0
        pixels, _ = part.batch(slice(0, 100))
        assert 0 <= float(pixels.min()) < float(pixels.max()) <= 1


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF_DIR / "recipe").glob("*.yaml")))
def test_recipes_name_every_setting(name: str) -> None:
    config = composed(f"recipe={name}").recipe
    recipe = instantiate(config)
    assert isinstance(recipe, FinalRecipe if name.startswith("final_") else Recipe)
    assert {key for key in config if key != "_target_"} == set(vars(recipe)) - {"adversarial"}  # a group of its own


def test_the_benchmarks_recipe() -> None:
    assert instantiate(composed("recipe=nasbench201").recipe) == Recipe(200, 256, 0.1, 0.9, 5e-4, True, 4, "epoch")
