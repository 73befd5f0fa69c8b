"""Producing a robustness table: train and attack every architecture, block by block, and merge the shards.

The unit of work is a block of architectures that are trained as one stack. A finished block is one JSON file, written
under a temporary name and renamed, so a kill loses at most the blocks in flight, and a restart continues with the same
blocks and the same numbers.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import torch
from tqdm import tqdm

from agnet.atomic import write_text
from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.spaces import NASBench201
from agnet.spaces.nasbench201 import parse, to_string
from agnet.tables import write_table
from evaluation.attacks import AbstractAttack
from evaluation.data import ImageSplits
from evaluation.evaluator import check_modes, evaluate
from evaluation.latency import latency_ms
from evaluation.network import NetworkShape, count_macs, count_parameters
from evaluation.train import Recipe, fit

Row = dict[str, str | int | float]
Details = dict[str, dict[str, list[dict[str, object]]]]
PARTS = ("valid", "test")
SHARDS = "shards"


@dataclass(frozen=True)
class Protocol:
    """Everything that decides the numbers in a table.

    Attributes:
        images: the task.
        channels: ``C`` of the networks.
        cells_per_stage: ``N`` of the networks.
        recipe: training recipe.
        attacks: attacks with their radii.
        seed: seed of initial weights, image order and random starts.
        block_size: architectures trained together; it is part of the protocol because rounding, which training
            amplifies, may depend on it.
        mode: ``"published"`` or ``"worst_case"``, see :func:`evaluation.evaluate`.
        precision: of the attacks' search; outcomes are judged in float32 in any case.

    Raises:
        ConfigurationError: for settings that no table could be made with.
    """

    images: ImageSplits
    channels: int
    cells_per_stage: int
    recipe: Recipe
    attacks: Sequence[AbstractAttack]
    seed: int
    block_size: int = 16
    mode: str = "published"
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError(f"seed={self.seed}; it is a whole number from 0")
        check_modes(self.mode, self.precision)
        _ = self.shape

    @property
    def shape(self) -> NetworkShape:
        """Shape of every network."""
        images = self.images
        return NetworkShape(
            images.num_classes, images.in_channels, self.channels, self.cells_per_stage, images.mean, images.std
        )

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return self.images.train.size

    def describe(self) -> dict[str, object]:
        """The protocol as plain values, for the table's metadata and the shard folder."""
        images = self.images
        return {
            "dataset": images.name,
            "images": {part: len(getattr(images, part)) for part in ("train", "valid", "test")},
            "shape": dataclasses.asdict(self.shape),
            "recipe": dataclasses.asdict(self.recipe),
            "attacks": {a.name: a.describe() for a in self.attacks},
            "mode": self.mode,
            "precision": self.precision,
            "seed": self.seed,
            "block_size": self.block_size,
        }

    @cached_property
    def digest(self) -> str:
        """Hash of the protocol and of the images themselves."""
        sha = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for images in (self.images.train, self.images.valid, self.images.test):
            sha.update(images.stored.numpy().tobytes() + images.labels.numpy().tobytes())
        return sha.hexdigest()[:16]


Job = tuple[Path, int, tuple[str, ...], Protocol, str]  # folder, position, block, protocol, device


def evaluate_block(architectures: Sequence[str], protocol: Protocol, device: str = "cpu") -> tuple[list[Row], Details]:
    """Train and attack a block of architectures; latency is measured on the CPU in any case.

    Returns:
        One row each, accuracies in percent; and for each architecture and split what else is known of every outcome:
        confidences, cost, confusion matrix, the bit of every image.
    """
    name, seed, shape = protocol.images.name, protocol.seed, protocol.shape
    networks = fit(architectures, shape, protocol.images.train, protocol.recipe, seed=seed, device=device)
    splits = {part: getattr(protocol.images, part).to(device) for part in PARTS}
    rows, details = [], {}
    for architecture, network in zip(architectures, networks, strict=True):
        row: Row = {"architecture": architecture}
        details[architecture] = {}
        for part, images in splits.items():
            found = evaluate(
                network,
                images.stored,
                images.labels,
                protocol.attacks,
                mode=protocol.mode,
                seed=seed,
                precision=protocol.precision,
            )
            for column, accuracy in found.accuracies.items():
                row[f"{name}_{part}" if column == "clean" else f"{name}_{part}_{column}"] = accuracy
            details[architecture][part] = found.details()
        row[f"{name}_cpu_latency_ms"] = latency_ms(architecture, shape, protocol.image_size)
        rows.append(row)
    return rows, details


