"""``state.pt``: everything a search needs to continue after its last finished round."""

import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agnet.errors import RunDirectoryError
from agnet.optimizers.base import AbstractOptimizer
from agnet.runtime.files import replacing
from search.history import History, Round


def save_state(path: Path, history: History, optimizer: AbstractOptimizer) -> None:
    """Write the state of a search atomically."""
    state = {
        "queries": len(history),
        "seconds": history.seconds,
        "rounds": [asdict(r) for r in history.rounds],
        "optimizer": optimizer.state_dict(),
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path) -> tuple[list[Round], dict[str, Any]]:
    """Finished rounds and the optimizer's state; only tensors and plain values are unpickled.

    Raises:
        RunDirectoryError: if the file is damaged.
    """
    try:
        state = torch.load(path, weights_only=True)
        return [Round(**entry) for entry in state["rounds"]], state["optimizer"]
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        message = str(error).partition("\n")[0]
        raise RunDirectoryError(f"{path} cannot be resumed ({message}); start anew with force=true") from error
