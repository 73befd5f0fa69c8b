"""Wrong command lines: values of the wrong kind for every key of every command, and a written list of known kinds."""

import functools
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agnet.runtime.paths import CONF_DIR
from benchmarks.reliability.frame import ACCEPTED, HUNG, REFUSED, TRACEBACK, Campaign, Case, Outcome, judge_said
from benchmarks.reliability.tiny import COMMANDS, ROOTS, SHARED, Said, call, import_all, make_inputs, placed
from benchmarks.reliability.written import WRITTEN, make_wrong_inputs

SECONDS = 20.0
"""A line that is refused ends much earlier; one that works on is ended after these."""

_VARIANTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "search.run": (
        ("optimizer=agnet",),
        ("optimizer=bananas",),
        ("optimizer=regularized_evolution",),
        ("optimizer=nsga2",),
        ("optimizer=local_search",),
        ("optimizer=gp_enumerate",),
        ("logger=wandb",),
        ("objective=live", "objective.executor._target_=agnet.InlineExecutor", "~objective.executor.workers"),
        ("objective=training_free",),
        (
            *("objective=table", f"objective.tables=[{SHARED}/table.parquet]"),
            *("objective.maximize=[digits_valid]", "budget=4", "initial=2", "batch=1"),
        ),
    ),
    "search.compare": (("executor=slurm",), ("executor=local",)),
    "evaluation.attack": (("attack=[apgd_ce]",), ("attack=[square]",), ("attack=[pgd]",)),
    "search.pretrain": (("pairing=transport",), ("pairing=nearest",), ("pairing=noise",)),
    "evaluation.run": (("attack=[square_digits]",), ("attack=[apgd_digits]",)),
    "evaluation.measure": (("measure@measures=[linear_regions,synflow,naswot,jacov]",),),
}
"""Further settings of the commands, for the keys that they have."""

_INTEGER = ("nope", "-1", "2.5", "nan", "inf", "[1]", "{a: 1}", "1e9x")
_NUMBER = ("nope", "nan", "[1]", "{a: 1}", "1..2")
_TRUTH = ("nope", "2", "[]", "{a: 1}", "nan")
_TEXT = ("[1]", "{a: 1}")
_LIST = ("{a: 1}", "[[[a]]]", "nan")
_SECTION = ("5", "nope", "[1]", "true")
_TARGET = ("nope.Nope", "5", "[1]", "agnet.Nope", "agnet")
_CHOICE = ("nope", "-1", "null", "", "[[a]]", "2.5", "true", "../nope", "{a: 1}")
_COUNT = (*_INTEGER, "0")
_NEW_FILE = ("", "[1]", "{a: 1}", "/proc/nope/x", "a" * 300, "5", "nan")
_OLD_FILE = ("", "[1]", "{a: 1}", "/nope/x", "a" * 300, "5")
_NAMES = ("[nope]", "{a: 1}", "5", "nan")
_LIMITS = ("5", "nope", "[1]", "{nope: {max: 1}}", "{nope: nan}")

