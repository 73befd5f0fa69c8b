"""Attack the kept networks of a run without training them, and join the results to the run's own.

The networks of a run with ``keep_weights=true`` are read back and attacked under a second protocol: the run's own, with
other attacks and without corruptions and measures. Every draw of an attack belongs to seed, image and radius, so the
numbers are those that the run would have had with these attacks in the first place. The joined table says so: it has
the protocol, and its digest, of a run with all of the attacks.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from agnet.errors import CheckpointMismatch, ConfigurationError, RunDirectoryError
from agnet.runtime.files import locked
from agnet.tables.columns import Column
from evaluation.production.configured import FromConfig, build_protocol
from evaluation.production.protocol import Protocol
from evaluation.production.settings import read_settings
from evaluation.production.store import Found, Store
from evaluation.production.unit import Unit, UnitRecord
from evaluation.production.weights import Weights


@dataclass(frozen=True)
class KeptRun:
    """A run whose networks were kept.

    Attributes:
        folder: the run's folder.
        settings: settings of its protocol.
        protocol: the protocol that its networks were trained and evaluated under.
        records: its records, read from disk on access.
        cells: architectures of which there is a network for every seed, in order.
        seeds: the seeds.
    """

    folder: Path
    settings: dict[str, Any]
    protocol: Protocol
    records: Mapping[Unit, UnitRecord]
    cells: list[str]
    seeds: list[int]

    def __repr__(self) -> str:
        return f"KeptRun({self.folder}: {len(self.cells)} cells, seeds {self.seeds})"

    @property
    def weights(self) -> Weights:
        """The networks' weights."""
        return Weights(self.folder, self.protocol.digest)


def read_kept_run(
    folder: Path,
    architectures: Sequence[str],
    *,
    seed: int | None = None,
    dataset: Mapping[str, Any] | None = None,
    trusted: Sequence[str] = (),
) -> KeptRun:
    """Read a run, and check that its images are still the same and that it has kept its networks.

    Args:
        folder: the run's folder.
        architectures: all cells that it may hold, in the order wanted.
        seed: only networks of this seed; None for all.
        dataset: settings of the data set, where its files lie elsewhere now; None for those of the run.
        trusted: packages of the user whose classes the run's settings may name.

    Raises:
        RunDirectoryError: if it is no such run, is at work, lacks weights or records, or its images have changed.
        CheckpointMismatch: if weights are not those that a record was made with.
        UntrustedTarget: if its settings name what is no part of this project.
    """
    settings, digest = read_settings(folder, trusted=trusted)
    if dataset is not None:
        settings = {**settings, "dataset": dict(dataset)}
    protocol = build_protocol(_config(settings))
    if protocol.digest != digest:
        raise RunDirectoryError(
            f"units={folder} was made under protocol {digest}, its settings with the images that there are now give "
            f"{protocol.digest}; restore the images, or say with dataset=... where they lie"
        )
    store = Store(folder, protocol)
    with locked(folder, shared=True):
        units = [unit for unit in store.units(architectures) if seed is None or unit.seed == seed]
        found = store.find(units)
    if found.missing:
        raise RunDirectoryError(
            f"units={folder}: {len(found.missing)} files were damaged, the first is now {found.damaged[0]}; run the "
            "command again that made them"
        )
    if not found.records:
        raise RunDirectoryError(
            f"units={folder} has no units{'' if seed is None else f' of seed {seed}'}; give another"
        )
    weights = Weights(folder, digest)
    lacking = [unit for unit, record in found.records.items() if record.weights is None]
    if lacking:
        raise RunDirectoryError(
            f"units={folder}: {len(lacking)} of {len(units)} units have no weights, the first is {lacking[0]}; run the "
            "command that made them again with keep_weights=true"
        )
    for unit, record in found.records.items():
        _check_weights(weights, unit, record)
    seeds = sorted({unit.seed for unit in units})
    there = set(units)
    cells = [cell for cell in dict.fromkeys(u.architecture for u in units) if {Unit(cell, s) for s in seeds} <= there]
    if not cells:
        raise RunDirectoryError(
            f"units={folder} has no cell with a unit of every seed {seeds}; give one of them, seed=..."
        )
    return KeptRun(folder, settings, protocol, found.records, cells, seeds)


