"""Every yaml under ``conf`` can be used."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from agnet.runtime.paths import CONF_DIR
from agnet.runtime.schema import Schema
from search.comparison.plan import Plan, make_plan

SHARED = {"hydra_quiet"}
"""Parts of every root that are no command."""

ROOTS = sorted(p for p in CONF_DIR.glob("*.yaml") if p.stem not in SHARED)
EXPERIMENTS = sorted((CONF_DIR / "experiment").glob("*.yaml"))
OPTIONS = sorted(p for p in CONF_DIR.glob("*/*.yaml") if p.parent.name not in ("experiment", "local"))


def command(path: Path) -> list[str]:
    """The command in the first comment of a yaml (Hydra's own header must come before it)."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# python -m "), f"{path.name}: the first line is {lines[0]!r}, not its command"
    return shlex.split(lines[0].removeprefix("# python -m "))


MODULES = {command(path)[0]: path.stem for path in ROOTS}
"""Commands and their roots."""


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


def plain(module: str, *overrides: str) -> Any:
    """A command's configuration, which has the keys of its schema and no others, and values that fit."""
    root = MODULES[module]
    config = OmegaConf.to_container(composed(root, *overrides), resolve=True)
    assert isinstance(config, dict)
    if "device" in config:
        config["device"] = "cpu"  # whatever this machine has
    schema: type[Schema] = get_object(f"{module.split('.')[0]}.schema.{root.title().replace('_', '')}Config")
    schema.check(config)
    return config


@pytest.mark.parametrize("path", ROOTS, ids=lambda p: p.stem)
def test_roots_compose_with_their_command(path: Path) -> None:
    module, *overrides = command(path)
    assert callable(get_object(f"{module}.main"))
    for target in targets(plain(module, *overrides)):
        get_object(target)


def planned(path: Path, config: dict[str, Any], overrides: list[str], **changes: Any) -> Plan:
    """All runs of a comparison, with changes to its own settings."""
    plan = make_plan({**config, **changes}, overrides, default_problem=path.stem, out=Path("there"))
    assert len(plan.cells) == len(plan.problems) * len(plan.optimizers) * config["seeds"]
    return plan


@pytest.mark.sample(16)
@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_experiments_compose_with_their_command(path: Path) -> None:
    module, *overrides = command(path)
    assert f"experiment={path.stem}" in overrides
    config = plain(module, *overrides, "data_root=there")
    if module == "search.compare":  # a single search can be asked of it too
        first = planned(path, config, overrides, optimizers=config["optimizers"][:1])
        assert set(first.problems) == set(config["problems"] or [path.stem])
        others = planned(path, config, overrides, only=list(config["problems"])[:1] if config["problems"] else None)
        assert len(others.optimizers) == len(config["optimizers"])
        composed("search", f"experiment={path.stem}")
    for target in targets(config):
        get_object(target)


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in EXPERIMENTS if command(p)[0] == "search.compare"], ids=lambda p: p.stem)
def test_every_problem_composes_with_every_optimizer(path: Path) -> None:
    module, *overrides = command(path)
    planned(path, plain(module, *overrides, "data_root=there"), overrides)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_options_say_what_they_are_and_name_what_exists(path: Path) -> None:
    assert path.read_text().startswith("# ")
    for target in targets(OmegaConf.to_container(OmegaConf.load(path))):
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


def texts(node: Any) -> Iterator[str]:
    """All strings below a node."""
    if isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("path", [*ROOTS, *EXPERIMENTS, *OPTIONS], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_no_path_of_one_machine(path: Path) -> None:
    assert not [text for text in texts(OmegaConf.to_container(OmegaConf.load(path))) if Path(text).is_absolute()]
