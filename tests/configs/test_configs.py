"""Every yaml under ``conf`` can be used."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from agnet.paths import CONF_DIR

SHARED = {"hydra_quiet"}
"""Parts of every root that are no command."""

MODULES = {"search.run": "search", "search.pretrain": "pretrain", "evaluation.run": "evaluate"}
"""Commands and their roots."""

ROOTS = sorted(p.stem for p in CONF_DIR.glob("*.yaml") if p.stem not in SHARED)
EXPERIMENTS = sorted((CONF_DIR / "experiment").glob("*.yaml"))
OPTIONS = sorted(p for p in CONF_DIR.glob("*/*.yaml") if p.parent.name not in ("experiment", "local"))


def composed(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose(root, overrides=list(overrides))


def targets(node: Any) -> Iterator[str]:
    """All ``_target_`` below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield value
            else:
                yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def command(path: Path) -> list[str]:
    """The command in the first comment of a yaml (Hydra's own header must come before it)."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# python -m "), f"{path.name}: the first line is {lines[0]!r}, not its command"
    return shlex.split(lines[0].removeprefix("# python -m "))


def plain(cfg: DictConfig) -> Any:
    return OmegaConf.to_container(cfg, resolve=True)


def test_every_root_is_a_command() -> None:
    assert set(ROOTS) <= set(MODULES.values())


@pytest.mark.parametrize("root", ROOTS)
def test_roots_compose(root: str) -> None:
    assert MODULES[command(CONF_DIR / f"{root}.yaml")[0]] == root
    for target in targets(plain(composed(root))):
        get_object(target)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_experiments_compose_with_their_command(path: Path) -> None:
    module, *overrides = command(path)
    assert f"experiment={path.stem}" in overrides
    config = plain(composed(MODULES[module], *overrides))
    for target in targets(config):
        get_object(target)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_options_say_what_they_are_and_name_what_exists(path: Path) -> None:
    assert path.read_text().startswith("# ")
    found = list(targets(plain(OmegaConf.create(OmegaConf.load(path)))))
    assert found
    for target in found:
        assert callable(get_object(target))


@pytest.mark.parametrize("path", [p for p in OPTIONS if p.parent.name in ("space", "optimizer", "objective", "logger")])
def test_options_of_a_search_compose(path: Path) -> None:
    group, name = path.parent.name, path.stem
    config = composed("search", f"{group}={name}")
    assert config[group]._target_ == OmegaConf.load(path)._target_


@pytest.mark.parametrize("name", ["nb201_cifar10", "nb201_cifar100", "nb201_imagenet16"])
def test_benchmark_experiments_search_validation_and_report_test(name: str) -> None:
    config = composed("search", f"experiment={name}", "data_root=there")
    dataset = name.removeprefix("nb201_")
    assert config.objective.tables == ["there/nasbench201_accuracy.parquet"]
    assert config.objective.maximize == [f"{dataset}_valid"]
    assert config.objective.report == [f"{dataset}_test"]
    assert config.budget == 192


def test_the_default_job_is_the_quickstart() -> None:
    assert composed("search") == composed("search", "experiment=quickstart")


@pytest.mark.parametrize("path", [*CONF_DIR.rglob("*.yaml")], ids=lambda p: p.stem)
def test_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text()
    assert not [part for part in ("/home/", "/work/", "/tmp/", "/root/", "/Users/") if part in text]
