"""A live objective: train and attack every architecture that a search asks for, and keep it in a store.

``search.run objective=live`` builds one. It has the columns of the table that :mod:`evaluation.run` would make under
the same protocol, and its store is that command's folder: what either has evaluated, the other finds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError, TaskError
from agnet.runtime.executors import AbstractExecutor
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.objective import MeasuredObjective, MeasuredReport, measured_objective
from evaluation.production.configured import FromConfig, build_protocol
from evaluation.production.merge import counted, table_row
from evaluation.production.produce import Source, produce
from evaluation.production.protocol import Protocol
from evaluation.production.unit import Unit, UnitRecord
from evaluation.schema import LiveConfig, ProtocolConfig


@dataclass(frozen=True)
class Evaluations:
    """Evaluates architectures, each isomorphism class once.

    Attributes:
        protocol: the protocol of the evaluation.
        source: source from which worker processes get the protocol.
        store: folder of the units.
        executor: executor that runs the tasks.
        seeds: every architecture is trained with each; what counts is the mean.
        device: ``cpu`` or ``cuda``; see :func:`evaluation.production.produce.produce`.
    """

    protocol: Protocol
    source: Source
    store: Path
    executor: AbstractExecutor
    seeds: tuple[int, ...]
    device: str

    def rows(self, architectures: Sequence[str]) -> list[dict[str, float]]:
        """Every column of every architecture.

        Raises:
            TaskError: if one could not be evaluated; the others are kept.
        """
        space = NASBench201()
        representatives = [space.canonical(architecture) for architecture in architectures]
        found = produce(
            self.protocol,
            list(dict.fromkeys(representatives)),
            self.store,
            executor=self.executor,
            seeds=self.seeds,
            source=self.source,
            device=self.device,
            progress=False,
        )
        if found.failures:
            unit, failure = next(iter(found.failures.items()))
            raise TaskError(
                f"{len(found.failures)} networks could not be evaluated, the first of them {unit}: {failure.error}; "
                f"correct it, delete {self.store / 'failures'} and run the same command again"
            )
        return [
            self._row(architecture, [found.records[Unit(representative, seed)] for seed in self.seeds])
            for architecture, representative in zip(architectures, representatives, strict=True)
        ]

    def _row(self, architecture: str, records: Sequence[UnitRecord]) -> dict[str, float]:
        parameters, macs = counted(architecture, self.protocol.shape, self.protocol.image_size)
        known = {name: value for name, value in table_row(self.protocol, records).items() if value is not None}
        return {**known, "parameters": float(parameters), "macs": float(macs)}


def live_objective(
    protocol: Mapping[str, Any],
    executor: Mapping[str, Any],
    store: str,
    seeds: Sequence[int] = (0,),
    device: str = "cpu",
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    report: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration.

    Args:
        protocol: settings of the protocol, as in ``conf/protocol``.
        executor: settings of the executor, as in ``conf/executor``.
        store: folder of the units; searches may share one, one after another.
        seeds: seeds of every architecture; see :class:`Evaluations`.
        device: ``cpu`` or ``cuda``.
        maximize: columns to maximise.
        minimize: columns to minimise.
        report: columns to read at the end for the architectures found.
        constraints: limits, see :func:`agnet.tables.objective.read_objective`.

    Raises:
        ConfigurationError: if there is nothing to optimise, or a column is none of those that the protocol gives.
    """
    cfg = OmegaConf.create(dict(protocol))
    assert isinstance(cfg, DictConfig)
    ProtocolConfig.check(OmegaConf.to_container(cfg, resolve=True), "objective.protocol")
    if cfg.group_size != 1:
        raise ConfigurationError(f"protocol.group_size={cfg.group_size}; a search asks for single networks: give 1")
    LiveConfig.check({"store": store, "seeds": list(seeds), "device": device}, "objective")
    source = FromConfig(json.dumps(dict(protocol)))
    evaluations = Evaluations(
        build_protocol(cfg), source, Path(store), instantiate(dict(executor), _convert_="all"), tuple(seeds), device
    )
    return measured_objective(
        evaluations.rows,
        [*evaluations.protocol.columns, "parameters", "macs"],
        maximize=maximize,
        minimize=minimize,
        report=report,
        constraints=constraints,
        inputs={"protocol": evaluations.protocol.digest},
    )