_KINDS: dict[str, tuple[str, ...]] = {
    "under": ("5", "nope", "[1]", "{nope: [1]}", "{cifar10micro_valid: nan}", "{cifar10micro_valid: [a]}"),
    "want": _LIMITS,
    "constraints": _LIMITS,
    "run_dir": _NEW_FILE,
    "out": _NEW_FILE,
    "frost": _OLD_FILE,
    "corruption.path": _OLD_FILE,
    "images": _OLD_FILE,
    "extend": _OLD_FILE,
    "details": _OLD_FILE,
    "into": (*_OLD_FILE, "nope.md"),
    "problems": ("5", "[1]", "nope", "{a: 5}", "{a: [nope=1]}"),
    "at": ("nope", "0", "-1", "[0]", "[nan]", "{a: 1}"),
    "baseline": ("nope", "[1]", "{a: 1}", "5"),
    "show": _NAMES,
    "corruptions": (*_NAMES, "[]", "[fog,nope]"),
    "corruption.names": (*_NAMES, "[fog,nope]"),
    "datasets": _NAMES,
    "split": ("nope", "5", "[1]", "{a: 1}", "train"),
    "splits": ("[nope]", "5", "{a: 1}"),
    "attack_images": ("5", "nope", "{nope: 5}", "{fgsm: 0}", "{fgsm: -1}", "[1]", "{fgsm: a}"),
    "share": ("5", "[0,64]", "[3]", "[65,64]", "nope", "[3,64,1]", "[1.5,2]", "{a: 1}"),
    "seed": (*_INTEGER, "99999999999999999999999"),
    "draw_seed": (*_INTEGER, "99999999999999999999999"),
    "device": ("nope", "cuda", "cuda:99", "5", "[1]", "{a: 1}", ""),
    "mode": ("nope", "5", "[1]", "{a: 1}"),
    "precision": ("nope", "5", "[1]", "{a: 1}", "float16x"),
    "norm": ("nope", "5", "[1]", "{a: 1}"),
    "anneal": ("nope", "5", "[1]", "{a: 1}"),
    "stem": ("nope", "5", "[1]", "{a: 1}"),
    "architecture": ("nope", "5", "[1]", "{a: 1}", "", "/nope.json", "Genotype(1)"),
    "model": ("nope", "5", "", "/nope.pt", "builtins:list", "sys:exit", "nope:nope", "[1]", "{a: 1}"),
    "data_root": ("5", "[1]", "{a: 1}", ""),
    "eps_255": ("[]", "[-1]", "nope", "[nan]", "{a: 1}", "[a]"),
    "betas": ("[5,5]", "nope", "[0.5]", "{a: 1}", "[-1,0.9]", "[nan,nan]"),
    "optimizers": ("[]", "[nope]", "5", "{a: 5}", "[[a]]"),
    "tables": ("[/nope.parquet]", "5", "{a: 1}", "nope"),
    "maximize": ("[nope]", "5", "{a: 1}"),
    "minimize": ("[nope]", "5", "{a: 1}"),
    "report": ("[nope]", "5", "{a: 1}"),
    "path": _OLD_FILE,
    "tags": ("{a: 1}", "5"),
    "sensitivity.num_images": _INTEGER,
    "table": _NEW_FILE,
    "seeds": ("[]", "[a]", "[-1]", "nope", "{a: 1}", "[nan]", "[0,0]"),
    "save_every": ("nope", "-1", "nan", "[1]", "{a: 1}"),
}
"""Wrong values by the last parts of a key; other keys have those of their default's kind."""

_COUNTS = (
    *("budget", "batch", "n", "steps", "draws", "epochs", "batch_size", "channels", "cells", "group_size", "threads"),
    *("num_architectures", "num_images", "repeats", "tasks_per_job", "minutes", "members", "population", "tournament"),
    *("workers", "parallel", "latent_size", "layers", "state", "evaluate_every", "cells_per_stage"),
)
"""Keys for which 0 is wrong."""

_BOUNDED = {
    ("evaluation.attack", "num_images"),
    ("evaluation.corrupt", "num_images"),
    ("evaluation.run", "sensitivity.num_images"),
    ("search.run", "threads"),
    ("search.compare", "threads"),
    ("search.pretrain", "threads"),
}
"""Keys for which a huge number is wrong."""

_SKIPPED = ("_partial_", "_recursive_", "_convert_")
_ZERO_IS_RIGHT = ("sensitivity.num_images", "retraining.steps", "proposal.steps")
"""Keys that 0 switches off."""


@functools.cache
def all_lines(modules: tuple[str, ...] = tuple(COMMANDS)) -> list[tuple[str, tuple[str, ...]]]:
    """All wrong lines: commands with their arguments, the written ones first, none twice."""
    lines = list(WRITTEN)
    for module in modules:
        base = COMMANDS[module]
        seen: set[str] = set()
        for variant in ((), *_VARIANTS.get(module, ())):
            arguments = _with(base, variant)
            configuration = _composed(ROOTS[module], arguments)
            for key, value in _keys(configuration):
                if key not in seen:
                    seen.add(key)
                    lines += [(module, _with(arguments, (f"{key}={wrong}",))) for wrong in _wrong(module, key, value)]
    return list(dict.fromkeys(lines))