def _check_weights(weights: Weights, unit: Unit, record: UnitRecord) -> None:
    found = weights.digest(unit.architecture, unit.seed)
    if found != record.weights:
        path = weights.path(unit.architecture, unit.seed)
        said = "are gone" if found is None else "are not those that its record was made with"
        raise CheckpointMismatch(
            f"{path}: the weights of {unit} {said}; restore the file, or remove it and make it again"
        )


def _config(settings: Mapping[str, Any]) -> DictConfig:
    cfg = OmegaConf.create(dict(settings))
    assert isinstance(cfg, DictConfig)
    return cfg


def attack_source(
    run: KeptRun,
    attack: Mapping[str, Any],
    *,
    attack_images: Mapping[str, int] | None = None,
    calibration: bool = False,
) -> FromConfig:
    """The protocol, for any process, under which the kept networks are attacked.

    Args:
        run: the run with the networks.
        attack: settings of the attacks, as in ``conf/attack``.
        attack_images: number of images by attack, as in ``conf/protocol``.
        calibration: whether to add the expected calibration error of the clean images.
    """
    settings = run.settings
    changes = {
        "attack": dict(attack),
        "attack_images": dict(attack_images or {}),
        "corruption": {**settings["corruption"], "names": [], "path": None, "frost": None},
        "sensitivity": {**settings["sensitivity"], "num_images": 0},
        "calibration": calibration,
        "networks": run.protocol.digest,
    }
    return FromConfig(json.dumps({**settings, **changes}))


def joined_protocol(run: KeptRun, protocol: Protocol) -> Protocol:
    """The protocol of a run with the attacks of both.

    Args:
        run: the run with the networks.
        protocol: protocol of :func:`attack_source`.

    Raises:
        ConfigurationError: if an attack of the run's has the same name and other settings.
    """
    first = run.protocol
    known = {attack.name: attack for attack in first.attacks}
    added = [attack for attack in protocol.attacks if attack.name not in known]
    for attack in protocol.attacks:
        name = attack.name
        if name in known and (
            known[name].describe() != attack.describe()
            or first.attack_images.get(name) != protocol.attack_images.get(name)
        ):
            raise ConfigurationError(
                f"attack {name} is in units={run.folder} with other settings or images; give this one its own "
                "name=..., or the same settings and attack_images"
            )
    joined = replace(
        first,
        attacks=[*first.attacks, *added],
        attack_images={**first.attack_images, **protocol.attack_images},
        calibration=first.calibration or protocol.calibration,
    )
    names = joined.columns
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise ConfigurationError(f"column {twice} would be there twice; give the attacks other names, name=...")
    return joined


class JoinedRecords(Mapping[Unit, UnitRecord]):
    """Records as a run with all of the attacks would have made them, read from disk on access.

    Args:
        protocol: the joined protocol, which gives the order.
        first: the run's records.
        second: records of the further attacks, for some of its units.
    """

    def __init__(self, protocol: Protocol, first: Mapping[Unit, UnitRecord], second: Mapping[Unit, UnitRecord]) -> None:
        self._prefix, self._first, self._second = protocol.prefix, first, second
        self._order = {name: place for place, name in enumerate(protocol.columns)}

    def __getitem__(self, unit: Unit) -> UnitRecord:
        second, first = self._second[unit], self._first[unit]
        values = {**first.columns, **second.columns}
        outcomes = {self._place(outcome): outcome for outcome in (*first.outcomes, *second.outcomes)}
        return UnitRecord(
            unit,
            {name: values[name] for name in self._order if name in values},
            first.timed,
            [outcomes[place] for place in sorted(outcomes)],
            second.cost,
            weights=second.weights,
            training=first.training,
        )

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._second)

    def __len__(self) -> int:
        return len(self._second)

    def _place(self, outcome: Mapping[str, Any]) -> int:
        column = Column(self._prefix, outcome["split"], outcome["kind"], outcome["key"], outcome["level"])
        return self._order[column.name]


def joined(found: Found, run: KeptRun, protocol: Protocol) -> Found:
    """What was found of the further attacks, with the run's own results.

    Args:
        found: units of the further attacks.
        run: the run with the networks.
        protocol: the joined protocol.
    """
    return dataclasses.replace(found, records=JoinedRecords(protocol, run.records, found.records))
