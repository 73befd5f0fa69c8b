"""Every command at its smallest, called in a forked process that has imported everything already."""

import importlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import util as multiprocessing_util
from pathlib import Path

import torch

PROJECT = Path(__file__).resolve().parents[2]
SHARED, HERE = "SHARED", "HERE"
"""Placeholders in command lines: the folder of the campaign, and that of the case."""

_SEARCH = ("budget=20", "initial=8", "batch=4", "plot=false", "progress=false", f"run_dir={HERE}/out")
_PRODUCE = ("executor=inline", "group_size=1", "attack=[fgsm_digits]", "recipe.epochs=1", "progress=false")
_DARTS = ("architecture=darts_v2", "dataset=digits", "network.channels=4", "network.cells=3", "recipe.epochs=1")

COMMANDS: dict[str, tuple[str, ...]] = {
    "search.run": ("optimizer=random_search", *_SEARCH),
    "search.compare": (
        *("optimizers=[random_search]", "seeds=1", "budget=20", "initial=8", "batch=4", "executor=inline"),
        *("progress=false", f"out={HERE}/out"),
    ),
    "search.pretrain": ("schedule.steps=1", "draws=10", "progress=false", f"out={HERE}/out"),
    "search.propose": (f"run_dir={SHARED}/search", "n=2", f"out={HERE}/out.csv"),
    "search.import_table": (
        *("importer=robustness", f"path={SHARED}/export", "progress=false", f"out={HERE}/out.parquet"),
    ),
    "evaluation.run": ("num_architectures=1", *_PRODUCE, f"out={HERE}/out"),
    "evaluation.attack": (
        *("model=benchmarks.reliability.tiny:network", "dataset=digits", "num_images=8", "attack=[fgsm]"),
        f"out={HERE}/out",
    ),
    "evaluation.corrupt": ("dataset=digits", "corruptions=[fog]", "num_images=8", f"out={HERE}/out"),
    "evaluation.draw": ("architecture=darts_v2", f"out={HERE}/out.png"),
    "evaluation.export": (f"details={SHARED}/details", "progress=false", f"out={HERE}/out"),
    "evaluation.measure": (
        *("measure@measures=[ntk,parameters]", "num_architectures=2", "repeats=1", "progress=false"),
        f"table={HERE}/out.parquet",
    ),
    "evaluation.report": (f"table={SHARED}/table.parquet", f"out={HERE}/out"),
    "evaluation.train_network": (
        *(*_DARTS, "recipe.batch_size=512", "stream.crop_padding=1", "stream.cutout=2", "progress=false"),
        f"out={HERE}/out",
    ),
}
"""Arguments of each command that writes."""

ROOTS = {
    "search.run": "search",
    "search.compare": "compare",
    "search.pretrain": "pretrain",
    "search.propose": "propose",
    "search.import_table": "import_table",
    "evaluation.run": "run",
    "evaluation.attack": "attack",
    "evaluation.corrupt": "corrupt",
    "evaluation.draw": "draw",
    "evaluation.export": "export",
    "evaluation.measure": "measure",
    "evaluation.report": "report",
    "evaluation.train_network": "train_network",
}
"""Names of the commands' configurations."""


@dataclass(frozen=True)
class Said:
    """What a command has said.

    Attributes:
        status: exit status, negative for a signal; None where it did not end in time.
        stdout: all that was written there.
        stderr: all that was written there.
    """

    status: int | None
    stdout: str
    stderr: str


def network() -> torch.nn.Module:
    """A classifier of the digits."""
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10))
    return torch.nn.Sequential(*layers).eval()


def import_all() -> None:
    """Import what the commands import, also late, so that forked processes need not."""
    for module in (*COMMANDS, "evaluation.report.command", "search.plot", "search.schema", "evaluation.schema"):
        importlib.import_module(module)


def placed(argument: str, shared: Path, here: Path) -> str:
    """An argument with the paths in place of the placeholders."""
    return argument.replace(SHARED, str(shared)).replace(HERE, str(here))


def call(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    seconds: float,
    prepare: Callable[[], None] = lambda: None,
) -> Said:
    """Call a command's ``main`` in a forked process, whose current folder is a given one.

    Args:
        module: the command.
        arguments: its arguments.
        folder: where it runs; what it says is kept there, too, beside it.
        seconds: it is ended after these.
        prepare: called in the process before the command, e.g. to set a limit.
    """
    log = folder.parent / f"{folder.name}-said"
    log.mkdir(exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _work(module, arguments, folder, log, prepare)
    status = _wait(pid, seconds)
    stdout, stderr = ((log / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    return Said(status, stdout, stderr)


def _wait(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)


def _work(module: str, arguments: Sequence[str], folder: Path, log: Path, prepare: Callable[[], None]) -> None:
    """The forked process: never returns."""
    status = 99
    try:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(log / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), line_buffering=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(PROJECT)
        sys.argv = [module, *arguments]
        prepare()
        status = _status(module)
        multiprocessing_util._exit_function()  # what an interpreter does at its end, scratch folders removed
        sys.stdout.flush()
    finally:
        os._exit(status)


def _status(module: str) -> int:
    """The exit status of the command, as Python would tell it."""
    target = "evaluation.report.command" if module == "evaluation.report" else module
    try:
        importlib.import_module(target).main()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def make_inputs(shared: Path) -> None:
    """Make what the commands read: a search, details of networks, an export and a table of robustness.

    Raises:
        RuntimeError: if a command fails.
    """
    work = shared / "work"
    work.mkdir()
    lines = (
        ("search.run", ("optimizer=agnet", *_SEARCH[:-1], f"run_dir={SHARED}/search")),
        (
            "evaluation.run",
            ("num_architectures=4", *_PRODUCE, f"out={SHARED}/units", f"table={SHARED}/table.parquet"),
        ),
    )
    for module, arguments in lines:
        _must(module, arguments, shared, work)
    (shared / "details").symlink_to(next((shared / "units").rglob("*details*")))
    _must("evaluation.export", (*COMMANDS["evaluation.export"][:-1], f"out={SHARED}/export"), shared, work)


def _must(module: str, arguments: Sequence[str], shared: Path, work: Path) -> None:
    said = call(module, [placed(argument, shared, work) for argument in arguments], work, seconds=200)
    if said.status != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)}: exit status {said.status}: {said.stderr[-2000:]}")
