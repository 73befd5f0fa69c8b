"""Build, initialise and measure the network of every architecture once."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from agnet.errors import ConfigurationError, TaskError
from evaluation.data.images import ImageSplits
from evaluation.networks.nasbench201 import NetworkShape
from evaluation.training_free.initialization import initialize
from evaluation.training_free.measure import Measure

_BUILDER = "give a function of an architecture and a shape that gives a torch.nn.Module"

Builder = Callable[[str, NetworkShape], nn.Module]
"""Builds the network of an architecture."""


class Untrained:
    """Columns of untrained architectures; each architecture is measured once and remembered.

    Args:
        measures: measures by the names of their columns.
        splits: images; only the training split is looked at.
        build: function that builds the network of an architecture.
        seed: seed of weights and images; the repeats take it and those that follow.
        repeats: the mean of so many counts.

    Raises:
        ConfigurationError: if there is nothing to measure, or ``repeats`` is not positive.
    """

    def __init__(
        self, measures: Mapping[str, Measure], splits: ImageSplits, build: Builder, *, seed: int = 0, repeats: int = 3
    ) -> None:
        if not measures:
            raise ConfigurationError("no measures; name some of conf/measure")
        if repeats < 1 or seed < 0:
            raise ConfigurationError(f"repeats={repeats}, seed={seed}; give at least 1 repeat and a seed from 0")
        self.measures, self.splits, self.build = dict(measures), splits, build
        self.seeds = range(seed, seed + repeats)
        self._mean, self._std = splits.mean, splits.std
        self._inputs = {
            (name, seed): measure.inputs(splits, seed=seed)
            for name, measure in self.measures.items()
            for seed in self.seeds
        }
        self._known: dict[str, dict[str, float]] = {}

    def __call__(self, architectures: Sequence[str]) -> list[Mapping[str, float]]:
        """Every measure of every architecture.

        Raises:
            TaskError: naming a measure that is not a finite number, and its architecture.
        """
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = self._measured(architecture)
        return [self._known[architecture] for architecture in architectures]

    def _measured(self, architecture: str) -> dict[str, float]:
        """The mean of every measure; those of one scale share a network, which they leave as it was."""
        networks: dict[tuple[NetworkShape, int], nn.Module] = {}
        means = {}
        for name, measure in self.measures.items():
            shape, values = self._shape(measure), []
            for seed in self.seeds if measure.random else self.seeds[:1]:
                if (shape, seed) not in networks:
                    networks[shape, seed] = self._network(architecture, shape, seed)
                values.append(measure.function(networks[shape, seed], *self._inputs[name, seed]))
            means[name] = math.fsum(values) / len(values)
            if not math.isfinite(means[name]):
                raise TaskError(
                    f"{name} of {architecture} is {means[name]}; make its network smaller or leave the measure out"
                )
        return means

    def _network(self, architecture: str, shape: NetworkShape, seed: int) -> nn.Module:
        try:
            with torch.random.fork_rng(devices=[]):  # building draws weights that are drawn anew
                network: Any = self.build(architecture, shape)
        except (TypeError, AttributeError) as error:  # what is given may be any function
            raise ConfigurationError(
                f"network={self.build!r} cannot build {architecture} ({error}); {_BUILDER}"
            ) from error
        if not isinstance(network, nn.Module):
            raise ConfigurationError(f"network={self.build!r} gives a {type(network).__name__}; {_BUILDER}")
        initialize(network, seed=seed)
        return network

    def _shape(self, measure: Measure) -> NetworkShape:
        if measure.noise is not None:
            return NetworkShape(self.splits.num_classes, 1, measure.channels, measure.cells_per_stage)
        return NetworkShape(
            self.splits.num_classes,
            self.splits.in_channels,
            measure.channels,
            measure.cells_per_stage,
            self._mean,
            self._std,
        )
