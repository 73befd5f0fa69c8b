"""What every method of adversarial training in ``conf/adversarial`` must keep."""

import json
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from agnet.runtime.paths import CONF_DIR
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import NetworkShape
from evaluation.networks.stacked import NetworkStack
from evaluation.randomness import keys
from evaluation.schema import RunConfig, TrainNetworkConfig
from evaluation.training.adversarial import AbstractAdversary
from evaluation.training.configured import build_recipe
from evaluation.training.subject import shown, under_attack

NAMES = sorted(path.stem for path in (CONF_DIR / "adversarial").glob("*.yaml"))
METHODS = [name for name in NAMES if name != "none"]
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"
SHAPE = NetworkShape(num_classes=4, in_channels=2, channels=2, cells_per_stage=1, mean=0.5, std=0.25)


def composed(*overrides: str, root: str = "run") -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose(root, overrides=["out=there", *overrides])


@pytest.fixture(params=METHODS)
def adversary(request: pytest.FixtureRequest) -> AbstractAdversary:
    return build_recipe(composed(f"adversarial={request.param}")).adversarial


@pytest.mark.parametrize("name", NAMES)
def test_it_composes_with_either_command(name: str) -> None:
    for root, schema, more in (("run", RunConfig, []), ("train_network", TrainNetworkConfig, ["architecture=pdarts"])):
        config = composed(f"adversarial={name}", *more, root=root)
        schema.check(OmegaConf.to_container(config, resolve=True))
        found = build_recipe(config).adversarial
        assert (found is None) == (name == "none")


def test_what_it_is_is_plain_values_in_units_of_255(adversary: AbstractAdversary) -> None:
    described = json.loads(json.dumps(adversary.describe()))
    assert described["method"] == type(adversary).__name__
    assert described["eps"] == 8
    assert adversary.eps == 8 / 255
    assert {"relative_step", "batch_norm", "warmup_epochs"} <= set(described)


def test_points_are_images_near_the_image_that_raise_the_loss(adversary: AbstractAdversary) -> None:
    """The same from the seed; TRADES' and projected methods' lie in the ball, noisy ones within what they announce."""
    rng = torch.Generator().manual_seed(0)
    pixels, labels = torch.rand(12, 2, 8, 8, generator=rng), torch.randint(4, (12,), generator=rng)
    key = keys(0, "adversarial", torch.arange(12))
    for network in (NetworkStack([CELL, CELL], SHAPE, seed=0), FusedNetwork(CELL, SHAPE, seed=0)):
        inputs, wanted = shown(network, pixels, labels)
        with under_attack(network, adversary.batch_norm) as ask:
            points, again = (adversary.perturb(ask, inputs, wanted, key) for _ in range(2))
            clean = ask(inputs).detach()
            before, after = (adversary.attack_loss(ask(x), wanted, clean) for x in (inputs, points))
        assert torch.equal(points, again)
        assert points.shape == inputs.shape
        assert float(points.min()) >= 0
        assert float(points.max()) <= 1
        reach = 1.0 + getattr(adversary, "noise", 0.0)
        assert 0.5 * adversary.eps < float((points - inputs).abs().max()) <= reach * adversary.eps + 1e-6
        assert float(after) > float(before)
        if isinstance(network, NetworkStack):
            assert torch.equal(points[:, 0], points[:, 1]), "equal networks, equal points"


def refused(*overrides: str) -> str:
    """What the command would say."""
    config = composed(*overrides)

    def command() -> None:
        RunConfig.check(OmegaConf.to_container(config, resolve=True))
        build_recipe(config)

    with pytest.raises((ConfigurationError, InstantiationException)) as caught:
        command()
    error = caught.value if isinstance(caught.value, ConfigurationError) else caught.value.__cause__
    assert isinstance(error, ConfigurationError)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_radius_is_refused(name: str) -> None:
    assert "adversarial.eps_255=0; give a radius above 0" in refused(f"adversarial={name}", "adversarial.eps_255=0")
    assert "adversarial.eps_255=256" in refused(f"adversarial={name}", "adversarial.eps_255=256")
    assert "adversarial.eps_255=[8]" in refused(f"adversarial={name}", "adversarial.eps_255=[8]").replace(" ", "")
    assert "give the radius as adversarial.eps_255" in refused(f"adversarial={name}", "+adversarial.eps=8")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["adversarial=pgd", "adversarial.steps=0"], "adversarial.steps=0"),
        (["adversarial=trades", "adversarial.beta=-1"], "adversarial.beta=-1"),
        (["adversarial=pgd", "adversarial.relative_step=0"], "adversarial.relative_step=0"),
        (["adversarial=pgd", "adversarial.batch_norm=off"], "adversarial.batch_norm=off; give eval or train"),
        (["adversarial=fgsm_rs", "adversarial.warmup_epochs=9"], "adversarial.warmup_epochs=9 of recipe.epochs=5"),
        (["adversarial=fgsm_rs", "+adversarial.steps=3"], "no key adversarial.steps"),
        (["recipe.select=best_robust"], "recipe.select=best_robust without adversarial training"),
        (["adversarial=pgd", "recipe.select=best"], "recipe.select=best: give last or best_robust"),
    ],
)
def test_what_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    assert said in refused(*overrides)


def test_the_recipe_of_the_benchmark_brings_its_method() -> None:
    """Another one on the command line wins."""
    recipe: Any = build_recipe(composed("recipe=nas_robbench"))
    assert recipe.describe() == {
        "epochs": 50,
        "batch_size": 256,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "flip": True,
        "crop_padding": 4,
        "anneal": "step",
        "precision": "float32",
        "nesterov": False,
        "schedule": "one_cycle",
        "adversarial": {
            "method": "PGDTraining",
            "eps": 8,
            "relative_step": 0.25,
            "batch_norm": "eval",
            "warmup_epochs": 0,
            "steps": 7,
            "random_start": True,
        },
    }
    other: Any = build_recipe(composed("recipe=nas_robbench", "adversarial=trades"))
    assert type(other.adversarial).__name__ == "TRADES"
    assert build_recipe(composed("recipe=nas_robbench", "adversarial=none")).adversarial is None
