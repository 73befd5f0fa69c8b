"""The frame of every command: an error the user can mend becomes one line on stderr and exit status 2.

It knows nothing of the configuration library beyond its name; a command hands in its own decorator.
"""

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from agnet.errors import AGNetError

BAD_INPUT = 2
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CONFIGURATION_LIBRARIES = ("hydra", "omegaconf")


def command(
    decorate: Callable[[Callable[..., None]], Callable[[], Any]], body: Callable[[Any], None]
) -> Callable[[], None]:
    """A command's ``main``: run ``body`` under ``decorate`` and turn what goes wrong into an exit status.

    Args:
        decorate: the configuration library's decorator, e.g. ``hydra.main(...)``; it may exit with status 1 after
            printing why it refuses a configuration.
        body: takes the configuration; raises :class:`AGNetError` for input that the user can mend.

    Returns:
        A function without arguments that exits 2 on bad input, 130 on Ctrl-C; defects keep their traceback.
    """

    def main() -> None:
        started = False

        @functools.wraps(body)
        def job(configuration: Any) -> None:
            nonlocal started
            started = True
            try:
                body(configuration)
            except KeyboardInterrupt:
                _say("interrupted; the same command continues")
                raise SystemExit(INTERRUPTED) from None
            except BrokenPipeError:  # the reader of our output, such as head, has gone
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise SystemExit(READER_GONE) from None
            except Exception as error:
                message = _remedy(error)
                if message is None:
                    raise
                _say(f"error: {message}")
                raise SystemExit(BAD_INPUT) from None

        try:
            decorate(job)()
        except SystemExit as stop:
            if not started and stop.code == 1:  # the configuration library has said what is wrong
                _say("--help lists the groups, their choices and all keys")
                raise SystemExit(BAD_INPUT) from None
            raise

    return main


def _remedy(error: BaseException) -> str | None:
    """The message of the AGNetError behind an exception; None if it is no error of the user's."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, AGNetError):
            return str(link)
        link = link.__cause__
    if isinstance(error, OSError) and error.errno in _FULL:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{place}: free some space; the same command continues where it stopped"
    if type(error).__module__.split(".")[0] in _CONFIGURATION_LIBRARIES:
        return " ".join(str(error).split())
    return None


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
