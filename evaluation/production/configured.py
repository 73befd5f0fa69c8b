"""Build the protocol of a configuration, in the main process and in worker processes."""

import json
from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from evaluation.attacks.configured import build_attacks
from evaluation.corruptions import CORRUPTIONS, CorruptedImages, read_frost
from evaluation.production.protocol import Corruptions, Protocol, Sensitivities
from evaluation.training.configured import build_recipe
from evaluation.training.sgd import Recipe


def build_protocol(cfg: DictConfig) -> Protocol:
    """The protocol of a configuration composed from ``conf/protocol``."""
    return Protocol(
        images=instantiate(cfg.dataset),
        channels=cfg.network.channels,
        cells_per_stage=cfg.network.cells_per_stage,
        recipe=_recipe(cfg),
        attacks=build_attacks(cfg.get("attack")),
        attack_images=dict(cfg.attack_images or {}),
        corruptions=_corruptions(cfg.corruption),
        sensitivities=Sensitivities(**cfg.sensitivity) if cfg.sensitivity.num_images else None,
        group_size=cfg.group_size,
        group_seed=cfg.group_seed,
        mode=cfg.mode,
        precision=cfg.precision,
        name=cfg.name,
        calibration=cfg.get("calibration", False),
        networks=cfg.get("networks"),
    )


def _recipe(cfg: DictConfig) -> Recipe:
    recipe = build_recipe(cfg)
    if not isinstance(recipe, Recipe):
        raise ConfigurationError(f"a {type(recipe).__name__} is for evaluation.train_network; give recipe=sgd")
    return recipe


def _corruptions(cfg: DictConfig) -> Corruptions | None:
    names = CORRUPTIONS if cfg.names == "all" else cfg.names
    if not names:
        if cfg.path or cfg.frost:
            raise ConfigurationError(f"corruption.path={cfg.path}, frost={cfg.frost}: give corruption.names, e.g. all")
        return None
    return Corruptions(
        tuple(names),
        cfg.num_images,
        cfg.seed,
        tuple(cfg.splits),
        read_frost(Path(cfg.frost)) if cfg.frost else None,
        CorruptedImages(Path(cfg.path)) if cfg.path else None,
    )


@dataclass(frozen=True)
class FromConfig:
    """Source of the protocol for a worker process, which reads the images itself.

    Attributes:
        text: the configuration as JSON.
    """

    text: str

    def __call__(self) -> Protocol:
        """The protocol."""
        cfg = OmegaConf.create(json.loads(self.text))
        assert isinstance(cfg, DictConfig)
        return build_protocol(cfg)
