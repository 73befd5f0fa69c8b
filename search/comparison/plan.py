"""The plan of a comparison: problems, optimizers, seeds, and one run for each combination."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from agnet.errors import ConfigurationError
from agnet.runtime.command import in_words, unknown_choice
from agnet.runtime.paths import CONF_DIR
from search.run_directory import comparison_keys

RUNS_FOLDER = "runs"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        problem: label of the problem.
        optimizer: label of the optimizer.
        seed: seed of the run.
        config: configuration composed from ``conf/search.yaml``, not yet resolved.
        folder: folder of the run.
    """

    problem: str
    optimizer: str
    seed: int
    config: Mapping[str, Any]
    folder: Path

    def __str__(self) -> str:
        return f"{self.problem}, {self.optimizer}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of a comparison.

    Attributes:
        problems: configuration of each problem's first optimizer, by label.
        optimizers: labels in the order of the tables.
        seeds: seeds of every problem and optimizer.
        cells: all runs, seed by seed, so that an interrupted comparison has a few seeds of everything.
    """

    problems: Mapping[str, Mapping[str, Any]]
    optimizers: Sequence[str]
    seeds: Sequence[int]
    cells: Sequence[PlannedRun]


def make_plan(settings: Mapping[str, Any], overrides: Sequence[str], *, default_problem: str, out: Path) -> Plan:
    """Compose the configuration of every run.

    Args:
        settings: the keys of ``conf/compare.yaml``.
        overrides: the user's settings for all runs, in Hydra's notation.
        default_problem: label of the problem if no ``problems`` are named.
        out: folder of the comparison.

    Raises:
        ConfigurationError: for an unknown optimizer or a label that is used twice.
    """
    optimizers, problems = _variants(settings["optimizers"], "optimizers"), _problems(settings, default_problem)
    seeds = range(settings["first_seed"], settings["first_seed"] + settings["seeds"])
    if seeds[-1] >= 2**31:
        raise ConfigurationError(
            f"first_seed={settings['first_seed']}, seeds={settings['seeds']}: the last seed is {seeds[-1]}; give a "
            "smaller first_seed"
        )
    shared = [
        o
        for o in overrides
        if _key(o) not in {*comparison_keys(), "seed", "run_dir"} and o.partition("=")[0] != "optimizer"
    ]
    configs: dict[tuple[str, str], dict[str, Any]] = {}
    with _composing():
        for problem, changes in problems.items():
            for optimizer, choices in optimizers.items():
                configs[problem, optimizer] = _compose([*shared, *changes, *choices], group=default_problem)
    cells = [
        PlannedRun(
            problem,
            optimizer,
            seed,
            {**config, "seed": seed, "run_dir": None},
            out / RUNS_FOLDER / slug(problem) / slug(optimizer) / f"seed{seed}",
        )
        for seed in seeds
        for (problem, optimizer), config in configs.items()
    ]
    first = next(iter(optimizers))
    return Plan({problem: configs[problem, first] for problem in problems}, list(optimizers), seeds, cells)


def slug(label: str) -> str:
    """A label as a file name.

    Example:
        >>> slug("edgegpu <= 4 ms, joint")
        'edgegpu_4_ms_joint'
    """
    return re.sub(r"[^\w.+-]*[^\w.=+-][^\w.+-]*", "_", label).strip("_.") or "_"


def _composing() -> AbstractContextManager[object]:
    """A context in which Hydra can compose; within a command it is initialised already."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR))


def _compose(overrides: list[str], *, group: str) -> dict[str, Any]:
    from search.schema import SearchConfig

    try:
        composed = compose("search", overrides=overrides)
    except Exception as error:  # Hydra raises many kinds for a group without a choice
        raise ConfigurationError(unknown_choice(overrides) or in_words(error)) from error
    config = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(config, dict)
    resolved = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(resolved, dict)
    SearchConfig.check({key: value for key, value in resolved.items() if key not in comparison_keys()})
    # the comparison shows its own progress and draws its own figures
    config |= {"progress": False, "plot": False}
    if config["logger"].get("group", "") is None:
        config["logger"]["group"] = group
    return {str(key): value for key, value in config.items() if key not in comparison_keys()}


def _variants(listed: Any, name: str) -> dict[str, list[str]]:
    """Overrides by label: ``agnet`` is the choice of that name, ``{greedy: [optimizer=agnet, ...]}`` is a variant."""
    remedy = f"write {name}=[agnet,random_search], or a variant as {{label: ['optimizer=agnet', 'KEY=VALUE']}}"
    if isinstance(listed, str) or not listed or not isinstance(listed, Sequence):
        raise ConfigurationError(f"{name}={listed} names nothing to compare; {remedy}")
    variants: dict[str, list[str]] = {}
    for item in listed:
        if isinstance(item, str):
            label, overrides = item, [f"optimizer={item}"]
        elif isinstance(item, Mapping) and len(item) == 1 and all(isinstance(v, list) for v in item.values()):
            [(label, overrides)] = item.items()
        else:
            raise ConfigurationError(f"{name}: {item} is neither a name nor a variant; {remedy}")
        if slug(str(label)) in map(slug, variants):
            raise ConfigurationError(f"{name}: {label} stands there twice (or shares its folder's name); rename one")
        variants[str(label)] = [str(override) for override in overrides]
    return variants


def _problems(settings: Mapping[str, Any], default: str) -> dict[str, list[str]]:
    problems, only = settings["problems"], settings["only"]
    if problems is None:
        problems = {default: []}
    if not isinstance(problems, Mapping) or not all(isinstance(changes, list) for changes in problems.values()):
        raise ConfigurationError(f"problems={problems} must map labels to lists of overrides, or be null")
    variants = _variants([{label: changes} for label, changes in problems.items()], "problems")
    unknown = [label for label in only or [] if label not in variants]
    if unknown or isinstance(only, str):
        raise ConfigurationError(f"only={only}: choose from [{', '.join(variants)}]")
    return {label: changes for label, changes in variants.items() if only is None or label in only}


def _key(override: str) -> str:
    parsed = OverridesParser.create().parse_override(override)
    return str(parsed.key_or_group).lstrip("+~").partition(".")[0]
