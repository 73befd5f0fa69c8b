"""Names of earlier revisions: configurations and commands that bear them are read as if written today.

A run folder keeps the configuration it was started with, and has to resume when a class moves or a key is renamed. So
:func:`current` translates what it holds, and :func:`current_override` what a user types.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

_TARGETS = {
    "agnet.acquisition.Chance": "agnet.RandomAcquisition",
    "agnet.engines.InlineEngine": "agnet.InlineExecutor",
    "agnet.engines.LocalEngine": "agnet.LocalExecutor",
    "agnet.engines.SlurmEngine": "agnet.SlurmExecutor",
    "agnet.fine_tuning.FineTuning": "agnet.GeneratorRetraining",
    "agnet.generator.pairing.Address": "agnet.WhitenedProjection",
    "agnet.in_turn.InTurn": "agnet.CellByCell",
    "agnet.weighted_retraining.Retraining": "agnet.PublishedRetraining",
    "search.objectives.nasbench301.surrogate_objective": "search.nasbench301_objective",
    "search.objectives.nasbench301_official.official_objective": "search.nasbench301_official_objective",
    "search.objectives.nasbench_nlp.surrogate_objective": "search.nasbench_nlp_objective",
}
"""Import paths whose last part has changed; of all others only the place has, and the package has the name."""

_NOISE = {"least": "min_noise", "most": "max_noise"}
_KEYS = {
    "agnet.Proposal": {**_NOISE, "rounds": "refinements", "wanted": "promising"},
    "agnet.GeneratorRetraining": _NOISE,
    "agnet.WhitenedProjection": _NOISE,
    "agnet.LatentSearch": {"fine_tuning": "retraining"},
    "agnet.XGBoostSurrogate": {"rounds": "boosting_rounds"},
    "search.BoostedTrees": {"rounds": "boosting_rounds"},
    "evaluation.live_objective": {"engine": "executor"},
    **{
        f"evaluation.{attack}": {"eps": "eps_255"} for attack in ("APGD", "AutoAttack", "FABT", "FGSM", "PGD", "Square")
    },
}
"""Renamed arguments of a target."""

_LATER: dict[str, dict[str, Any]] = {
    "evaluation.Recipe": {"nesterov": True, "schedule": "cosine", "select": "last"},
    "evaluation.live_objective": {"protocol.adversarial": {}, "protocol.group_seed": None},
}
"""Arguments that a target did not have, with the values that say what was always done; a dot leads into a section."""

_OVERRIDES = {
    r"engine@objective\.engine": "executor@objective.executor",
    r"engine": "executor",
    r"objective\.engine": "objective.executor",
    r"kind": "importer",
    r"training(?=\.)": "recipe",
    r"generator\.latent": "generator.latent_size",
    r"((?:objective\.protocol\.)?attack\.\w+)\.eps": r"\1.eps_255",
    r"optimizer\.fine_tuning": "optimizer.retraining",
    r"(optimizer\.(?:proposal|retraining))\.least": r"\1.min_noise",
    r"(optimizer\.(?:proposal|retraining))\.most": r"\1.max_noise",
    r"optimizer\.proposal\.rounds": "optimizer.proposal.refinements",
    r"optimizer\.proposal\.wanted": "optimizer.proposal.promising",
}
"""Patterns of the beginnings of overrides' keys."""

_CHOICES = {
    r"pairing=address$": "pairing=whitened",
    r"training=(?=darts_)": "recipe=final_",
    r"(optimizers?=.*?)\b(agnet|local_search)_in_turn\b": r"\1\2_cell_by_cell",
}
"""Choices of groups; each pattern is replaced until it is found no more."""


def current_target(target: str) -> str:
    """The public name of what a configuration's ``_target_`` names; other names stay as they are.

    Example:
        >>> current_target("agnet.latent_search.LatentSearch"), current_target("agnet.in_turn.InTurn")
        ('agnet.LatentSearch', 'agnet.CellByCell')
        >>> current_target("torch.nn.Linear"), current_target("agnet.mine.Optimizer")
        ('torch.nn.Linear', 'agnet.mine.Optimizer')
    """
    package, _, name = target.partition(".")
    public = f"{package}.{name.rpartition('.')[2]}"
    if package not in ("agnet", "search", "evaluation") or target in _TARGETS:
        return _TARGETS.get(target, target)
    return public if public.partition(".")[2] in dir(import_module(package)) else target


def current(config: Any) -> Any:
    """A configuration with today's names.

    Args:
        config: plain dictionaries, lists and values, e.g. the content of a run's ``config.yaml``; it is not changed.

    Example:
        >>> current({"proposal": {"_target_": "agnet.proposal.Proposal", "least": 0.2}})
        {'proposal': {'_target_': 'agnet.Proposal', 'min_noise': 0.2}}
    """
    if isinstance(config, Mapping):
        translated = dict(config)
        if isinstance(target := config.get("_target_"), str):
            translated["_target_"] = current_target(target)
        target = translated.get("_target_", "")
        keys = _KEYS.get(target, {})
        translated = {keys.get(key, key): current(value) for key, value in translated.items()}
        for path, value in _LATER.get(target, {}).items():
            section, _, key = path.rpartition(".")
            holder = translated.get(section) if section else translated
            if isinstance(holder, dict):
                holder.setdefault(key, value)
        return translated
    return [current(item) for item in config] if isinstance(config, list) else config


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A generator's settings, as a manifest holds them, with today's names."""
    return {"latent_size" if key == "latent" else key: value for key, value in settings.items()}


def current_override(override: str) -> str:
    """What a user has typed, with today's names; values are left alone unless they choose what is renamed.

    Example:
        >>> current_override("engine=slurm"), current_override("attack.fgsm.eps=[8]"), current_override("out=engine=1")
        ('executor=slurm', 'attack.fgsm.eps_255=[8]', 'out=engine=1')
        >>> current_override("optimizer=agnet_in_turn"), current_override("run_dir=agnet_in_turn")
        ('optimizer=agnet_cell_by_cell', 'run_dir=agnet_in_turn')
    """
    plus, override = re.match(r"(\+*)(.*)", override, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    for old, new in _CHOICES.items():
        while override != (changed := re.sub(rf"^{old}", new, override)):
            override = changed
    key, equals, value = override.partition("=")
    for old, new in _OVERRIDES.items():
        key = re.sub(rf"^{old}(?=$|[.@])", new, key)
    value = current_target(value) if key.endswith("_target_") else value
    return plus + key + equals + value
