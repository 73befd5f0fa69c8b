"""Objects as the commands build them from ``conf``."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from agnet.runtime.paths import CONF_DIR


@cache
def composed(*overrides: str) -> DictConfig:
    """``conf/search.yaml`` with overrides."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose("search", overrides=list(overrides))


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """``build(group, name, **arguments)``: what a yaml describes."""

    def built(group: str, name: str, **arguments: Any) -> Any:
        return instantiate(composed(f"{group}={name}")[group], **arguments, _convert_="all")

    return built
