"""Weights of a production's networks: one safetensors file per unit, which says whose they are.

A file holds the tensors of a :class:`~evaluation.networks.nasbench201.CellNetwork` and, as metadata, the cell, the
seed, the shape of the network, the digest of the protocol it was trained under, and a hash of all of these. Files lie
in ``weights/`` of the run's folder, in folders named by the first two digits of their names.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from agnet.errors import AGNetError, CheckpointMismatch, ConfigurationError, UnreadableFile
from agnet.runtime.digests import of_arrays, of_json
from agnet.runtime.files import write_bytes
from agnet.runtime.gradients import with_gradients
from agnet.runtime.reading import damaged, parse_json, read_bytes
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.file import read_metadata
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

WEIGHTS = "weights"
SUFFIX = ".safetensors"
_VERSION = "1"
_ABOUT = ("format_version", "architecture", "seed", "protocol", "shape", "memory_format")
_SEAL = "sha256"
_REMEDY = "restore it, or delete it and run evaluation.run with keep_weights=true again"
_LARGEST = 10_000
"""The largest count in a network's shape that a file may ask for."""


def unit_code(architecture: str, seed: int) -> str:
    """Beginning of the names of a unit's files."""
    return f"{hashlib.sha256(architecture.encode()).hexdigest()[:16]}_{seed}"


@dataclass(frozen=True)
class Weights:
    """The weights in a run's folder.

    Attributes:
        folder: the run's folder.
        protocol: digest of the protocol that the networks are trained under.
    """

    folder: Path
    protocol: str

    def path(self, architecture: str, seed: int) -> Path:
        """File of a unit's weights."""
        code = unit_code(architecture, seed)
        return self.folder / WEIGHTS / code[:2] / f"{code}{SUFFIX}"

    def write(self, network: CellNetwork, seed: int) -> str:
        """Keep a trained network; return the hash that its file bears.

        Raises:
            StorageError: if the operating system refuses.
        """
        content, digest = _packed(network, seed, self.protocol)
        write_bytes(self.path(network.architecture, seed), content)
        return digest

    def read(self, architecture: str, seed: int) -> tuple[CellNetwork, str]:
        """A network in evaluation mode, and the hash that its file bears.

        Raises:
            UnreadableFile: if there is none, or it is damaged.
            CheckpointMismatch: if the file is of another unit or protocol.
        """
        path = self.path(architecture, seed)
        about, content = _opened(path)
        theirs = (about["architecture"], about["seed"], about["protocol"])
        for what, found, asked in zip(
            ("cell", "seed", "protocol"), theirs, (architecture, str(seed), self.protocol), strict=True
        ):
            if found != asked:
                raise CheckpointMismatch(
                    f"{path} holds the weights of {what} {found}, not of {asked}; put back the file of this run"
                )
        return _network(path, about, content), about[_SEAL]

    def digest(self, architecture: str, seed: int) -> str | None:
        """The hash that a unit's file bears; None if there is no file."""
        path = self.path(architecture, seed)
        return _opened(path)[0][_SEAL] if path.exists() else None


def load_network(where: str | Path, architecture: str | None = None, seed: int = 0) -> CellNetwork:
    """A network that ``evaluation.run keep_weights=true`` has trained: the same logits, bit for bit.

    Args:
        where: a file of weights; or a run's folder, or the table in one, and then which network of it.
        architecture: string of the cell, or of any cell isomorphic to it; not with a file of weights.
        seed: seed of the network's training; not with a file of weights.

    Returns:
        The network in evaluation mode, in float32 on the CPU, which takes pixels in [0, 1].

    Raises:
        UnreadableFile: if there are no such weights, or the file is damaged.
        CheckpointMismatch: if the weights are not of the table's protocol, or do not fit their network.
        ConfigurationError: if it is not said which network is meant.
    """
    path = Path(where)
    if path.suffix == SUFFIX:
        if architecture is not None:
            raise ConfigurationError(f"load_network: {path} is one network; leave out the architecture")
        about, content = _opened(path)
        return _network(path, about, content)
    if architecture is None:
        raise ConfigurationError(
            f"load_network: {path} may hold several networks; give the architecture, or a file of weights (*{SUFFIX})"
        )
    is_table = path.suffix == ".parquet"
    weights = Weights(path.parent if is_table else path, "")
    found = weights.path(architecture, seed)
    if not found.exists():
        found = weights.path(NASBench201().canonical(architecture), seed)
    if not found.exists():
        raise UnreadableFile(
            f"{weights.folder / WEIGHTS} has no weights of {architecture}, seed {seed}; evaluation.run keeps those of "
            "its networks with keep_weights=true"
        )
    about, content = _opened(found)
    if is_table and (digest := read_metadata(path).get("protocol_digest")) != about["protocol"]:
        raise CheckpointMismatch(
            f"{path} was made under protocol {digest}, the weights beside it under {about['protocol']}; give the run's "
            "folder to have them anyway"
        )
    return _network(found, about, content)


