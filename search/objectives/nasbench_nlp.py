"""NAS-Bench-NLP: losses of recurrent cells, predicted by trees that are fitted here to real trainings.

The benchmark's own surrogate, NAS-Bench-NLP11, needs its authors' files. This one needs a table of losses, or the
extract of 4,322 recipes that :mod:`search.importers.nasbench_nlp` reads, and is fitted in seconds whenever a search
begins. We cross-validated it over five folds of the extract's cells, with cells of equal features in the same fold.
Spearman's rho of predicted and measured losses is .89, Kendall's tau .73, R2 .82, and rho over the better half of the
cells .66. Divergence orders 98 % of the pairs of a diverged and another cell. ``python -m
benchmarks.recurrent_surrogate`` repeats the measurement.

A fifth of the cells diverged in every training. The losses are fitted to the others, so a predicted loss is that of a
training that does not diverge. The probability of divergence is another column. The expected score combines both: a
diverging training counts as one that has learned nothing. A search for the score alone could find cells that cannot be
trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from jaxtyping import Float, Float64

from agnet.errors import ConfigurationError
from agnet.runtime.digests import of_arrays, of_bytes, of_json
from agnet.spaces.nasbench_nlp.space import NASBenchNLP
from agnet.tables.objective import MeasuredObjective, MeasuredReport, measured_objective
from agnet.tables.table import column_names, read_table
from search.importers.nasbench_nlp import SCORE, NASBenchNLPRuns
from search.objectives.recurrent_features import recurrent_features

ROUNDS = 800
"""Number of trees of a model."""

TREES = {
    "max_depth": 6,
    "eta": 0.03,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 2,
    "nthread": 1,
    "verbosity": 0,
}

MARGIN = 0.2
"""Distance of a floor below the lowest known loss, in nats; the logarithm of a loss minus the floor is fitted."""

NOTHING = 0.99
"""Quantile of the known losses at which a training counts as having learned nothing."""

_LOSS, _DIVERGENCE = "_loss", "_divergence"
_KINDS = ("loss", "perplexity", "score", "expected_score")


@dataclass(frozen=True)
class Trainings:
    """Trainings that the surrogate is fitted to.

    Attributes:
        architectures: strings of the cells.
        losses: last losses in nats per word by column, NaN if every training diverged.
    """

    architectures: Sequence[str]
    losses: Mapping[str, Float64[np.ndarray, " cells"]]

    @property
    def digest(self) -> str:
        """Digest of cells and losses."""
        names, losses = of_json([*self.architectures, *self.losses]), of_arrays(*self.losses.values())
        return of_bytes(names.encode(), losses.encode())

    @classmethod
    def read(cls, source: str | Path) -> "Trainings":
        """Read a table, or a folder or file of the importer; cells outside the space are left out.

        Raises:
            ConfigurationError: if the source does not exist, or has losses of fewer than two cells.
            TableError: if the source is damaged.
        """
        path = Path(source)
        if not path.exists():
            raise ConfigurationError(
                f"no file or folder objective.source={path}; set data_root=DIR to the folder of "
                "nasbenchnlp_recipes.json.gz, or make a table from the official logs (docs/import.md)"
            )
        if path.suffix == ".parquet":
            names = [name for name in column_names([path]) if name.endswith(_LOSS)]
            table = read_table([path], names or ["ptb_test_loss"], missing="keep")
            found = cls(list(table.rows), dict(zip(names, table.values.numpy().T, strict=True)))
        else:
            rows = NASBenchNLPRuns(partial=True).read(path, progress=False)
            names = [name for name in rows.column_names if name.endswith(_LOSS)]
            found = cls(
                rows["architecture"].to_pylist(),
                {name: rows[name].to_numpy(zero_copy_only=False) for name in names},
            )
        for name, losses in found.losses.items():
            if len(set(losses[np.isfinite(losses)].tolist())) < 2:
                raise ConfigurationError(f"objective.source={path} has no two losses in {name} to fit trees to")
        return found


class NASBenchNLPSurrogate:
    """Trees on features of cells: one ensemble for every loss, one for divergence; the same seed fits the same trees.

    Args:
        trainings: trainings that the trees are fitted to.
        seed: seed of the rows and columns that trees see.
    """

    def __init__(self, trainings: Trainings, seed: int = 0) -> None:
        self.space = NASBenchNLP()
        self._known: dict[str, dict[str, float]] = {}
        self._floors: dict[str, float] = {}
        self._nothing: dict[str, float] = {}
        self._models: dict[str, xgboost.Booster] = {}
        features = recurrent_features(self.space, trainings.architectures)
        for name, losses in trainings.losses.items():
            finite = np.isfinite(losses)
            self._floors[name] = float(losses[finite].min()) - MARGIN
            self._nothing[name] = float(np.quantile(losses[finite], NOTHING))
            distance = np.log(losses[finite] - self._floors[name])
            self._models[name] = _boosted(features[finite], distance, "reg:squarederror", seed)
        name = next(iter(trainings.losses))
        diverged = ~np.isfinite(trainings.losses[name])
        self._divergence = name.split("_")[0] + _DIVERGENCE
        self._models[self._divergence] = _boosted(features, diverged.astype(float), "binary:logistic", seed)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the predicted columns.

        Every fitted loss gives ``_loss`` in nats per word, ``_perplexity``, its exponential, ``_score``, 100 minus the
        loss, and ``_expected_score``, which counts a diverging training as one that has learned nothing. The last
        column is ``_divergence``, the probability in percent.
        """
        stems = [name.removesuffix(_LOSS) for name in self._floors]
        return (*(f"{stem}_{kind}" for stem in stems for kind in _KINDS), self._divergence)

    def __call__(self, architectures: Sequence[str]) -> list[Mapping[str, float]]:
        """:attr:`columns` of cells.

        Raises:
            InvalidArchitecture: if a string is not a cell; the message names the first.
        """
        new = [architecture for architecture in dict.fromkeys(architectures) if architecture not in self._known]
        if new:
            rows = xgboost.DMatrix(recurrent_features(self.space, new))
            values = {name: model.predict(rows).astype(float) for name, model in self._models.items()}
            for i, architecture in enumerate(new):
                self._known[architecture] = self._row({name: float(column[i]) for name, column in values.items()})
        return [self._known[architecture] for architecture in architectures]

    def _row(self, predicted: Mapping[str, float]) -> dict[str, float]:
        row, diverges = {}, predicted[self._divergence]
        for name, floor in self._floors.items():
            loss = floor + float(np.exp(predicted[name]))
            expected = (1 - diverges) * loss + diverges * max(loss, self._nothing[name])
            values = (loss, float(np.exp(loss)), SCORE - loss, SCORE - expected)
            row |= {f"{name.removesuffix(_LOSS)}_{kind}": v for kind, v in zip(_KINDS, values, strict=True)}
        return row | {self._divergence: 100 * diverges}


def _boosted(
    features: Float[np.ndarray, "cells features"], target: Float[np.ndarray, " cells"], objective: str, seed: int
) -> xgboost.Booster:
    return xgboost.train({**TREES, "objective": objective, "seed": seed}, xgboost.DMatrix(features, target), ROUNDS)


def nasbench_nlp_objective(
    source: str,
    seed: int = 0,
    **goal: Any,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration; see :class:`NASBenchNLPSurrogate` and
    :func:`~agnet.tables.objective.measured_objective`.

    Raises:
        ConfigurationError: if the seed is invalid, or if :meth:`Trainings.read` refuses the source.
    """
    if type(seed) is not int or seed < 0:
        raise ConfigurationError(f"objective.seed={seed}; it is a whole number from 0")
    trainings = Trainings.read(source)
    surrogate = NASBenchNLPSurrogate(trainings, seed)
    return measured_objective(
        surrogate,
        surrogate.columns,
        free=True,
        inputs={"trainings": trainings.digest, "seed": str(seed)},
        **goal,
    )
