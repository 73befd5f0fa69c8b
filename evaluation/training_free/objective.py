"""An objective without training: ``search.run objective=training_free``."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate

from agnet.objective import MeasuredObjective, MeasuredReport, measured_objective
from evaluation.training_free.untrained import Untrained


def training_free_objective(
    measures: Mapping[str, Any],
    dataset: Mapping[str, Any],
    network: Mapping[str, Any],
    seed: int = 0,
    repeats: int = 3,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    report: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration.

    With several measures the best of a search is the first of :func:`agnet.pareto.rank`, which is the architecture with
    the smallest sum of ranks over all that were evaluated: TE-NAS's choice.

    Args:
        measures: those to compute, as in ``conf/measure``.
        dataset: as in ``conf/dataset``.
        network: builds the network of an architecture and a :class:`~evaluation.network.NetworkShape`.
        seed: see :class:`Untrained`.
        repeats: see :class:`Untrained`.
        maximize: measures to maximise.
        minimize: measures to minimise.
        report: measures to read at the end for the architectures found.
        constraints: limits, see :func:`agnet.objective.read_objective`.

    Raises:
        ConfigurationError: if there is nothing to optimise, or a column is none of the measures.
    """
    built = {name: instantiate(dict(measure), _convert_="all") for name, measure in measures.items()}
    splits = instantiate(dict(dataset), _convert_="all")
    untrained = Untrained(built, splits, instantiate(dict(network), _convert_="all"), seed=seed, repeats=repeats)
    return measured_objective(
        untrained, list(built), maximize=maximize, minimize=minimize, report=report, constraints=constraints
    )
