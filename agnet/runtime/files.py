"""Write files so that a kill at any moment leaves the old or the new one, never half of one; lock a folder.

Everything that a command writes goes through this module. Whatever the operating system refuses becomes a
:class:`~agnet.errors.StorageError` that names the path and the remedy.
"""

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agnet.errors import RunDirectoryError, StorageError

_PATIENCE = 5.0  # seconds to wait for a folder: the workers of a killed command take a moment to end
_LONG_PATIENCE = 60.0
_TRIES = 100


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``: on success it replaces ``path``, on failure it is removed.

    Raises:
        StorageError: if the operating system refuses; whatever was at ``path`` stays.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        temporary, handle = _temporary(path)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)  # and with it the lock, which tells sweep() that the writer lives


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically, creating parent folders.

    Raises:
        StorageError: if the operating system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, creating parent folders.

    Raises:
        StorageError: if the operating system refuses.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def names_in(folder: Path) -> list[str]:
    """Names of what a folder holds, in order.

    Raises:
        StorageError: if the folder is gone, or cannot be read.
    """
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise StorageError(f"{folder} was just written and cannot be read ({error.strerror}); run this again") from None


def append_text(path: Path, text: str) -> None:
    """Append to a file and wait until it is on disk; a kill may leave a part of ``text``.

    Raises:
        StorageError: if the operating system refuses.
    """
    with _storing(path), path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def truncate(path: Path, size: int) -> None:
    """Cut a file off after ``size`` bytes.

    Raises:
        StorageError: if the operating system refuses.
    """
    with _storing(path):
        os.truncate(path, size)


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Lock a folder against other processes; create it if it does not exist, and sweep what killed writers have left.

    Where another process holds the folder, wait a few seconds for it to end.

    Args:
        folder: the folder to lock.
        shared: whether other processes may hold a shared lock at the same time.

    Raises:
        StorageError: if the folder cannot be made or opened.
        RunDirectoryError: if the folder is in use.
    """
    with _storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _lock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, _PATIENCE):
            raise RunDirectoryError(f"another process works in {folder}; wait for it or stop it")
        sweep(folder)
        yield
    finally:
        os.close(handle)


@contextmanager
def updating(path: Path) -> Iterator[None]:
    """Within, no other process updates a small file, e.g. a manifest: read it, change it, write it with this module.

    Other processes wait. A file that does not exist is made, empty.

    Args:
        path: the file.

    Raises:
        StorageError: if the operating system refuses.
        RunDirectoryError: if another process does not finish within a minute.
    """
    end = time.monotonic() + _LONG_PATIENCE
    while True:
        with _storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(handle, fcntl.LOCK_EX, end - time.monotonic()):
                raise RunDirectoryError(f"another process updates {path}; wait for it or stop it")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):  # else it was replaced while this process waited
                    yield
                    return
        finally:
            os.close(handle)


def sweep(folder: Path, name: str = "") -> None:
    """Remove temporary files of :func:`replacing` whose writers have been killed; those of living writers stay.

    Args:
        folder: the folder to sweep.
        name: remove those of one file only.
    """
    begin = _temporary_begin(name) if name else "."
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(begin) and _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_left(entry.path)


def storage_error(path: Path, error: OSError) -> StorageError:
    """What the operating system refuses, as one line with the path and the remedy.

    Args:
        path: the file or folder that was to be written.
        error: the operating system's refusal.
    """
    said = error.strerror or str(error)
    return StorageError(f"cannot write {path} ({said}); {_remedy(path, error.errno)}")


_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.partial(\.[^.]*)?", re.DOTALL)
"""Names of temporary files. The suffix of the real name ends them: writers read the format from it."""

_CONTINUES = "the same command continues where it stopped"
_REMEDIES = {
    errno.ENOSPC: f"free some space; {_CONTINUES}",
    errno.EDQUOT: f"free some of your quota; {_CONTINUES}",
    errno.EFBIG: f"raise the limit on file sizes (ulimit -f) or choose another folder; {_CONTINUES}",
    errno.EMFILE: f"raise the limit on open files (ulimit -n); {_CONTINUES}",
    errno.EIO: f"the disk fails: choose a folder on another one; {_CONTINUES}",
    errno.ENOENT: "the folder is gone: was it removed meanwhile? Start again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: "a file is where a folder should be: choose another",
    errno.ENOTDIR: "a file is where a folder should be: choose another",
}


def _remedy(path: Path, code: int | None) -> str:
    if code == errno.ENOSPC:
        with suppress(OSError):
            found = os.statvfs(next(p for p in (path, *path.parents) if p.exists()))
            if found.f_files and not found.f_favail:
                return f"the file system has no room for further files: remove some; {_CONTINUES}"
    return _REMEDIES.get(code or 0, "choose a place that can be written")


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Within, what the operating system refuses is about ``path``."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error
    except ValueError as error:  # Python's own check of paths
        if "null" in str(error) and "\0" in str(path):
            raise StorageError(
                f"cannot write {str(path)!r} (it holds a null character); choose another name"
            ) from error
        raise


def _temporary(path: Path) -> tuple[Path, int]:
    """A new locked file beside ``path``: its name and an open handle."""
    for _ in range(_TRIES):
        suffix = path.suffix if len(path.suffix) < 20 else ""
        temporary = path.parent / f"{_temporary_begin(path.name)}{secrets.token_hex(4)}.partial{suffix}"
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):  # the file system may have no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)  # another process has swept it before it was locked
    raise OSError(errno.EBUSY, "temporary files vanish", str(path))


def _temporary_begin(name: str) -> str:
    """How the names of a file's temporary files begin: with a part of its name, which may have the greatest length."""
    return f".{name[:60]}."


def _remove_if_left(path: str) -> None:
    """Remove a temporary file that no living process has locked."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int, patience: float) -> bool:
    """Whether a lock could be taken; True where the file system has none, and keeping apart is up to the user."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        except OSError:
            return True
