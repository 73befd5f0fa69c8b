"""The unit of work: one network of a protocol, trained, attacked, corrupted, measured, and recorded at once."""

import math
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from agnet.errors import AGNetError, CheckpointMismatch, ConfigurationError, InvalidInput, TaskError
from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION, ECE, MEASURE, SPLITS, STATES, Column
from evaluation.attacks.base import AbstractAttack
from evaluation.attacks.evaluate import default_batch_size, evaluate, searcher_and_judge
from evaluation.attacks.outcome import AttackOutcome
from evaluation.corruptions import SEVERITIES, corrupt
from evaluation.corruptions.pixels import to_levels
from evaluation.data.images import Images, in_unit_interval
from evaluation.networks.compiled import CompiledNetwork
from evaluation.networks.latency import latency_ms
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.networks.stacked import initialize
from evaluation.production.protocol import Protocol
from evaluation.production.weights import Weights
from evaluation.sensitivity.table_measures import sensitivity
from evaluation.training.sgd import fit_and_validate


@dataclass(frozen=True)
class Unit:
    """One network of a protocol.

    Attributes:
        architecture: the cell's string.
        seed: seed of initial weights, image order, augmentation and the attacks' random starts.
    """

    architecture: str
    seed: int

    def __str__(self) -> str:
        return f"{self.architecture}, seed {self.seed}"


@dataclass(frozen=True)
class UnitRecord:
    """The results of a unit.

    Attributes:
        unit: the network in question.
        columns: values of the table's columns, accuracies in percent; the same whenever and wherever they are computed
            on one kind of machine.
        timed: measured times in ms, by column.
        outcomes: one entry per split, attack or corruption, and level: accuracy, confidences, cost, confusion matrix,
            and the bit of every image; plain values.
        cost: CPU seconds of training and of evaluation, by name.
        training: accuracies on validation images during adversarial training, see
            :func:`evaluation.training.sgd.fit_and_validate`; empty if there was nothing to tell.
        weights: hash of the network's file, see :class:`~evaluation.production.weights.Weights`; None if there is none.
    """

    unit: Unit
    columns: dict[str, float]
    timed: dict[str, float]
    outcomes: list[dict[str, Any]]
    cost: dict[str, Any] = field(default_factory=dict, compare=False)
    training: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None

    def __repr__(self) -> str:
        return f"UnitRecord({self.unit}: {len(self.columns)} columns, {len(self.outcomes)} outcomes)"


@dataclass(frozen=True)
class Failure:
    """A unit that raised an error.

    Attributes:
        unit: the network in question.
        error: the error that was raised, in one line.
        trace: traceback of the error.
    """

    unit: Unit
    error: str
    trace: str


