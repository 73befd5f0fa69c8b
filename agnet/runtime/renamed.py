"""Names of earlier revisions: configurations and commands that bear them are read as if written today.

A run folder keeps the configuration it was started with. When a class moves or a key is renamed, the folder still
has to resume, so :func:`current` translates what it holds. :func:`current_override` does the same for what a user
types. Public names of ``agnet``, ``search`` and ``evaluation`` are what configurations name now; entries are added
here only when one of those changes.
"""

import re
from collections.abc import Mapping
from typing import Any

_TARGETS = {
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

_OVERRIDES = (
    (re.compile(r"^(\+*)engine(?=[=.@])"), r"\1executor"),
    (re.compile(r"@objective\.engine="), "@objective.executor="),
    (re.compile(r"^(\+*)objective\.engine\."), r"\1objective.executor."),
    (re.compile(r"^(\+*)kind(?=[=.])"), r"\1importer"),
    (re.compile(r"^pairing=address$"), "pairing=whitened"),
    (re.compile(r"^training=(?=darts_)"), "recipe=final_"),
    (re.compile(r"^(\+*)training\."), r"\1recipe."),
    (re.compile(r"^(\+*(?:objective\.protocol\.)?attack\.\w+)\.eps="), r"\1.eps_255="),
    (re.compile(r"\b(agnet|local_search)_in_turn\b"), r"\1_cell_by_cell"),
    (re.compile(r"\boptimizer\.fine_tuning\."), "optimizer.retraining."),
    (re.compile(r"\boptimizer\.(proposal|retraining)\.least\b"), r"optimizer.\1.min_noise"),
    (re.compile(r"\boptimizer\.(proposal|retraining)\.most\b"), r"optimizer.\1.max_noise"),
    (re.compile(r"\boptimizer\.proposal\.rounds\b"), "optimizer.proposal.refinements"),
    (re.compile(r"\boptimizer\.proposal\.wanted\b"), "optimizer.proposal.promising"),
)


def current_target(target: str) -> str:
    """The public name of what a configuration's ``_target_`` names.

    Example:
        >>> current_target("agnet.latent_search.LatentSearch"), current_target("agnet.in_turn.InTurn")
        ('agnet.LatentSearch', 'agnet.CellByCell')
        >>> current_target("torch.nn.Linear")
        'torch.nn.Linear'
    """
    package, _, name = target.partition(".")
    if package not in ("agnet", "search", "evaluation"):
        return target
    return _TARGETS.get(target, f"{package}.{name.rpartition('.')[2]}")


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
        keys = _KEYS.get(translated.get("_target_", ""), {})
        return {keys.get(key, key): current(value) for key, value in translated.items()}
    return [current(item) for item in config] if isinstance(config, list) else config


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A generator's settings, as a manifest holds them, with today's names."""
    return {"latent_size" if key == "latent" else key: value for key, value in settings.items()}


def current_override(override: str) -> str:
    """What a user has typed, with today's names.

    Example:
        >>> current_override("engine=slurm"), current_override("attack.fgsm.eps=[8]"), current_override("seed=1")
        ('executor=slurm', 'attack.fgsm.eps_255=[8]', 'seed=1')
    """
    for pattern, new in _OVERRIDES:
        override = pattern.sub(new, override)
    return override
