"""Build recipes from a configuration, whose radii (``eps_255``) are in units of 1/255."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from evaluation.training.adversarial import AbstractAdversary


def build_recipe(cfg: DictConfig) -> Any:
    """The recipe of ``cfg.recipe``, of whatever class, with the method of ``cfg.adversarial``."""
    return instantiate(cfg.recipe, _partial_=True)(adversarial=build_adversary(cfg.get("adversarial")))


def build_adversary(settings: DictConfig | None) -> AbstractAdversary | None:
    """The method of adversarial training that a configuration of the group ``adversarial`` names; None for none.

    Raises:
        ConfigurationError: if the radius is no number, or is given as ``eps``, which is in pixels.
    """
    if not settings:
        return None
    plain: Any = OmegaConf.to_container(settings, resolve=True)
    if "eps" in plain:
        raise ConfigurationError(
            f"adversarial.eps={plain['eps']}: give the radius as adversarial.eps_255, in units of 1/255"
        )
    eps_255 = plain.pop("eps_255", None)
    if type(eps_255) not in (int, float):
        raise ConfigurationError(f"adversarial.eps_255={eps_255}; give a number, e.g. 8 for 8/255")
    return instantiate(plain, eps=eps_255 / 255)
