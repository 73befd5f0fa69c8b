"""Build attacks from a configuration, whose radii (``eps_255``) are in units of 1/255."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from evaluation.attacks.base import AbstractAttack


def build_attacks(settings: Mapping[str, Any] | DictConfig | None) -> list[AbstractAttack]:
    """Build the attacks of a configuration, e.g. of the group ``attack``.

    Args:
        settings: the key in the configuration and the settings of each attack, as in ``conf/attack``.

    Raises:
        ConfigurationError: if radii are no list of numbers, or are given as ``eps``, which is in pixels.
    """
    plain = OmegaConf.to_container(OmegaConf.create(dict(settings or {})), resolve=True)
    assert isinstance(plain, dict)
    return [instantiate(in_pixels(f"attack.{name}", attack)) for name, attack in plain.items()]


def in_pixels(place: str, settings: Any) -> Any:
    """The settings of an attack and of its members with ``eps`` in pixels in place of ``eps_255``."""
    if not isinstance(settings, dict):
        return settings
    if "eps" in settings:
        raise ConfigurationError(f"{place}.eps={settings['eps']}: give radii as {place}.eps_255, in units of 1/255")
    changed = {key: value for key, value in settings.items() if key != "eps_255"}
    if "eps_255" in settings:
        values = settings["eps_255"]
        if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
            raise ConfigurationError(
                f"{place}.eps_255={values}; give a list of numbers, e.g. [4,8] for 4/255 and 8/255"
            )
        changed["eps"] = [value / 255 for value in values]
    if isinstance(members := settings.get("members"), list):
        changed["members"] = [in_pixels(f"{place}.members[{i}]", member) for i, member in enumerate(members)]
    return changed
