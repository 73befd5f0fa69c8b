"""``state.pt``: everything a search needs to continue after its last finished round, sealed with whose it is."""

import io
import pickle
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from agnet.errors import RunDirectoryError, UnreadableFile
from agnet.optimizers.base import AbstractOptimizer
from agnet.runtime.sealed import read_sealed, write_sealed
from search.history import History, Round

_KIND = "search state"
_UNSEALED = b"PK"  # a zip archive: earlier revisions wrote no seal
_REMEDY = "restore it, or start anew with force=true"


@dataclass(frozen=True)
class SavedState:
    """What :func:`load_state` reads.

    Attributes:
        rounds: finished rounds.
        optimizer: state of the optimizer.
        identity: identity of the search that :func:`save_state` was given; None in a file of an earlier revision.
        history: SHA-256 of the history's file after these rounds; None in a file of an earlier revision.
    """

    rounds: list[Round]
    optimizer: dict[str, Any] = field(repr=False)
    identity: dict[str, Any] | None
    history: str | None


def save_state(
    path: Path, history: History, optimizer: AbstractOptimizer, *, identity: Mapping[str, Any], digest: str
) -> None:
    """Write the state of a search atomically.

    Args:
        path: the file.
        history: all queries and rounds of the search.
        optimizer: optimizer of the search.
        identity: configuration and inputs of the search: plain values.
        digest: SHA-256 of the history's file.
    """
    state = {
        "queries": len(history),
        "seconds": history.seconds,
        "rounds": [asdict(r) for r in history.rounds],
        "optimizer": optimizer.state_dict(),
    }
    content = io.BytesIO()
    torch.save(state, content)
    write_sealed(path, content.getvalue(), kind=_KIND, identity={"search": identity, "history": digest})


def load_state(path: Path) -> SavedState:
    """A search's state, if it is whole; only tensors and plain values are unpickled.

    Raises:
        RunDirectoryError: if the file is damaged.
    """
    try:
        found = read_sealed(path, kind=_KIND, unsealed=_UNSEALED)
        state = torch.load(io.BytesIO(found.content), weights_only=True)
        rounds, optimizer = [Round(**entry) for entry in state["rounds"]], state["optimizer"]
        if not rounds or not isinstance(optimizer, dict):
            raise KeyError("rounds")
        whose = found.identity or {}
        if found.identity is not None and not isinstance(whose.get("search"), dict):
            raise KeyError("search")
    except UnreadableFile as error:
        raise RunDirectoryError(f"{str(error).partition(';')[0]}; {_REMEDY}") from error
    except (EOFError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        raise RunDirectoryError(f"{path} holds no state of a search ({type(error).__name__}); {_REMEDY}") from error
    if found.identity is None:
        sys.stderr.write(f"note: {path} is of an earlier revision, without a hash: it is continued unchecked\n")
    return SavedState(rounds, optimizer, whose.get("search"), whose.get("history"))