def produce(
    protocol: Protocol,
    architectures: Sequence[str],
    folder: Path,
    *,
    workers: int,
    device: str = "cpu",
    progress: bool = True,
) -> list[Row]:
    """Evaluate architectures, resuming what lies in ``folder``.

    Args:
        protocol: how to evaluate.
        architectures: distinct strings; their order decides the blocks.
        folder: where shards are kept.
        workers: processes, one thread each.
        device: where networks are trained and attacked; numbers agree between devices to rounding.
        progress: show a progress bar.

    Returns:
        One row per architecture, in the given order.

    Raises:
        RunDirectoryError: if the folder holds shards of another protocol or a damaged shard.
        ConfigurationError: if there is nothing to evaluate, or a number of workers or a size is not positive.
    """
    size = protocol.block_size
    if not architectures or min(workers, size) < 1:
        raise ConfigurationError(
            f"{len(architectures)} architectures, {workers=}, block_size={size}: all must be at least 1"
        )
    if not min(len(getattr(protocol.images, part)) for part in PARTS):
        raise ConfigurationError("the data set has no validation or no test images; give num_valid, num_test >= 1")
    _claim(folder, protocol)
    blocks = _blocks(protocol, architectures)
    missing = [(i, block) for i, block in enumerate(blocks) if not _shard(folder, i, block).exists()]
    jobs = [(folder, i, block, protocol, device) for i, block in missing]
    with tqdm(
        total=len(architectures),
        initial=len(architectures) - sum(len(block) for _, block in missing),
        unit="cell",
        disable=None if progress else True,
    ) as bar:
        for count in _run(jobs, workers):
            bar.update(count)
    digest = protocol.digest
    return [row for i, block in enumerate(blocks) for row in _read_shard(_shard(folder, i, block), block, digest)]


def _run(jobs: Sequence[Job], workers: int) -> Iterable[int]:
    if workers == 1 or len(jobs) <= 1:
        yield from map(_evaluate_shard, jobs)
        return
    # "spawn": forking a process that has used torch's thread pools can deadlock
    with get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(_evaluate_shard, jobs)


def _evaluate_shard(job: Job) -> int:
    folder, index, block, protocol, device = job
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    begin = time.process_time()
    try:
        rows, details = evaluate_block(block, protocol, device)
    finally:
        torch.set_num_threads(threads)
    seconds = time.process_time() - begin
    shard = {"protocol": protocol.digest, "cpu_seconds": seconds, "rows": rows, "details": details}
    write_text(_shard(folder, index, block), json.dumps(shard))
    return len(block)


def cpu_seconds(protocol: Protocol, architectures: Sequence[str], folder: Path) -> float:
    """CPU seconds that the finished shards of these architectures have cost, whenever they were made."""
    shards = [_shard(folder, i, block) for i, block in enumerate(_blocks(protocol, architectures))]
    return sum(json.loads(path.read_text()).get("cpu_seconds", 0.0) for path in shards)


def _blocks(protocol: Protocol, architectures: Sequence[str]) -> list[tuple[str, ...]]:
    """What is trained together, in order."""
    size = protocol.block_size
    return [tuple(architectures[i : i + size]) for i in range(0, len(architectures), size)]


def _shard(folder: Path, index: int, block: Sequence[str]) -> Path:
    """A block's file; the name carries a hash of its architectures, so other blocks never take its place."""
    digest = hashlib.sha256("\n".join(block).encode()).hexdigest()[:12]
    return folder / SHARDS / f"{index:05d}_{digest}.json"


