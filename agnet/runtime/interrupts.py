"""Ctrl-C: the first ends a command in order, a second ends it at once; neither shows a traceback."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
MESSAGE = "interrupted; the same command continues"


def quiet_start() -> None:
    """Let Ctrl-C end ``python -m package.command`` without a traceback while its modules are being imported.

    A package of commands calls it when it is imported. It does nothing where the package is imported otherwise.
    """
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, the first Ctrl-C raises :class:`KeyboardInterrupt`, and a second one ends the process silently.

    All files are written atomically and workers end with their parent, so ending at once loses nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if before not in (signal.default_int_handler, _end):  # ignored, as under nohup, or somebody else's
        yield
        return
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)
        asked = True
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, handle)
    except ValueError:  # only the main thread may
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def held() -> Iterator[None]:
    """Within, Ctrl-C waits, and processes that are started within never get it.

    A new interpreter answers it with a traceback until it has a handler of its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)