def _packed(network: CellNetwork, seed: int, protocol: str) -> tuple[bytes, str]:
    """The content of a network's file, always the same, and the hash in it."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    last = network.reductions[1].conv_b[1].weight  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
    is_channels_last = last.is_contiguous(memory_format=torch.channels_last)
    about = {
        "format_version": _VERSION,
        "architecture": network.architecture,
        "seed": str(seed),
        "protocol": protocol,
        "shape": json.dumps(dataclasses.asdict(network.shape)),
        "memory_format": "channels_last" if is_channels_last else "contiguous",
    }
    digest = _digest(about, tensors)
    data = save(tensors, {**about, _SEAL: digest})
    size = int.from_bytes(data[:8], "little")  # the library's metadata are in no order
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :], digest


def _digest(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    return of_json({**about, "tensors": {name: of_arrays(tensor) for name, tensor in tensors.items()}})


def _opened(path: Path) -> tuple[dict[str, str], bytes]:
    """What a file says it holds, and its content, which is not yet compared with that."""
    data = read_bytes(path)
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise damaged(path, "it ends early", _REMEDY)
    header = parse_json(data[8 : 8 + size], path)
    about = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(about, dict) or set(about) != {*_ABOUT, _SEAL}:
        raise damaged(path, "it does not say which network it is of", _REMEDY)
    if about["format_version"] != _VERSION:
        raise UnreadableFile(
            f"{path} has format_version={str(about['format_version'])[:20]}, this revision reads {_VERSION}; read it "
            "with the revision that wrote it"
        )
    return {key: str(value) for key, value in about.items()}, data


@with_gradients
def _network(path: Path, about: Mapping[str, str], content: bytes) -> CellNetwork:
    """The network of a file."""
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise damaged(path, " ".join(str(error).split())[:200], _REMEDY) from error
    if about[_SEAL] != _digest({key: about[key] for key in _ABOUT}, tensors):
        raise damaged(path, "its content does not match its hash", _REMEDY)
    try:
        with torch.device("meta"):  # no weights are drawn there
            network = CellNetwork(about["architecture"], _shape(json.loads(about["shape"])))
        expected = {name: tensor.dtype for name, tensor in network.state_dict().items()}
        if strange := next((name for name, t in tensors.items() if t.dtype != expected.get(name, t.dtype)), None):
            raise ValueError(f"{strange} is of {tensors[strange].dtype}")
        network.load_state_dict(tensors, assign=True)
    except (RuntimeError, TypeError, ValueError, AGNetError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CheckpointMismatch(
            f"{path} does not hold a network of the shape it names ({lines[1] if lines[1:] else lines[0]}); {_REMEDY}"
        ) from error
    if about["memory_format"] == "channels_last":
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network.eval()


def _shape(plain: dict[str, Any]) -> NetworkShape:
    """A shape from plain values, which may be anybody's."""
    for name, value in plain.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(type(v) in (int, float) and math.isfinite(v) and v <= _LARGEST for v in numbers):
            raise ValueError(f"{name}={str(value)[:50]}")
    values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in plain.items()}
    return NetworkShape(**values)
