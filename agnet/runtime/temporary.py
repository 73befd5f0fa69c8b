"""One folder for all temporary files of a process, removed with it, or swept by the next one.

Libraries leave sockets and copies in the system's temporary folder when a process is killed. :func:`scratch` makes
:mod:`tempfile` put them into a folder of ours, which the living process holds locked. The next command removes folders
that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path

_PREFIX = "agnet-"
_LAST = -1000  # multiprocessing's own finalizers have priorities from -100
_LONGEST = 60  # characters: names of sockets below must stay under 108


def scratch() -> Path:
    """This process's folder, which is :func:`tempfile.gettempdir` from now on."""
    return _scratch(os.getpid())


@cache
def _scratch(process: int) -> Path:
    """The folder of a process: its number is an argument, for a forked process needs its own."""
    del process
    place = Path(_system_folder())
    _sweep(place)
    folder = _locked_folder(place)
    # after multiprocessing has removed its own folder within, and in worker processes, which run no atexit functions
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=_LAST)
    # a compiler's cache is no scratch: it is meant to outlive the process
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(place / f"torchinductor_{os.getuid()}"))
    tempfile.tempdir = str(folder)
    return folder


def _locked_folder(place: Path) -> Path:
    """A new folder, locked as long as this process lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        with suppress(OSError):  # another process may have swept it before it is locked, or there are no locks
            handle = os.open(folder, os.O_RDONLY)
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                return folder
            os.close(handle)


def _system_folder() -> str:
    """The system's folder, also in a forked process, whose parent has changed ``tempfile.tempdir`` already."""
    before, tempfile.tempdir = tempfile.tempdir, None
    try:
        found = tempfile.gettempdir()
        return found if len(found) <= _LONGEST or not os.access("/tmp", os.W_OK) else "/tmp"
    finally:
        tempfile.tempdir = before


def _sweep(place: Path) -> None:
    """Remove folders of processes that are gone."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                    _remove_if_left(entry)


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    if entry.stat(follow_symlinks=False).st_uid != os.getuid():
        return
    handle = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry.path, ignore_errors=True)
    finally:
        os.close(handle)
