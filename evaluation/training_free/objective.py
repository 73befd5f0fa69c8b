"""An objective without training: ``search.run objective=training_free``."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate

from agnet.runtime.digests import of_arrays, of_json
from agnet.tables.objective import MeasuredObjective, MeasuredReport, measured_objective
from agnet.tables.table import read_table
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
    tables: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration.

    With several measures the best of a search is the first of :func:`agnet.multiobjective.pareto.rank`, which is the
    architecture with the smallest sum of ranks over all that were evaluated: TE-NAS's choice.

    Args:
        measures: those to compute, as in ``conf/measure``.
        dataset: settings of the image set, as in ``conf/dataset``.
        network: builds the network of an architecture and a :class:`~evaluation.networks.nasbench201.NetworkShape`.
        seed: seed of weights and images; see :class:`Untrained`.
        repeats: number of draws to average; see :class:`Untrained`.
        maximize: measures to maximise.
        minimize: measures to minimise.
        report: measures, or columns of the tables, to read at the end for the architectures found; a search cannot
            have columns of the tables as objectives or limits.
        tables: Parquet files, e.g. of accuracies.
        constraints: limits, see :func:`agnet.tables.objective.read_objective`.

    Raises:
        ConfigurationError: if there is nothing to optimise, or a column is none of the measures.
        TableError: if a reported column is in no table.
    """
    built = {name: instantiate(dict(measure), _convert_="all") for name, measure in measures.items()}
    splits = instantiate(dict(dataset), _convert_="all")
    untrained = Untrained(built, splits, instantiate(dict(network), _convert_="all"), seed=seed, repeats=repeats)
    inputs = {
        "images": of_arrays(splits.train.stored, splits.train.labels),
        "settings": of_json([dict(measures), dict(dataset), dict(network), seed, repeats]),
    }
    outside = [column for column in report if column not in built] if tables else []
    objective, reported = measured_objective(
        untrained,
        list(built),
        maximize=maximize,
        minimize=minimize,
        report=[column for column in report if column not in outside],
        constraints=constraints,
        inputs=inputs,
    )
    if not outside:
        return objective, reported
    table = read_table(tables, outside)

    def joined(architectures: Sequence[str]) -> list[Mapping[str, float]]:
        found = table.lookup(architectures).tolist()
        measured = untrained(architectures) if reported.columns else [{}] * len(found)
        return [{**row, **dict(zip(outside, values, strict=True))} for row, values in zip(measured, found, strict=True)]

    return objective, MeasuredReport(tuple(report), joined, {**inputs, "table": table.identity})
