"""Run by test_loop.py: searches that are killed with SIGKILL after every possible number of steps, then repeated.

``killed_search.py FOLDER TABLE`` prints how the processes ended and what their folders hold. Children are forked from a
process that has started no threads, which spares them the imports.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from agnet.runtime.sealed import read_sealed
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.objective import Objective, read_objective
from search import loop
from search.baselines.random_search import RandomSearch
from search.history import Query, read_queries


class Countdown:
    """Kills its process at the n-th step; 0 never does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A step before the function and one after it."""

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.step()
            value = function(*args, **kwargs)
            self.step()
            return value

        return stepping

    def append(self, path: Path, queries: Iterable[Query]) -> None:
        """Half of the lines and half of a line, a step, and the rest."""
        text = "".join(json.dumps(vars(query)) + "\n" for query in queries)
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            with path.open("a") as file:
                file.write(part)
            self.step()


def search(folder: Path, objective: Objective, kill_at: int) -> int:
    """Search in a process of its own; its exit status, or minus the signal that ended it."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        countdown = Countdown(kill_at)
        loop.append_queries = countdown.append
        torch.save = countdown.around(torch.save)
        Path.replace = countdown.around(Path.replace)
        space = NASBench201()
        optimizer = RandomSearch(space, seed=1)
        loop.run_search(space, objective, optimizer, budget=9, initial=3, batch=3, run_directory=folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def found(folder: Path) -> dict[str, Any]:
    """What counts in a folder: all but the times."""
    content = read_sealed(folder / loop.STATE_FILE, kind="search state").content
    state = torch.load(io.BytesIO(content), weights_only=True)
    queries = read_queries(folder / loop.HISTORY_FILE)
    return {
        "queries": [[q.index, q.architecture, q.values, q.round] for q in queries],
        "state": state["queries"],
        "told": state["optimizer"]["archive"]["architectures"],
    }


def main(root: Path, table: str) -> None:
    torch.set_num_threads(1)
    objective, _ = read_objective([table], ["cifar10micro_valid"])
    ends, folders = [], []
    for kill_at in range(21):
        folder = root / str(kill_at)
        ends.append(search(folder, objective, kill_at))
        if kill_at > 6:  # at least one round is finished between two kills
            while search(folder, objective, kill_at) != 0:
                ends[-1] -= 100
        if search(folder, objective, 0) != 0:
            raise RuntimeError(f"the search killed at step {kill_at} did not continue")
        folders.append(found(folder))
    print(json.dumps({"ends": ends, "folders": folders}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