def _with(base: Sequence[str], changed: Sequence[str]) -> tuple[str, ...]:
    """The arguments, with those of the same keys replaced."""
    keys = {argument.partition("=")[0] for argument in changed}
    inner = tuple(f"{key}." for key in keys if key in _groups())
    kept = [a for a in base if a.partition("=")[0] not in keys and not (inner and a.startswith(inner))]
    return (*kept, *changed)


@functools.cache
def _groups() -> frozenset[str]:
    return frozenset(path.name for path in CONF_DIR.iterdir() if path.is_dir())


def _composed(root: str, arguments: Sequence[str]) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        content = OmegaConf.to_container(compose(root, overrides=list(arguments)), resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if key != "hydra"}


def _keys(section: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """All keys with their values; a section's own unknown key comes last."""
    for name, value in section.items():
        if name not in _SKIPPED:
            yield f"{place}{name}", value
            if isinstance(value, dict):
                yield from _keys(value, f"{place}{name}.")
    yield f"{place}nope", ...


def _wrong(module: str, key: str, value: Any) -> list[str]:
    """The wrong values of a key."""
    name = key.rpartition(".")[2]
    if value is ...:
        return ["1"]
    if name == "_target_":
        return list(_TARGET)
    if key in _groups():
        return list(_CHOICE)
    known = next((_KINDS[known] for known in _KINDS if key == known or key.endswith(f".{known}")), None)
    if known is None:
        known = _by_kind(value, name in _COUNTS and not key.endswith(_ZERO_IS_RIGHT))
    values = [*known, "${nope}"]
    return [*values, "1000000000"] if (module, key) in _BOUNDED else values


def _by_kind(value: Any, count: bool) -> tuple[str, ...]:
    match value:
        case _ if count:
            return _COUNT
        case bool():
            return _TRUTH
        case int():
            return _INTEGER
        case float():
            return _NUMBER
        case str():
            return _TEXT
        case list():
            return _LIST
        case dict():
            return _SECTION
    return _TEXT


def judge(said: Said, here: Path) -> Outcome:
    """How a wrong line has ended.

    Args:
        said: what the command has said.
        here: the folder in which it ran.
    """
    if said.status is None:
        began = said.stdout.strip() or any(path.is_file() for path in here.rglob("*"))
        return Outcome(ACCEPTED if began else HUNG, f"no end after {SECONDS:.0f} s")
    outcome = judge_said(said.status, said.stderr)
    if outcome is None:
        return Outcome(ACCEPTED, f"exit status 0: {' '.join(said.stdout.split())[-200:]}")
    if outcome.kind != REFUSED:
        return outcome
    lines = [line for line in said.stderr.splitlines() if line.strip() and not line.startswith("note: ")]
    if sum(line.startswith("error: ") for line in lines) > 1:
        return Outcome(TRACEBACK, f"several error lines: {' / '.join(lines)}")
    if advice := [word for word in ("weights_only", "allow_pickle") if word in said.stderr]:
        return Outcome(TRACEBACK, f"recommends {advice[0]}: {outcome.detail}")
    return outcome


def _run(module: str, arguments: tuple[str, ...], shared: Path, folder: Path) -> Outcome:
    here = folder / "here"
    here.mkdir()
    said = call(module, [placed(argument, shared, here) for argument in arguments], here, seconds=SECONDS)
    return judge(said, here)


def _cases(generator: random.Random, count: int, shared: Path) -> list[Case]:
    """The cases and their files."""
    import_all()
    make_inputs(shared)
    make_wrong_inputs(shared)
    return chosen(generator, count, shared, all_lines())


def chosen(
    generator: random.Random, count: int, shared: Path, lines: Sequence[tuple[str, tuple[str, ...]]]
) -> list[Case]:
    """The written lines first, then others at random; the files they need are made elsewhere."""
    others = generator.sample(range(len(WRITTEN), len(lines)), len(lines) - len(WRITTEN))
    picked = [*range(len(WRITTEN)), *others][:count]
    return [Case(" ".join((lines[i][0], *lines[i][1])), partial(_run, *lines[i], shared)) for i in picked]


LINES = Campaign("wrong command lines", 800, _cases)
"""At least 800 different ones over all commands."""
