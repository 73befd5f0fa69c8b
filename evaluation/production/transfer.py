"""Transfer of attacks: images that fool one kept network, shown to others."""

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from agnet.errors import ConfigurationError, UnreadableFile
from agnet.runtime.executors import AbstractExecutor
from agnet.runtime.files import locked, write_bytes, write_text
from agnet.runtime.progress import Progress
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from evaluation.attacks.evaluate import default_batch_size, evaluate, searcher_and_judge
from evaluation.data.images import in_unit_interval
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.production.configured import FromConfig
from evaluation.production.protocol import Protocol
from evaluation.production.unit import Unit
from evaluation.production.weights import Weights, unit_code

MOST = 256
"""Largest number of networks in a matrix."""

ROWS = "transfer"
_Row = dict[str, list[float]]
_HEADER = ("attack", "eps", "source", "source_seed", "target", "target_seed", "accuracy")


def transfer(
    protocol: Protocol,
    source: FromConfig,
    weights: Weights,
    units: Sequence[Unit],
    folder: Path,
    *,
    executor: AbstractExecutor,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Attack every network on the test images, and judge what it is fooled by with all of them.

    Networks that were attacked before in this folder, with the same settings and judges, are not attacked again.

    Args:
        protocol: protocol of the attacks.
        source: source from which worker processes get the protocol.
        weights: the kept networks.
        units: networks to attack and to judge.
        folder: folder of the results: ``transfer.csv``, ``transfer.npz``.
        executor: runs one task for each attacked network.
        progress: whether to show progress.

    Returns:
        A matrix for each attack and radius, by ``attack_epsN``: accuracy in percent of the network in the column on
        the images made for the network in the row. On the diagonal it is the accuracy of the table.

    Raises:
        ConfigurationError: if there are too many networks, or none.
    """
    if not 1 <= len(units) <= MOST:
        raise ConfigurationError(f"transfer=true with {len(units)} networks; give num_architectures=1..{MOST}")
    digests = [weights.digest(unit.architecture, unit.seed) for unit in units]
    identity = {"protocol": protocol.digest, "units": [str(unit) for unit in units], "weights": digests}
    with locked(folder):
        rows = {unit: _read(folder, unit, identity) for unit in units}
        todo = [unit for unit, row in rows.items() if row is None]
        work = partial(_work, source, weights, tuple(units), folder, json.dumps(identity))
        with Progress(tqdm, "transfer", len(units), "cell", initial=len(units) - len(todo), shown=progress) as bar:
            for ended in executor.run(work, todo, out=folder):
                if ended.error is not None:
                    raise ended.error
                bar.update()
        done = {unit: _read(folder, unit, identity) or {} for unit in units}
        matrices = {column: np.array([done[unit][column] for unit in units]) for column in done[units[0]]}
        _write(folder, protocol, units, matrices)
    return matrices


def _path(folder: Path, unit: Unit) -> Path:
    return folder / ROWS / f"{unit_code(unit.architecture, unit.seed)}.json"


def _read(folder: Path, unit: Unit, identity: dict[str, Any]) -> _Row | None:
    """The row of a network that was attacked before; None if there is none of the same identity."""
    with suppress(UnreadableFile):
        content = read_sealed_json(_path(folder, unit))
        if content.get("identity") == identity:
            return content["accuracy"]
    return None


def _work(source: FromConfig, weights: Weights, units: tuple[Unit, ...], folder: Path, about: str, unit: Unit) -> None:
    """Attack one network and judge with all, in whatever process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        identity = json.loads(about)
        protocol, networks = _prepared(source, weights, units)
        if protocol.digest != identity["protocol"]:
            raise ConfigurationError(f"a worker reads protocol {protocol.digest}; are the images the same there?")
        row = _attacked(protocol, networks, networks[units.index(unit)], unit.seed)
        write_sealed_json(_path(folder, unit), {"identity": identity, "unit": str(unit), "accuracy": row})
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _prepared(source: FromConfig, weights: Weights, units: tuple[Unit, ...]) -> tuple[Protocol, list[CellNetwork]]:
    """Once per process."""
    return source(), [weights.read(unit.architecture, unit.seed)[0] for unit in units]


def _attacked(protocol: Protocol, networks: Sequence[CellNetwork], network: CellNetwork, seed: int) -> _Row:
    """Accuracy of every network on the images that the attacks make of one of them, by attack and radius."""
    test, row = protocol.images.test, _Row()
    judges = [searcher_and_judge(other, protocol.precision)[1] for other in networks]
    for attack in protocol.attacks:
        images = test.first(min(protocol.attack_images.get(attack.name, len(test)), len(test)))
        found = evaluate(
            network,
            images.stored,
            images.labels,
            attack,
            mode=protocol.mode,
            seed=seed,
            precision=protocol.precision,
            keep_images=True,
        )
        for column, points in found.adversarial.items():
            parts = [in_unit_interval(part) for part in points.split(default_batch_size(points))]
            with torch.no_grad():
                answers = [torch.cat([judge(part) for part in parts]).argmax(1) for judge in judges]
            row[column] = [100.0 * float((answer == images.labels).double().mean()) for answer in answers]
    return row


def _write(folder: Path, protocol: Protocol, units: Sequence[Unit], matrices: dict[str, np.ndarray]) -> None:
    """The matrices as a list of pairs for reading, and as arrays for computing; cells in the same order."""
    text, arrays = io.StringIO(), io.BytesIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for attack in protocol.attacks:
        for eps in attack.eps_255:
            matrix = matrices[f"{attack.name}_eps{eps:g}"]
            writer.writerows(
                (attack.name, f"{eps:g}", a.architecture, a.seed, b.architecture, b.seed, f"{matrix[i, j]:.4f}")
                for i, a in enumerate(units)
                for j, b in enumerate(units)
            )
    write_text(folder / "transfer.csv", text.getvalue())
    np.savez_compressed(arrays, allow_pickle=False, **matrices)
    write_bytes(folder / "transfer.npz", arrays.getvalue())
