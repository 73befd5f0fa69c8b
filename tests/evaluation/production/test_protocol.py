"""A protocol as plain values, and what cannot be one."""

import dataclasses
import json
import pickle
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from agnet.errors import ConfigurationError
from agnet.runtime.paths import CONF_DIR
from agnet.tables.columns import parse_column
from evaluation.data.images import Images
from evaluation.production.configured import build_protocol
from evaluation.production.protocol import Corruptions, Protocol, Sensitivities
from evaluation.training.fgsm_rs import FGSMRS


def test_the_protocol_is_plain_values(protocol: Protocol) -> None:
    described = json.loads(json.dumps(protocol.describe()))
    assert described["attacks"]["fgsm"] == {"attack": "FGSM", "name": "fgsm", "eps": [8], "norm": "linf"}
    assert described["attacks"]["pgd"].items() >= {"eps": [16], "steps": 2, "relative_step": 0.5}.items()
    assert described["attack_images"] == {"pgd": 20}
    assert described["images"] == {"train": 96, "valid": 30, "test": 25}
    assert described["shape"]["channels"] == 2
    assert described["recipe"]["epochs"] == 1
    assert described["corruptions"].items() >= {"names": ["fog", "contrast"], "made": "here"}.items()
    assert described["sensitivities"] == {"num_images": 8, "projections": None}
    assert protocol.digest == dataclasses.replace(protocol).digest
    assert protocol.digest == pickle.loads(pickle.dumps(protocol)).digest, "workers get a copy"


def test_protocols_of_old_keep_their_digests() -> None:
    """That of the bundled table of digits; settings that came later are told only where they differ."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        protocol = build_protocol(compose("run", overrides=["experiment=digits_smoke", "out=there"]))
    names = {"epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "flip", "crop_padding", "anneal"}
    assert set(protocol.describe()["recipe"]) == {*names, "precision"}
    assert protocol.digest == "58b38d56c81e8689"


def test_adversarial_training_is_told_and_in_the_columns(protocol: Protocol) -> None:
    recipe = dataclasses.replace(
        protocol.recipe, adversarial=FGSMRS(eps=4 / 255), select="best_robust", schedule="one_cycle"
    )
    other = dataclasses.replace(protocol, recipe=recipe)
    told = json.loads(json.dumps(other.describe()))["recipe"]
    assert told["adversarial"].items() >= {"method": "FGSMRS", "eps": 4, "relative_step": 1.25}.items()
    assert (told["select"], told["schedule"]) == ("best_robust", "one_cycle")
    assert "nesterov" not in told
    assert other.digest != protocol.digest
    assert other.prefix == "tiny_at"
    for column, plain in zip(other.columns, protocol.columns, strict=True):
        assert column == plain.replace("tiny_", "tiny_at_", 1)
        if column != other.latency:
            parsed = parse_column(column)
            assert parsed is not None
            assert parsed.dataset == "tiny_at"
    with pytest.raises(ConfigurationError, match="name=tiny_at; columns begin with small letters and digits"):
        dataclasses.replace(other, name="tiny_at")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"group_size": 0}, "group_size=0"),
        ({"attack_images": {"apgd": 10}}, "attack_images: apgd: 10; give a number from 1 for one of fgsm, pgd"),
        ({"attack_images": {"pgd": 0}}, "attack_images: pgd: 0"),
        ({"name": "my_images"}, "name=my_images; columns begin with small letters and digits"),
        ({"name": ""}, "name="),
        ({"mode": "guessed"}, "mode one of published, worst_case"),
        ({"channels": 0}, "channels=0"),
    ],
)
def test_no_protocol(change: dict[str, Any], said: str, protocol: Protocol) -> None:
    with pytest.raises(ConfigurationError, match=said):
        dataclasses.replace(protocol, **change)


@pytest.mark.parametrize("size", [6, 7])
def test_networks_halve_images_twice(size: int, protocol: Protocol) -> None:
    whole = protocol.images
    train, valid, test = (Images(p.stored[..., :size, :size], p.labels) for p in (whole.train, whole.valid, whole.test))
    images = dataclasses.replace(whole, train=train, valid=valid, test=test)
    with pytest.raises(ConfigurationError, match=f"images of {size}x{size} pixels; .* use a multiple of 4"):
        dataclasses.replace(protocol, images=images)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"names": ("fog", "rain")}, r"corruption.names=\['fog', 'rain'\]; give distinct ones of gaussian_noise"),
        ({"names": ("fog", "fog")}, "distinct"),
        ({"names": ()}, "corruption.names"),
        ({"names": ("fog",), "splits": ("train",)}, "corruption.splits"),
        ({"names": ("fog",), "num_images": 0}, "corruption.num_images=0"),
    ],
)
def test_no_corruptions(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Corruptions(**settings)


@pytest.mark.parametrize("settings", [{"num_images": 0}, {"num_images": 8, "projections": 0}])
def test_no_measures(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="sensitivity"):
        Sensitivities(**settings)
