"""Processes that are interrupted or killed leave nothing running and nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agnet.errors import RunDirectoryError, StorageError
from agnet.runtime import files
from agnet.runtime.files import append_text, locked, sweep, write_text
from agnet.runtime.interrupts import INTERRUPTED
from agnet.runtime.paths import ROOT

Started = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts a Python process with its own place for temporary files; gives it and its first line."""
    processes = []

    def start(script: str, *arguments: object, folder: Path) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until(condition, seconds: float = 20.0) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def place() -> Iterator[Path]:
    """A place for temporary files with a short name, as sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


WORKERS = """
import os, sys, time
from pathlib import Path
from agnet.runtime.executors import LocalExecutor
from agnet.runtime.temporary import scratch
from tests.agnet.runtime.test_lifecycle import sleeper
scratch()
for _ in LocalExecutor(workers=1).run(sleeper, [sys.argv[1]], out=Path(sys.argv[1])):
    pass
"""


def sleeper(folder: str) -> None:
    """A task that says its process's number, then holds the folder for a long time."""
    with locked(Path(folder)):
        sys.stdout.write(f"{os.getpid()}\n")
        sys.stdout.flush()
        time.sleep(60)


def gone(process: int) -> bool:
    """Whether a process has ended (a zombie that nobody has waited for has)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_workers_die_with_their_parent(started: Started, tmp_path: Path, place: Path) -> None:
    out = tmp_path / "out"
    parent, said = started(WORKERS, out, folder=place)
    worker = int(said)
    parent.kill()
    with locked(out):  # waits for the worker, which holds it
        assert until(lambda: gone(worker))
    assert list(place.iterdir()), "a killed process leaves its folder"
    swept, _ = started("from agnet.runtime.temporary import scratch; scratch(); print()", folder=place)
    swept.communicate()
    assert not list(place.iterdir()), "the next one sweeps it, and its own"


def test_a_command_with_workers_ends_silently_and_leaves_nothing(started: Started, tmp_path: Path, place: Path) -> None:
    """Neither its own folder, nor its workers', nor a complaint that one is gone too early."""
    script = WORKERS.replace("sleeper, [sys.argv[1]]", "time.sleep, [0.0, 0.0]") + "print()"
    process, _ = started(script, tmp_path, folder=place)
    said, complaints = process.communicate()
    assert (process.returncode, said.strip(), complaints or "") == (0, "", "")
    assert not list(place.iterdir())


def test_a_living_writer_keeps_its_temporary_file(started: Started, tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom agnet.runtime.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    print(flush=True)\n    time.sleep(60)\n"
    )
    writer, _ = started(script, tmp_path / "state.pt", folder=tmp_path)
    [temporary] = [p for p in tmp_path.iterdir() if p.name.startswith(".state.pt.")]
    sweep(tmp_path)
    assert temporary.exists()
    writer.kill()
    writer.communicate()
    write_text(tmp_path / "other", "a file of another name sweeps only its own")
    assert temporary.exists()
    write_text(tmp_path / "state.pt", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "state.pt"]


def test_what_only_looks_temporary_stays(tmp_path: Path) -> None:
    names = [".bashrc", ".state.pt.0123", ".a.01234567.partially", "a.01234567.partial", ".git"]
    for name in names:
        (tmp_path / name).write_text("")
    with locked(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_a_folder_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    refused = pytest.raises(RunDirectoryError, match="another process works in")
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True), refused, locked(tmp_path):
        pass


def test_what_the_system_refuses_names_path_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", Path("/proc/x"), tmp_path / ("a" * 300), tmp_path / "a\0b"):
        with pytest.raises(StorageError, match="cannot write"):
            write_text(path, "x")
        with pytest.raises(StorageError, match="cannot write"), locked(path):
            pass
    with pytest.raises(StorageError, match="the folder is gone"):
        append_text(tmp_path / "gone" / "history.jsonl", "x")
    with pytest.raises(StorageError, match=r"cannot write /dev/full \(No space left on device\); free some space"):
        append_text(Path("/dev/full"), "x")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_limit_on_file_sizes_is_said(started: Started, tmp_path: Path) -> None:
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom agnet.runtime.files import write_bytes\nprint()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_bytes(Path(sys.argv[1]), b'x' * 2000)\nexcept ValueError as error:\n    print(error)\n"
    )
    process, _ = started(script, tmp_path / "state.pt", folder=tmp_path)
    said, _ = process.communicate()
    assert "state.pt (File too large); raise the limit on file sizes" in said
    assert not list(tmp_path.iterdir())


COMMAND = """
import sys, time
from agnet.runtime.command import command
def body(_):
    try:
        print(flush=True)
        time.sleep(60)
    finally:
        if sys.argv[1] == "slow":
            print("ending", flush=True)
            time.sleep(60)
command(lambda job: lambda: job({}), body)()
"""


def test_one_interrupt_ends_in_order(started: Started, place: Path) -> None:
    process, _ = started(COMMAND, "fast", folder=place)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out, said) == (INTERRUPTED, "", "interrupted; the same command continues\n")
    assert not list(place.iterdir())


def test_a_second_interrupt_ends_at_once_and_silently(started: Started, tmp_path: Path) -> None:
    process, _ = started(COMMAND, "slow", folder=tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out, said) == (INTERRUPTED, "", "")


def test_an_interrupt_while_modules_are_imported_is_silent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "search.run", f"run_dir={tmp_path}/run"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(" hydra._internal\n") or "omegaconf" in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.stdout is not None
    process.stdout.close()
    shown = [line for line in said.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, shown) == (INTERRUPTED, ["interrupted; the same command continues"])
