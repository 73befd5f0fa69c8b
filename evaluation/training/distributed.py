"""Train one network in several processes started by ``torchrun``, or in a single process without it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from agnet.errors import ConfigurationError


@dataclass(frozen=True)
class Process:
    """One of the processes that work together.

    Attributes:
        rank: its number; 0 writes the files.
        world_size: number of processes.
        device: device that it computes on.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and prints."""
        return self.rank == 0

    def gather(self, sums: Tensor) -> Tensor:
        """The sum over processes, for the first of them; zeros for the others, so that they go on from there."""
        if self.world_size == 1:
            return sums
        dist.all_reduce(total := sums.clone())
        return total if self.leads else torch.zeros_like(sums)

    def total(self, values: Tensor) -> Tensor:
        """The sum over processes, for each of them."""
        if self.world_size > 1:
            dist.all_reduce(values := values.clone())
        return values

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the first one's buffers, such as running means."""
        if self.world_size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Until all are here."""
        if self.world_size > 1:
            dist.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over processes; its batch statistics stay each process's own."""
        if self.world_size == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)


ALONE = Process(0, 1, torch.device("cpu"))
"""A process that does everything, on the CPU."""


@contextmanager
def process_group(device: str) -> Iterator[Process]:
    """Join the processes that the environment describes (``WORLD_SIZE``, ``RANK``, ``LOCAL_RANK``), or be alone.

    They talk by NCCL on GPUs, one of which each gets, and by Gloo on CPUs.

    Args:
        device: ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: if there is no such device, the environment is incomplete, or they cannot be reached.
    """
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigurationError(f"device={device}; give cpu, or cuda where there is one")
    world_size = _number("WORLD_SIZE", 1)
    if world_size == 1:
        yield Process(0, 1, torch.device(device))
        return
    rank, local = _number("RANK"), _number("LOCAL_RANK")
    place = torch.device("cpu")
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigurationError(
                f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}; start fewer "
                "processes with torchrun --nproc-per-node"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    if rank >= world_size:
        raise ConfigurationError(f"RANK={rank} of WORLD_SIZE={world_size} in the environment; start with torchrun")
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:  # no address given, a port in use, nobody there
        raise ConfigurationError(
            f"{world_size} processes find no way to each other ({str(error).splitlines()[0]}); start with torchrun, "
            "with --standalone on one machine"
        ) from error
    try:
        yield Process(rank, world_size, place)
    finally:
        dist.destroy_process_group()


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={text} in the environment should be a whole number; start with torchrun")
    return int(text)