def _read_shard(path: Path, block: Sequence[str], digest: str) -> list[Row]:
    try:
        shard = json.loads(path.read_text())
        rows, architectures, other = shard["rows"], [row["architecture"] for row in shard["rows"]], shard["protocol"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"damaged shard {path}: {error}; delete it and run again") from error
    if architectures != list(block):
        raise RunDirectoryError(
            f"damaged shard {path}: other architectures than its name says; delete it and run again"
        )
    if other != digest:
        raise RunDirectoryError(f"shard {path} was made under another protocol; delete it and run again")
    return rows


def _claim(folder: Path, protocol: Protocol) -> None:
    """Write the protocol into a new folder, or refuse a folder of another protocol."""
    path = folder / "protocol.json"
    mine = {"digest": protocol.digest, **protocol.describe()}
    if path.exists() and any((folder / SHARDS).glob("*.json")):  # else there is nothing yet that a protocol could bind
        try:
            theirs = json.loads(path.read_text())
        except ValueError as error:
            raise RunDirectoryError(f"{path} is no JSON ({error}); choose another out=...") from error
        if theirs.get("digest") != mine["digest"]:
            mine = json.loads(json.dumps(mine))
            changed = sorted(k for k in mine if k != "digest" and mine[k] != theirs.get(k))
            raise RunDirectoryError(
                f"{folder} holds shards of another protocol (differs in {', '.join(changed) or 'the images'}); "
                "choose another out=... or delete the folder"
            )
        return
    write_text(path, json.dumps(mine, indent=1))


def representatives(space: NASBench201) -> list[str]:
    """The lowest-id member of every isomorphism class, in id order: the cells that are evaluated."""
    cells = space.enumerate()
    return [cells[i] for i in sorted(set(space.isomorphs))]


def merge(rows: Sequence[Row], protocol: Protocol, space: NASBench201, path: Path, metadata: Mapping[str, str]) -> int:
    """Write the table: every architecture whose representative was evaluated, with its representative's measurements.

    ``isomorph`` is the id of the representative; ``parameters`` and ``macs`` are counted for the string itself.

    Args:
        rows: results of representatives.
        protocol: how they were evaluated.
        space: the space of the architectures.
        path: the Parquet file.
        metadata: further entries: command, code revision.

    Returns:
        Number of rows written.
    """
    cells, isomorphs = space.enumerate(), space.isomorphs
    found = {str(row["architecture"]): row for row in rows}
    kept = [i for i, representative in enumerate(isomorphs) if cells[representative] in found]
    costs = [_costs(protocol, cells[i]) for i in kept]
    columns = {
        name: pa.array([found[cells[isomorphs[i]]][name] for i in kept], pa.float64())
        for name in rows[0]
        if name != "architecture"
    }
    table = pa.table(
        {
            "architecture": pa.array([cells[i] for i in kept]),
            "isomorph": pa.array([isomorphs[i] for i in kept], pa.int32()),
            **columns,
            "parameters": pa.array([parameters for parameters, _ in costs], pa.int32()),
            "macs": pa.array([macs for _, macs in costs], pa.int64()),
        }
    )
    entries = {
        "space": space.name,
        "dataset": protocol.images.name,
        "protocol": json.dumps(protocol.describe(), sort_keys=True),
        "protocol_digest": protocol.digest,
        "seeds": json.dumps([protocol.seed]),
        "torch": str(torch.__version__),
    }
    write_table(path, table, {**entries, **metadata})
    return len(kept)


def _costs(protocol: Protocol, architecture: str) -> tuple[int, int]:
    """Parameters and MACs; they depend on which operations occur, not on where."""
    return _counted(to_string(sorted(parse(architecture))), protocol.shape, protocol.image_size)


@cache
def _counted(architecture: str, shape: NetworkShape, image_size: int) -> tuple[int, int]:
    return count_parameters(architecture, shape), count_macs(architecture, shape, image_size)