class UnitEvaluator:
    """Evaluates units of one protocol. Images and corruptions are prepared once for all of them.

    Args:
        protocol: the protocol of the evaluation.
        device: device that trains and attacks networks; numbers agree between devices to rounding. Latency is measured
            on the CPU in any case.
        keep: keeps the weights of every network that is recorded; None to forget them.
        networks: weights of the networks, where the protocol says that they are read; None to train them.
    """

    def __init__(
        self,
        protocol: Protocol,
        device: str = "cpu",
        *,
        keep: Weights | None = None,
        networks: Weights | None = None,
    ) -> None:
        self.protocol, self.device, self.keep, self.networks = protocol, torch.device(device), keep, networks
        if protocol.networks != (networks.protocol if networks else None):
            raise ConfigurationError(f"networks={networks}; give the weights of protocol {protocol.networks}")
        self.splits: dict[str, Images] = {split: getattr(protocol.images, split).to(self.device) for split in SPLITS}

    def __call__(self, group: Sequence[str], chosen: Sequence[str], seed: int) -> Iterator[UnitRecord | Failure]:
        """Train a group of architectures, then evaluate the chosen ones among them, one after another.

        Where networks are read, only the chosen ones are.

        Raises:
            AGNetError: for settings or files that no unit could be evaluated with.
            OSError: if a file cannot be read or written; any other error becomes a :class:`Failure`.
        """
        protocol, begin = self.protocol, time.process_time()
        if self.networks is not None:
            yield from (self._recorded(Unit(cell, seed), *self._read(self.networks, cell, seed)) for cell in chosen)
            return
        try:
            trained = fit_and_validate(
                group,
                protocol.shape,
                protocol.images.train,
                protocol.recipe,
                seed=seed,
                device=self.device,
                valid=protocol.images.valid,
            )
        except Exception as error:
            if _is_of_all(error):
                raise
            yield from (_failure(Unit(architecture, seed), error) for architecture in chosen)
            return
        share = (time.process_time() - begin) / len(group)
        for architecture, (network, told) in zip(group, trained, strict=True):
            if architecture not in chosen:
                continue
            yield self._recorded(Unit(architecture, seed), network, share, training=told)

    def _read(self, weights: Weights, architecture: str, seed: int) -> tuple[CellNetwork, float, str]:
        """A network, the CPU seconds of reading it, and the hash of its weights."""
        begin = time.process_time()
        network, digest = weights.read(architecture, seed)
        if network.shape != self.protocol.shape:
            raise CheckpointMismatch(
                f"{weights.path(architecture, seed)} holds a network of {network.shape}, not of {self.protocol.shape}; "
                "put back the file of this run"
            )
        return network.to(self.device), time.process_time() - begin, digest

    def _recorded(
        self,
        unit: Unit,
        network: CellNetwork,
        seconds: float,
        weights: str | None = None,
        training: dict[str, Any] | None = None,
    ) -> UnitRecord | Failure:
        """The results of a network that took so many seconds to make."""
        begin = time.process_time()
        try:
            check_finite_weights(network)
            record = self._examine(unit, network)
            if self.keep is not None:
                weights = self.keep.write(network, unit.seed)
        except Exception as error:
            if _is_of_all(error):
                raise
            return _failure(unit, error)
        record.cost.update(training_cpu_seconds=seconds, evaluation_cpu_seconds=time.process_time() - begin)
        return replace(record, weights=weights, training=training or {})

    def _examine(self, unit: Unit, network: CellNetwork) -> UnitRecord:
        protocol = self.protocol
        columns: dict[str, float] = {}
        outcomes: list[dict[str, Any]] = []
        attacked = self._attacked(unit, network)
        for split in SPLITS:
            for column, outcome in [*attacked[split], *self._corrupted(network, split)]:
                columns[column.name] = outcome.accuracy
                outcomes.append(_plain(column, outcome, protocol.images.num_classes))
                if column.kind == CLEAN and protocol.calibration:
                    columns[replace(column, quantity=ECE).name] = outcome.calibration_error()
        columns |= self._measured(unit, network)
        broken = [name for name, value in columns.items() if not math.isfinite(value)]
        if broken:
            raise InvalidInput(f"{broken[0]} is {columns[broken[0]]}: did the training diverge?")
        timed: dict[str, float] = {}
        if self.networks is None:
            timed[protocol.latency] = latency_ms(unit.architecture, protocol.shape, protocol.image_size)
        return UnitRecord(unit, columns, timed, outcomes)

    def _attacked(self, unit: Unit, network: CellNetwork) -> dict[str, list[tuple[Column, AttackOutcome]]]:
        """Clean images, then every attack, by split.

        The splits are attacked together, and attacks on equally many images share the passes they share: a small
        network costs by the call, not by the image, and no image's outcome depends on its companions.
        """
        protocol = self.protocol
        everything = tuple(len(self.splits[split]) for split in SPLITS)
        groups: dict[tuple[int, ...], list[AbstractAttack]] = {everything: []}
        for attack in protocol.attacks:
            count = protocol.attack_images.get(attack.name, max(everything))
            groups.setdefault(tuple(min(count, n) for n in everything), []).append(attack)
        made: dict[str, list[tuple[Column, AttackOutcome]]] = {split: [] for split in SPLITS}
        for counts, attacks in groups.items():
            chosen = [self.splits[split].first(count) for split, count in zip(SPLITS, counts, strict=True)]
            if not attacks:
                for split, images in zip(SPLITS, chosen, strict=True):
                    clean = _judged(self._softmax(network, images.stored), images.labels.cpu(), CLEAN, protocol.mode)
                    made[split].append((Column(protocol.prefix, split, CLEAN, CLEAN), clean))
                continue
            found = evaluate(
                network,
                torch.cat([images.stored for images in chosen]),
                torch.cat([images.labels for images in chosen]),
                attacks,
                mode=protocol.mode,
                seed=unit.seed,
                precision=protocol.precision,
                indices=torch.cat([torch.arange(count) for count in counts]),
            )
            begin = 0
            for split, count in zip(SPLITS, counts, strict=True):
                rows = slice(begin, begin + count)
                begin += count
                if counts == everything:
                    made[split].append((Column(protocol.prefix, split, CLEAN, CLEAN), found["clean"].part(rows)))
                for outcome in found.outcomes[1:]:
                    column = Column(protocol.prefix, split, ATTACK, outcome.attack, outcome.eps_255)
                    made[split].append((column, outcome.part(rows)))
        return made

    def _softmax(self, network: CellNetwork, stored: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """What the judge of the attacks says of images."""
        _, judge = searcher_and_judge(network, self.protocol.precision)
        exact = self.protocol.precision == "float64"
        parts = [in_unit_interval(part) for part in stored.split(default_batch_size(stored))]
        with torch.no_grad():
            return torch.cat([judge(part.double() if exact else part) for part in parts]).softmax(1).cpu()

    def _corrupted(self, network: CellNetwork, split: str) -> Iterator[tuple[Column, AttackOutcome]]:
        """All corruptions of a split in a few large batches."""
        if split not in self._corruptions:
            return
        images, judge = self._corruptions[split], CompiledNetwork(network)
        with torch.no_grad():
            logits = [judge(in_unit_interval(part)) for part in images.split(default_batch_size(images))]
        conditions = self._conditions
        softmax = torch.cat(logits).float().softmax(1).cpu().unflatten(0, (len(conditions), -1))
        labels = self.splits[split].labels[: softmax.shape[1]].cpu()
        for (name, level), probabilities in zip(conditions, softmax, strict=True):
            column = Column(self.protocol.prefix, split, CORRUPTION, name, float(level))
            yield column, _judged(probabilities, labels, name, self.protocol.mode)

    @property
    def _conditions(self) -> list[tuple[str, int]]:
        """Corruptions and levels, in the order of the corrupted images."""
        corruptions = self.protocol.corruptions
        return [(name, level) for name in corruptions.names for level in SEVERITIES] if corruptions else []

    @cached_property
    def _corruptions(self) -> dict[str, UInt8[Tensor, "n c h w"]]:
        """Corrupted images by split, made once: every network is shown the same."""
        corruptions = self.protocol.corruptions
        if corruptions is None:
            return {}
        made: dict[str, Tensor] = {}
        for split in corruptions.splits:
            images = self.splits[split]
            images = (
                images if corruptions.num_images is None else images.first(min(corruptions.num_images, len(images)))
            )
            pixels = images.stored if images.stored.dtype == torch.uint8 else to_levels(images.stored)
            made[split] = torch.cat([self._made(name, level, pixels) for name, level in self._conditions])
        return made

    def _made(self, name: str, level: int, pixels: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        corruptions = self.protocol.corruptions
        assert corruptions is not None
        if corruptions.folder is None:
            return corrupt(pixels, name, level, seed=corruptions.seed, frost=corruptions.frost)
        images, _ = corruptions.folder.images(name, level)
        if images.shape[1:] != pixels.shape[1:]:
            raise ConfigurationError(
                f"corruption.path={corruptions.folder.path} has images of {list(images.shape[1:])}, the data set of "
                f"{list(pixels.shape[1:])}; give the folder of the same images, or null to corrupt them here"
            )
        return images[: len(pixels)].to(pixels.device)

    def _measured(self, unit: Unit, network: CellNetwork) -> dict[str, float]:
        """Training-free measures before and after training."""
        protocol, measured = self.protocol, self.protocol.sensitivities
        if measured is None:
            return {}
        fresh = CellNetwork(unit.architecture, protocol.shape)
        initialize(fresh, seed=unit.seed)
        images = protocol.images.train.first(measured.num_images).to(self.device)
        columns: dict[str, float] = {}
        for state, examined in zip(STATES, (fresh.to(self.device).eval(), network), strict=True):
            found = sensitivity(
                examined, images.pixels, images.labels, seed=unit.seed, projections=measured.projections
            )
            columns |= {Column(protocol.prefix, "", MEASURE, key, 0.0, state).name: v for key, v in found.items()}
        return columns


def check_finite_weights(network: CellNetwork) -> None:
    """Refuse a network whose training has diverged.

    Raises:
        InvalidInput: naming the remedy.
    """
    for name, values in network.state_dict().items():
        if not bool(values.isfinite().all()):
            raise InvalidInput(
                f"the loss became NaN or infinite in training, and with it {name}: lower recipe.learning_rate, or "
                "adversarial.eps_255 if it is trained adversarially"
            )


def _is_of_all(error: Exception) -> bool:
    """Whether an error is one of settings or files, that is, of every unit; a single unit may diverge."""
    return isinstance(error, AGNetError | OSError) and not isinstance(error, InvalidInput | TaskError)


def _failure(unit: Unit, error: Exception) -> Failure:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Failure(unit, text, "".join(traceback.format_exception(error)))


def _judged(softmax: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], name: str, mode: str) -> AttackOutcome:
    """What a network has made of corrupted images."""
    confidence, predicted = softmax.max(1)
    ones = torch.ones_like(labels)
    return AttackOutcome(
        attack=name,
        norm="",
        eps=0.0,
        mode=mode,
        labels=labels,
        predicted=predicted,
        robust=predicted == labels,
        confidence=confidence,
        true_confidence=softmax.gather(1, labels[:, None])[:, 0],
        forwards=ones,
        gradients=torch.zeros_like(ones),
    )


def _plain(column: Column, outcome: AttackOutcome, num_classes: int) -> dict[str, Any]:
    """An outcome as plain values, with the keys of :mod:`agnet.tables.conditions`."""
    details = outcome.details(num_classes)
    confusion: Any = details["confusion"]
    kept = ("accuracy", "confidence", "confidence_right", "confidence_wrong", "confidence_true")
    return {
        "split": column.split,
        "kind": column.kind,
        "key": column.key,
        "level": column.level,
        "images": details["images"],
        **{key: details[key] for key in kept},
        "forwards": details["forwards"],
        "gradients": details["gradients"],
        "confusion": [count for row in confusion for count in row],
        "robust": details["robust"],
    }
